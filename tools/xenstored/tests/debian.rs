//! Debian's xenstore-* tools, unchanged, with this daemon for their server.
//!
//! How they start without Xen: see `support::tool`.

mod support;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;

use support::{Daemon, directory, refused, told, tool};

#[test]
fn nodes_are_written_listed_read_and_removed() {
    let daemon = Daemon::start();
    let socket = &daemon.socket;
    assert_eq!(told(socket, "list", &["/"]), "tool\n");
    assert_eq!(told(socket, "write", &["/a/b", "value", "/a/c/d", "tab\\tnul\\000"]), "");
    assert_eq!(told(socket, "read", &["/a/b"]), "value\n");
    assert_eq!(
        told(socket, "read", &["-p", "/a/b", "/a/c/d"]),
        "/a/b: value\n/a/c/d: tab\\tnul\\000\n"
    );
    assert_eq!(told(socket, "read", &["-R", "/a/c/d"]), "tab\tnul\0");
    assert_eq!(told(socket, "list", &["-p", "/a"]), "/a/b\n/a/c\n");
    assert_eq!(
        told(socket, "ls", &["-f"]),
        "/a = \"\"\n/a/b = \"value\"\n/a/c = \"\"\n/a/c/d = \"tab\\tnul\\000\"\n/tool = \"\"\n\
         /tool/xenstored = \"\"\n"
    );
    assert_eq!(told(socket, "exists", &["/a", "/a/c/d"]), "");
    assert_eq!(refused(socket, "exists", &["/a", "/a/x"]), "");
    assert_eq!(told(socket, "rm", &["-t", "/a/c/d"]), "");
    assert_eq!(told(socket, "list", &["/a"]), "b\n");
    assert_eq!(told(socket, "rm", &["/a"]), "");
    assert!(refused(socket, "read", &["/a"]).contains("couldn't read path /a"));
    assert!(refused(socket, "ls", &["/a"]).contains("No such file or directory"));
    assert!(refused(socket, "rm", &["/a/b/c"]).contains("could not remove path /a/b/c"));
}

#[test]
fn relative_paths_begin_at_home() {
    let daemon = Daemon::start();
    told(&daemon.socket, "write", &["name", "Domain-0"]);
    assert_eq!(told(&daemon.socket, "read", &["/local/domain/0/name"]), "Domain-0\n");
    assert_eq!(
        told(&daemon.socket, "ls", &["/local"]),
        "domain = \"\"\n 0 = \"\"\n  name = \"Domain-0\"\n"
    );
}

#[test]
fn permissions_are_set_and_shown() {
    let daemon = Daemon::start();
    let socket = &daemon.socket;
    told(socket, "write", &["/a/b/c", "x"]);
    told(socket, "chmod", &["/a/b", "n0", "r1", "b2"]);
    let shown = |path: &str| told(socket, "ls", &["-f", "-p", path]);
    assert_eq!(shown("/a"), "/a/b = \"\"   (n0,r1,b2)\n/a/b/c = \"x\"   (n0)\n");
    told(socket, "chmod", &["-r", "/a", "w3"]);
    assert_eq!(shown("/a"), "/a/b = \"\"   (w3)\n/a/b/c = \"x\"   (w3)\n");
    told(socket, "chmod", &["-u", "/a/b", "n0"]);
    assert_eq!(shown("/a"), "/a/b = \"\"   (n0)\n/a/b/c = \"x\"   (w3)\n");
}

#[test]
fn watches_fire() {
    let daemon = Daemon::start();
    let mut watch = tool(&daemon.socket, "watch", &["-n", "4", "/a", "@introduceDomain"]);
    let mut child = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "/a");
    assert_eq!(lines.next().unwrap(), "@introduceDomain");
    told(&daemon.socket, "write", &["/b", "elsewhere"]);
    told(&daemon.socket, "write", &["/a/b", "x"]);
    assert_eq!(lines.next().unwrap(), "/a/b");
    told(&daemon.socket, "rm", &["/a"]);
    assert_eq!(lines.next().unwrap(), "/a");
    assert!(child.wait().unwrap().success());
}

/// Its daemon serves domain 7 at a socket of its own.
fn with_domain() -> (Daemon, PathBuf) {
    let directory = directory();
    let socket = directory.path().join("domain");
    let argument = format!("7={}", socket.display());
    (Daemon::start_in(directory, &["--domain-socket", &argument]), socket)
}

#[test]
fn an_unprivileged_domain_is_bound_by_permissions() {
    let (daemon, domain) = with_domain();
    assert!(refused(&domain, "write", &["/a", "x"]).contains("could not write"));
    told(&daemon.socket, "write", &["/a", "secret", "/local/domain/7/name", "guest"]);
    assert!(refused(&domain, "read", &["/a"]).contains("couldn't read"));
    told(&daemon.socket, "chmod", &["/a", "n0", "r7"]);
    assert_eq!(told(&domain, "read", &["/a"]), "secret\n");
    assert!(refused(&domain, "chmod", &["/a", "b7"]).contains("Permission denied"));
    // Its home is where its relative paths begin.
    told(&daemon.socket, "chmod", &["-r", "/local/domain/7", "n7"]);
    assert_eq!(told(&domain, "read", &["name"]), "guest\n");
    told(&domain, "write", &["data/one", "1"]);
    assert_eq!(told(&daemon.socket, "read", &["/local/domain/7/data/one"]), "1\n");
}

#[test]
fn a_domain_past_its_quota_is_refused_alone() {
    let (daemon, domain) = with_domain();
    told(&daemon.socket, "write", &["/local/domain/7", ""]);
    told(&daemon.socket, "chmod", &["/local/domain/7", "n7"]);
    let long = "x".repeat(3000);
    assert!(refused(&domain, "write", &["long", &long]).contains("could not write"));
    told(&daemon.socket, "write", &["/local/domain/0/long", &long]);
    // Nodes: a thousand, in writes of a hundred each.
    let write = |hundred: usize| {
        let names: Vec<String> = (0..100).map(|n| format!("n{hundred}-{n}")).collect();
        let words: Vec<&str> = names.iter().flat_map(|name| [name.as_str(), "x"]).collect();
        tool(&domain, "write", &words).output().unwrap().status.success()
    };
    let written = (0..12).take_while(|hundred| write(*hundred)).count();
    assert!((9..=10).contains(&written), "{written}");
    told(&daemon.socket, "write", &["/still", "served"]);
}

#[test]
fn many_tools_at_once_leave_what_each_wrote() {
    let daemon = Daemon::start();
    thread::scope(|scope| {
        for worker in 0..8 {
            let socket = &daemon.socket;
            scope.spawn(move || {
                for round in 0..10 {
                    let [kept, gone] =
                        ["kept", "gone"].map(|name| format!("/w{worker}/{name}/{round}"));
                    told(socket, "write", &[&kept, "x", &gone, "y"]);
                    told(socket, "rm", &["-t", &gone]);
                }
            });
        }
    });
    for worker in 0..8 {
        assert_eq!(told(&daemon.socket, "list", &[&format!("/w{worker}")]), "kept\n");
        assert_eq!(
            told(&daemon.socket, "list", &[&format!("/w{worker}/kept")]).lines().count(),
            10
        );
    }
}

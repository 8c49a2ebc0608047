//! How the daemon starts and ends: its socket, its files, its exit codes.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::Child;
use std::{fs, io::Read};

use rustix::process::Signal;
use support::{Daemon, complaint, directory, xenstored};
use xenstore::wire::MessageType;

#[test]
fn help_says_how_to_try_it() {
    let output = xenstored(&["--help"]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for word in ["--socket", "XENSTORED_PATH", "--state", "SIGHUP", "Try it"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn wrong_usage_is_refused_with_a_sentence() {
    for (arguments, sentence) in [
        (&["--mode", "rw"][..], "not an octal number"),
        (&["--domain-socket", "/tmp/x"], "has no `=`"),
        (&["--log-level", "loud"], "possible values"),
        (&["--sokcet", "/tmp/x"], "'--socket'"),
    ] {
        let output = xenstored(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(complaint(&output).contains(sentence), "{}", complaint(&output));
    }
}

#[test]
fn the_socket_is_for_its_user_unless_a_mode_says_more() {
    let mode = |daemon: &Daemon| daemon.socket.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&Daemon::start()), 0o600);
    assert_eq!(mode(&Daemon::start_in(directory(), &["--mode", "0660"])), 0o660);
}

#[test]
fn the_environment_names_the_socket_and_its_directory_is_made() {
    let directory = directory();
    let run = directory.path().join("run/xenstored");
    let mut command = xenstored(&[]);
    command.env_remove("XENSTORED_PATH").env("XENSTORED_RUNDIR", &run);
    let daemon = Daemon::await_ready(command, directory);
    assert!(run.join("socket").exists());
    drop(daemon);
}

#[test]
fn signals_end_it_and_nothing_is_left() {
    for signal in [Signal::TERM, Signal::INT] {
        let directory = directory();
        let pid_file = directory.path().join("pid");
        let daemon = Daemon::start_in(directory, &["--pid-file", pid_file.to_str().unwrap()]);
        assert_eq!(fs::read_to_string(&pid_file).unwrap(), format!("{}\n", daemon.pid()));
        let mut client = daemon.client();
        assert!(client.is_served());
        let (code, directory) = daemon.end(signal);
        assert_eq!(code, Some(0));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(client.receive().is_none());
    }
}

#[test]
fn a_socket_that_is_in_use_is_left_alone() {
    let daemon = Daemon::start();
    let output = xenstored(&["--socket", daemon.socket.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("is running at"), "{}", complaint(&output));
    assert!(daemon.client().is_served());
}

#[test]
fn a_server_that_knows_nothing_of_locks_is_recognized() {
    let directory = directory();
    let socket = directory.path().join("socket");
    let _server = UnixListener::bind(&socket).unwrap();
    let output = xenstored(&["--socket", socket.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let process = format!("(process {}) is running", std::process::id());
    assert!(complaint(&output).contains(&process), "{}", complaint(&output));
    assert!(socket.exists());
}

#[test]
fn the_socket_of_a_dead_server_is_replaced() {
    let (code, directory) = Daemon::start().end(Signal::KILL);
    assert_eq!(code, None);
    assert!(directory.path().join("socket").exists());
    let daemon = Daemon::start_in(directory, &[]);
    assert!(daemon.client().is_served());
}

#[test]
fn of_two_that_start_at_once_over_a_stale_socket_one_serves() {
    let (_, directory) = Daemon::start().end(Signal::KILL);
    let socket = directory.path().join("socket");
    let spawn = || xenstored(&["--socket", socket.to_str().unwrap()]).spawn().unwrap();
    let mut both = [spawn(), spawn()];
    let ready = |child: &mut Child| {
        let mut byte = [0];
        // The end of the stream, if it ends instead.
        child.stdout.as_mut().unwrap().read(&mut byte).unwrap() == 1
    };
    let served = both.each_mut().map(ready);
    let answered = support::Client::connect(&socket).is_served();
    // Before anything can fail: a server that is left keeps the test's output open.
    for mut child in both {
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert_eq!(served.iter().filter(|ready| **ready).count(), 1, "{served:?}");
    assert!(answered);
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let directory = directory();
    let file = directory.path().join("file");
    fs::write(&file, "precious").unwrap();
    let output = xenstored(&["--socket", file.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("is no socket"), "{}", complaint(&output));
    assert_eq!(fs::read(&file).unwrap(), b"precious");

    let below = file.join("socket");
    let output = xenstored(&["--socket", below.to_str().unwrap()]).output().unwrap();
    assert!(complaint(&output).contains("cannot make the directory"), "{}", complaint(&output));

    let long = directory.path().join("s".repeat(100));
    let output = xenstored(&["--socket", long.to_str().unwrap()]).output().unwrap();
    assert!(complaint(&output).contains("107"), "{}", complaint(&output));
}

#[test]
fn requests_are_logged_by_level_or_by_command() {
    let mut daemon = Daemon::start_in(directory(), &["--log-level", "trace"]);
    let mut client = daemon.client();
    client.send(&support::request(MessageType::Write, b"/a\0x\xff"));
    daemon.await_message("(d0): XS_WRITE \"/a\\x00x\\xff\"");

    let mut daemon = Daemon::start();
    let mut client = daemon.client();
    // Connected before, and in the middle of a request.
    let bytes = support::request(MessageType::Read, b"/b\0");
    client.send(&bytes[..5]);
    assert_eq!(daemon.client().ask(MessageType::Control, b"log\0on\0").payload, b"OK\0");
    client.send(&bytes[5..]);
    daemon.await_message("(d0): XS_READ \"/b\\x00\"");
    assert_eq!(daemon.client().ask(MessageType::Control, b"print\0mark\0").payload, b"OK\0");
    daemon.await_message("mark");
}

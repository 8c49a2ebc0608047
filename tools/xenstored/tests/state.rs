//! A store outlives its daemon: `--state`, SIGHUP and `control live-update`.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use support::{Daemon, complaint, directory, refused, told, xenstored};
use tempfile::TempDir;
use xenstore::wire::{Header, Message, MessageType, payload};

fn file_in(directory: &TempDir) -> PathBuf {
    directory.path().join("state")
}

/// A daemon that keeps its state in a file of the directory.
fn keeper(directory: TempDir) -> Daemon {
    let file = file_in(&directory);
    Daemon::start_in(directory, &["--state", file.to_str().unwrap()])
}

fn fill(socket: &Path) {
    told(
        socket,
        "write",
        &["/local/domain/1/name", "shell", "/odd", "\\000\\n\\xff", "/empty", ""],
    );
    told(socket, "chmod", &["-r", "/local/domain/1", "n1", "r2", "b3"]);
    let long: Vec<String> =
        (0..200).map(|n| format!("/long/a-child-with-a-long-name-{n}")).collect();
    let words: Vec<&str> = long.iter().flat_map(|path| [path.as_str(), "x"]).collect();
    told(socket, "write", &words);
}

#[test]
fn nodes_and_permissions_survive_a_restart() {
    let daemon = keeper(directory());
    fill(&daemon.socket);
    let before = told(&daemon.socket, "ls", &["-f", "-p"]);
    let (code, directory) = daemon.end(Signal::TERM);
    assert_eq!(code, Some(0));
    let daemon = keeper(directory);
    assert_eq!(told(&daemon.socket, "ls", &["-f", "-p"]), before);
    // And once more, after a change.
    told(&daemon.socket, "rm", &["/long"]);
    let (_, directory) = daemon.end(Signal::INT);
    let daemon = keeper(directory);
    assert!(refused(&daemon.socket, "ls", &["/long"]).contains("No such file"));
}

#[test]
fn domains_stay_introduced_and_clients_do_not_stay() {
    let daemon = keeper(directory());
    let mut client = daemon.client();
    let introduced = client.ask(MessageType::Introduce, b"5\x001\x001\0");
    assert_eq!(introduced.payload, b"OK\0");
    client.ask(MessageType::Watch, b"/a\0token\0");
    let (_, directory) = daemon.end(Signal::TERM);
    let daemon = keeper(directory);
    let mut client = daemon.client();
    assert_eq!(client.ask(MessageType::IsDomainIntroduced, b"5\0").payload, b"T\0");
    assert_eq!(client.ask(MessageType::IsDomainIntroduced, b"6\0").payload, b"F\0");
    // The old client's watch is not this one's.
    assert_eq!(client.ask(MessageType::Write, b"/a\0x").payload, b"OK\0");
    assert_eq!(client.ask(MessageType::Read, b"/a\0").payload, b"x");
}

#[test]
fn a_hangup_saves_while_it_runs() {
    let mut daemon = keeper(directory());
    told(&daemon.socket, "write", &["/a", "saved"]);
    daemon.signal(Signal::HUP);
    daemon.await_message("saved the state in");
    told(&daemon.socket, "write", &["/a", "lost"]);
    let (_, directory) = daemon.end(Signal::KILL);
    let daemon = keeper(directory);
    assert_eq!(told(&daemon.socket, "read", &["/a"]), "saved\n");
}

#[test]
fn a_hangup_without_a_file_is_survived_and_explained() {
    let mut daemon = Daemon::start();
    daemon.signal(Signal::HUP);
    daemon.await_message("start it with --state FILE");
    assert!(daemon.client().is_served());
}

#[test]
fn a_live_update_loses_no_watch_and_no_reply() {
    let daemon = keeper(directory());
    let mut watcher = daemon.client();
    assert_eq!(watcher.ask(MessageType::Watch, b"/a\0token\0").payload, b"OK\0");
    assert_eq!(watcher.receive().unwrap().payload, b"/a\0token\0");
    let mut other = daemon.client();
    let transaction = other.ask(MessageType::TransactionStart, b"\0").payload;
    let transaction = std::str::from_utf8(payload::one(&transaction).unwrap()).unwrap().to_owned();
    assert_eq!(daemon.client().ask(MessageType::Control, b"live-update\0").payload, b"OK\0");
    assert_eq!(daemon.client().ask(MessageType::Write, b"/a/b\0x").payload, b"OK\0");
    assert_eq!(watcher.receive().unwrap().payload, b"/a/b\0token\0");
    // A transaction over the update is to be done again.
    let header = Header {
        transaction: transaction.parse().unwrap(),
        ..Header::unsolicited(MessageType::TransactionEnd)
    };
    other.send(&Message { header, payload: b"T\0".to_vec() }.encode());
    assert_eq!(other.receive().unwrap().payload, b"EAGAIN\0");
    // It saves as well.
    let (_, directory) = daemon.end(Signal::KILL);
    assert!(fs::metadata(file_in(&directory)).unwrap().len() > 0);
}

#[test]
fn a_state_that_cannot_be_used_is_left_as_it_is() {
    let (_, directory) = keeper(directory()).end(Signal::TERM);
    let file = file_in(&directory);
    let good = fs::read(&file).unwrap();
    let mut other_version = good.clone();
    other_version[8] = 99;
    for (bytes, sentence) in [
        (&good[..good.len() - 3], "ends too early"),
        (b"something else entirely", "not a dump"),
        (b"", "not a dump"),
        (&other_version, "version 99"),
        (&[&good[..], b"more"].concat(), "follows the end"),
    ] {
        fs::write(&file, bytes).unwrap();
        let socket = directory.path().join("socket");
        let arguments = ["--socket", socket.to_str().unwrap(), "--state", file.to_str().unwrap()];
        let output = xenstored(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = complaint(&output);
        assert!(said.contains("cannot be used") && said.contains(sentence), "{said}");
        assert_eq!(fs::read(&file).unwrap(), bytes);
        assert!(!socket.exists());
    }
}

#[test]
fn a_file_that_cannot_be_written_is_found_out_at_the_start() {
    let directory = directory();
    let socket = directory.path().join("socket");
    let file = directory.path().join("missing/state");
    let arguments = ["--socket", socket.to_str().unwrap(), "--state", file.to_str().unwrap()];
    let output = xenstored(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("cannot save the state in"), "{}", complaint(&output));
    assert!(!socket.exists());
}

//! Many clients, and clients that behave badly: each is alone with what it does.

mod support;

use std::io::{ErrorKind, Write};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::Signal;
use support::{Client, Daemon, directory, request};
use xenstore::wire::{Header, MessageType};

/// Each at work between the others' requests.
const CLIENTS: usize = 400;

#[test]
fn hundreds_of_clients_are_served_at_once() {
    let daemon = Daemon::start();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| daemon.client()).collect();
    for _ in 0..5 {
        for client in &mut clients {
            client.send(&request(MessageType::Read, b"/\0"));
        }
        for client in &mut clients {
            assert!(client.receive().is_some());
        }
    }
}

#[test]
fn a_flood_slows_down_its_sender_alone() {
    let daemon = Daemon::start();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = daemon.client();
                let requests = request(MessageType::Read, b"/\0").repeat(200);
                while !done.load(Ordering::Relaxed) {
                    client.send(&requests);
                    for _ in 0..200 {
                        client.receive().unwrap();
                    }
                }
            });
        }
        let mut client = daemon.client();
        for _ in 0..200 {
            assert!(client.is_served());
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn who_does_not_read_is_not_waited_for() {
    let daemon = Daemon::start();
    let mut other = daemon.client();
    let value = [b'x'; 4000];
    other.ask(MessageType::Write, &[&b"/long\0"[..], &value].concat());
    let mut deaf = daemon.client();
    deaf.stream.set_nonblocking(true).unwrap();
    let requests = request(MessageType::Read, b"/long\0").repeat(100);
    let mut sent = 0;
    // Until the server takes no more of it, also after it had time for somebody else.
    loop {
        match deaf.stream.write(&requests) {
            Ok(count) => {
                sent += count;
                assert!(sent < 4 << 20, "the server takes requests without end");
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let before = sent;
                for _ in 0..20 {
                    assert!(other.is_served());
                    sent += deaf.stream.write(&requests).unwrap_or(0);
                }
                if sent == before {
                    break;
                }
            }
            // Or until it is cut off.
            Err(_) => break,
        }
    }
    assert!(other.is_served());
    assert!(daemon.client().is_served());
}

#[test]
fn who_does_not_take_its_events_is_cut_off_in_the_end() {
    let daemon = Daemon::start();
    let mut deaf = daemon.client();
    let token = [b't'; 3000];
    deaf.send(&request(MessageType::Watch, &[&b"/a\0"[..], &token, b"\0"].concat()));
    let mut writer = daemon.client();
    // More than the server keeps for one client and the socket holds: 24 MB. Each of another node,
    // since an event that waits already does not wait twice.
    for node in 0..8000 {
        writer.ask(MessageType::Write, format!("/a/{node}\0x").as_bytes());
    }
    while deaf.receive().is_some() {}
    assert!(daemon.client().is_served());
}

#[test]
fn a_request_in_pieces_is_one_request() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    for byte in request(MessageType::Read, b"/\0") {
        client.send(&[byte]);
    }
    assert_eq!(client.receive().unwrap().header.request, 0);
    assert!(client.is_served());
}

#[test]
fn who_stops_in_the_middle_of_a_request_holds_up_nobody() {
    let daemon = Daemon::start();
    let bytes = request(MessageType::Write, b"/a\0value");
    let halves: Vec<Client> = (0..bytes.len())
        .map(|length| {
            let mut client = daemon.client();
            client.send(&bytes[..length]);
            client
        })
        .collect();
    assert!(daemon.client().is_served());
    drop(halves);
    assert!(daemon.client().is_served());
}

#[test]
fn a_length_that_no_message_has_ends_that_connection() {
    let daemon = Daemon::start();
    let mut good = daemon.client();
    for len in [4097, 0x7fff_ffff, u32::MAX] {
        let mut bad = daemon.client();
        bad.send(&Header { len, ..Header::unsolicited(MessageType::Write) }.encode());
        assert!(bad.receive().is_none());
        assert!(good.is_served());
    }
}

#[test]
fn types_that_do_not_exist_get_an_error() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    for message_type in [15, 16, 20, 23, 0xffff, u32::MAX] {
        let head = Header { message_type, len: 3, ..Header::unsolicited(MessageType::Read) };
        client.send(&[&head.encode()[..], b"/a\0"].concat());
        let reply = client.receive().unwrap();
        assert_eq!(reply.header.kind(), Some(MessageType::Error), "{message_type}");
    }
    assert!(client.is_served());
}

#[test]
fn noise_harms_nobody_else() {
    let daemon = Daemon::start();
    let mut good = daemon.client();
    let mut state = 0x1234_5678_9abc_def1_u64;
    for _ in 0..50 {
        let noise: Vec<u8> = (0..2000)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        // It may be cut off before all is sent.
        let _ = daemon.client().stream.write_all(&noise);
        assert!(good.is_served());
    }
}

#[test]
fn clients_beyond_the_number_of_descriptors_wait_for_their_turn() {
    let directory = directory();
    let socket = directory.path().join("socket");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 24; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_xenstored")]);
    command.arg("--socket").arg(&socket);
    let daemon = Daemon::await_ready(command, directory);
    let mut clients: Vec<Client> = (0..40).map(|_| daemon.client()).collect();
    let mut last = clients.pop().unwrap();
    last.send(&request(MessageType::Read, b"/\0"));
    assert!(clients[0].is_served());
    drop(clients);
    assert!(last.receive().is_some());
    assert_eq!(daemon.end(Signal::TERM).0, Some(0));
}

//! Both halves against each other with bytes split anyhow, and each against bytes of an enemy.

use super::client::Event as Heard;
use super::frame::{FRAME_MAX, Kind};
use super::server::Event;
use super::*;
use crate::fake::FakeMachine;
use crate::terminal::{InputMode, Size, Stream};
use crate::toolstack::Error;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::string::String;
use std::vec;
use std::vec::Vec;

/// The host's half, driven by what a test wants typed, behind a channel that splits as it likes.
struct Host {
    client: Client,
    files: Vec<Vec<u8>>,
    sent: Vec<usize>,
    /// What is typed, a piece whenever domain 0 waits; then the end of input, or nothing.
    keys: VecDeque<Vec<u8>>,
    ends_input: bool,
    /// The host goes away when it would have nothing more to do.
    leaves: bool,
    /// Sizes of the pieces that bytes travel in, over and over.
    splits: Vec<usize>,
    at: usize,
    heard: Result<(), Violation>,
    accepted: bool,
    out: Vec<u8>,
    err: Vec<u8>,
    modes: Vec<InputMode>,
    status: Option<u8>,
}

impl Host {
    fn new(words: &[&str], files: &[(&str, Vec<u8>)]) -> Self {
        let request = Request {
            words: words.iter().map(|word| String::from(*word)).collect(),
            size: Some(Size { rows: 24, columns: 80 }),
            files: files.iter().map(|(name, file)| ((*name).into(), file.len() as u64)).collect(),
        };
        Self {
            client: Client::new(&request).unwrap(),
            files: files.iter().map(|(_, file)| file.clone()).collect(),
            sent: vec![0; files.len()],
            keys: VecDeque::new(),
            ends_input: false,
            leaves: false,
            splits: vec![1000],
            at: 0,
            heard: Ok(()),
            accepted: false,
            out: Vec::new(),
            err: Vec::new(),
            modes: Vec::new(),
            status: None,
        }
    }

    fn split(&mut self, most: usize) -> usize {
        self.at += 1;
        self.splits[self.at % self.splits.len()].clamp(1, most)
    }

    /// Does the next thing that a host does; false if there is nothing.
    fn go_on(&mut self) -> bool {
        if let Some((index, _)) = self.client.wants_file() {
            let rest = &self.files[index][self.sent[index]..];
            let count = rest.len().min(777);
            let count = self.client.file(&rest[..count]);
            self.sent[index] += count;
            return true;
        }
        if self.client.wants_input() {
            if let Some(keys) = self.keys.pop_front() {
                self.client.input(&keys);
                return true;
            }
            if core::mem::take(&mut self.ends_input) {
                self.client.end_input();
                return true;
            }
        }
        false
    }

    fn hear(&mut self, mut bytes: &[u8]) -> Result<(), Violation> {
        while let Some(event) = self.client.next(&mut bytes)? {
            match event {
                Heard::Accepted => self.accepted = true,
                Heard::Output(Stream::Out, bytes) => self.out.extend(bytes),
                Heard::Output(Stream::Err, bytes) => self.err.extend(bytes),
                Heard::InputMode(mode) => self.modes.push(mode),
                Heard::Exit(status) => self.status = Some(status),
            }
        }
        Ok(())
    }

    /// The verb, carried out; the exit status, standard output and standard error.
    fn run(&mut self, machine: &mut FakeMachine, room: u64) -> (Option<u8>, &str, &str) {
        serve(self, machine, room);
        assert_eq!(self.heard, Ok(()));
        let text = |bytes| core::str::from_utf8(bytes).unwrap();
        (self.status, text(&self.out), text(&self.err))
    }
}

impl Channel for Host {
    fn receive(&mut self, into: &mut [u8]) -> Incoming {
        let waiting = self.client.outbox.waiting().len();
        if waiting == 0 {
            return if self.leaves && self.status.is_none() && !self.has_more() {
                Incoming::Closed
            } else {
                Incoming::Nothing
            };
        }
        let count = self.split(waiting.min(into.len()));
        into[..count].copy_from_slice(&self.client.outbox.waiting()[..count]);
        self.client.outbox.sent(count);
        Incoming::Bytes(count)
    }

    fn has_incoming(&mut self) -> bool {
        !self.client.outbox.waiting().is_empty()
    }

    fn send(&mut self, bytes: &[u8]) -> usize {
        let count = self.split(bytes.len());
        if self.heard.is_ok() {
            self.heard = self.hear(&bytes[..count]);
        }
        // Keys are typed while the verb talks.
        if self.client.wants_input() {
            self.go_on();
        }
        count
    }

    fn wait(&mut self) {
        assert!(self.go_on(), "domain 0 waits for ever");
    }
}

impl Host {
    fn has_more(&self) -> bool {
        self.client.wants_file().is_some() || !self.keys.is_empty() || self.ends_input
    }
}

const ROOM: u64 = 10 << 20;

#[test]
fn a_verb_is_carried_out() {
    let mut host = Host::new(&["domid", "web"], &[]);
    assert_eq!(host.run(&mut FakeMachine::new(), 0), (Some(0), "1\n", ""));
    let mut host = Host::new(&["domid", "wbe"], &[]);
    let (status, out, err) = host.run(&mut FakeMachine::new(), 0);
    assert_eq!((status, out), (Some(1), ""));
    assert_eq!(err, "Can't get domid of domain name 'wbe', maybe this domain does not exist.\n");
}

#[test]
fn files_come_along() {
    let kernel: Vec<u8> = (0..200_000).map(|index| (index % 253) as u8).collect();
    let config = b"name = 'a'; kernel = 'k'; ramdisk = 'r'".to_vec();
    let files = [("a.cfg", config), ("k", kernel), ("r", vec![])];
    let mut machine = FakeMachine::new();
    let mut host = Host::new(&["create", "a.cfg"], &files);
    host.splits = vec![1, 7, 4096, 100];
    let ended = host.run(&mut machine, ROOM);
    assert_eq!(ended, (Some(0), "", "Parsing config from a.cfg\n"));
    assert_eq!(machine.acts, ["create a kernel 200000 ramdisk 0", "unpause d2"]);
    // A file that the config names, but the host did not send.
    let mut host = Host::new(&["create", "-q", "a.cfg", "kernel='z'"], &files);
    let (status, _, err) = host.run(&mut machine, ROOM);
    assert_eq!(
        (status, err),
        (Some(3), "cannot read the kernel: z: it did not come along from the host\n")
    );
}

#[test]
fn too_much_is_refused_before_it_is_sent() {
    let files = [("a.cfg", vec![0; 2000]), ("k", vec![0; 100_000])];
    let mut host = Host::new(&["create", "a.cfg"], &files);
    let (status, _, err) = host.run(&mut FakeMachine::new(), 50 << 10);
    assert_eq!(
        (status, err),
        (Some(3), "100 KiB of files are too many: domain 0 has room for 50 KiB\n")
    );
    assert_eq!((host.accepted, host.sent[0], host.sent[1]), (false, 0, 0));
}

#[test]
fn a_console_is_a_stream_both_ways() {
    let mut machine = FakeMachine::new();
    machine.console.extend([b"login: ".to_vec(), vec![], vec![], vec![], vec![], vec![], vec![]]);
    let mut host = Host::new(&["console", "web"], &[]);
    host.keys.extend([b"roo".to_vec(), b"t\n\x1d".to_vec()]);
    assert_eq!(host.run(&mut machine, 0), (Some(0), "login: ", ""));
    assert_eq!(machine.typed, b"root\n");
    assert_eq!(host.modes[..2], [InputMode::Raw, InputMode::Line]);
}

#[test]
fn a_table_has_a_screen_of_its_own() {
    let mut host = Host::new(&["top"], &[]);
    host.keys.push_back(b"q".to_vec());
    assert_eq!(host.run(&mut FakeMachine::new(), 0).0, Some(0));
    assert_eq!(host.modes[..2], [InputMode::Screen, InputMode::Line]);
}

#[test]
fn the_end_of_input_and_a_host_that_leaves() {
    let mut machine = FakeMachine::new();
    machine.console.extend(vec![vec![]; 20]);
    let mut host = Host::new(&["console", "web"], &[]);
    host.keys.push_back(b"halt\n".to_vec());
    host.ends_input = true;
    assert_eq!(host.run(&mut machine, 0).0, Some(0));
    assert_eq!(machine.typed, b"halt\n");
    let mut host = Host::new(&["shutdown", "-w", "web"], &[]);
    host.leaves = true;
    assert_eq!(host.run(&mut machine, 0).0, Some(130));
    // The same while files are on their way.
    let mut host = Host::new(&["create", "a.cfg"], &[("a.cfg", vec![0; 10])]);
    host.leaves = true;
    host.files[0].truncate(0);
    host.client.outbox.sent(3);
    serve(&mut host, &mut machine, ROOM);
    assert_eq!(host.status, Some(3));
}

#[test]
fn windows_have_sizes() {
    let mut server = Server::default();
    let request = Request { size: Some(Size { rows: 3, columns: 4 }), ..Request::default() };
    let mut client = Client::new(&request).unwrap();
    client.resize(Size { rows: 50, columns: 300 });
    let bytes = client.outbox.waiting().to_vec();
    let mut input = &bytes[..];
    assert_eq!(server.next(&mut input), Ok(Some(Event::Start(request))));
    let size = Some(Size { rows: 50, columns: 300 });
    assert_eq!(server.next(&mut input), Ok(Some(Event::Resize(size))));
    assert_eq!(server.next(&mut input), Ok(None));
    let none = Request { size: None, ..Request::default() };
    let bytes = Client::new(&none).unwrap().outbox.waiting().to_vec();
    let started = Server::default().next(&mut &bytes[..]).unwrap();
    assert_eq!(started, Some(Event::Start(none)));
}

#[test]
fn requests_that_are_too_long_are_not_made() {
    let words = |length| Request { words: vec!["x".repeat(length)], ..Request::default() };
    assert!(Client::new(&words(60_000)).is_some());
    assert!(Client::new(&words(FRAME_MAX)).is_none());
    let files = Request { files: vec![("x".into(), 0); FILES_MAX + 1], ..Request::default() };
    assert!(Client::new(&files).is_none());
}

/// Frames of any kind with any payload.
type Frames<'a> = &'a [(u8, &'a [u8])];

/// Their bytes.
fn frames(frames: Frames<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, payload) in frames {
        bytes.push(*kind);
        bytes.extend((payload.len() as u32).to_le_bytes());
        bytes.extend(*payload);
    }
    bytes
}

/// A request for one file of three bytes.
fn start() -> Vec<u8> {
    let files = vec![("f".into(), 3)];
    Request { files, ..Request::default() }.encode().unwrap()
}

/// What a server makes of bytes, one after another; it accepts what it can.
fn violation(bytes: &[u8]) -> Option<Violation> {
    let mut server = Server::default();
    let mut input = bytes;
    loop {
        match server.next(&mut input) {
            Ok(None) => return None,
            Ok(Some(Event::Start(_))) => server.accept(),
            Ok(Some(_)) => {}
            Err(violation) => {
                return Some(violation);
            }
        }
    }
}

#[test]
fn an_enemy_s_frames_are_violations() {
    let start = start();
    let cases: &[(Frames<'_>, Violation)] = &[
        (&[(0, &[])], Violation::UnknownKind(0)),
        // Domain 0's kinds are not the host's.
        (&[(Kind::Out as u8, b"x")], Violation::UnknownKind(Kind::Out as u8)),
        (&[(2, b"x")], Violation::OutOfOrder(Kind::File)),
        (&[(3, b"x")], Violation::OutOfOrder(Kind::Input)),
        (&[(4, &[])], Violation::OutOfOrder(Kind::InputEnd)),
        (&[(5, &[0; 4])], Violation::OutOfOrder(Kind::Resize)),
        (&[(1, &[])], Violation::Malformed(Kind::Start)),
        (&[(1, &[9, 0])], Violation::Version(9)),
        (&[(1, &[1, 0, 0, 0, 0, 0, 255, 255, 0, 0])], Violation::Malformed(Kind::Start)),
        (&[(1, &[1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0xff])], Violation::Malformed(Kind::Start)),
        (&[(1, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7])], Violation::Malformed(Kind::Start)),
        (&[(1, &start), (1, &start)], Violation::OutOfOrder(Kind::Start)),
        (&[(1, &start), (2, b"abcd")], Violation::Malformed(Kind::File)),
        (&[(1, &start), (2, b"abc"), (2, b"d")], Violation::OutOfOrder(Kind::File)),
        (&[(1, &start), (2, b"ab"), (3, b"x")], Violation::OutOfOrder(Kind::Input)),
        (&[(1, &start), (5, &[1, 2, 3])], Violation::Malformed(Kind::Resize)),
        (&[(1, &start), (2, b"abc"), (4, b"x")], Violation::Malformed(Kind::InputEnd)),
    ];
    for (sent, expected) in cases {
        assert_eq!(violation(&frames(sent)), Some(*expected), "{sent:?}");
    }
    assert_eq!(violation(&[3, 1, 0, 1, 0]), Some(Violation::TooLong(65537)));
    let fine =
        frames(&[(1, &start), (2, b""), (2, b"a"), (5, &[0; 4]), (2, b"bc"), (3, b"x"), (4, b"")]);
    assert_eq!(violation(&fine), None);
}

#[test]
fn a_host_hears_an_enemy() {
    let cases: &[(Frames<'_>, Violation)] = &[
        (&[(1, &[])], Violation::UnknownKind(1)),
        (&[(16, b"x")], Violation::Malformed(Kind::Accept)),
        (&[(16, b""), (16, b"")], Violation::OutOfOrder(Kind::Accept)),
        (&[(19, &[3])], Violation::Malformed(Kind::Mode)),
        (&[(20, &[])], Violation::Malformed(Kind::Exit)),
        (&[(20, &[0]), (20, &[0])], Violation::OutOfOrder(Kind::Exit)),
        (&[(20, &[0]), (17, b"x")], Violation::OutOfOrder(Kind::Out)),
    ];
    for (sent, expected) in cases {
        assert_eq!(Host::new(&[], &[]).hear(&frames(sent)), Err(*expected), "{sent:?}");
    }
}

#[test]
fn domain_0_tells_a_host_that_it_does_not_understand() {
    let mut host = Host::new(&[], &[]);
    host.client.outbox.sent(usize::MAX);
    host.client.outbox.push(Kind::Input, b"x");
    let (status, _, err) = host.run(&mut FakeMachine::new(), 0);
    assert_eq!(status, Some(3));
    assert_eq!(
        err,
        "the host's xl and domain 0 do not understand each other: a frame out of order (Input)\n"
    );
}

#[test]
fn a_toolstack_that_fails_is_heard() {
    let mut machine = FakeMachine::new();
    machine.refuse = Some(Error::NoSuchDomain);
    let mut host = Host::new(&["pause", "web"], &[]);
    assert_eq!(host.run(&mut machine, 0).2, "pause failed: there is no such domain\n");
}

proptest! {
    #[test]
    fn any_splits_and_sizes_come_to_the_same(
        splits in prop::collection::vec(1usize..70_000, 1..8),
        sizes in prop::collection::vec(0usize..150_000, 2),
    ) {
        let config = b"name = 'a'; kernel = 'k'; ramdisk = 'r'".to_vec();
        let [kernel, ramdisk] = [vec![1; sizes[0]], vec![2; sizes[1]]];
        let mut host = Host::new(&["create", "a.cfg"], &[("a.cfg", config), ("k", kernel), ("r", ramdisk)]);
        host.splits = splits;
        let mut machine = FakeMachine::new();
        let ended = host.run(&mut machine, ROOM);
        prop_assert_eq!(ended, (Some(0), "", "Parsing config from a.cfg\n"));
        let made = std::format!("create a kernel {} ramdisk {}", sizes[0], sizes[1]);
        prop_assert_eq!(&machine.acts[0], &made);
    }

    #[test]
    fn no_bytes_make_a_half_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        violation(&bytes);
        let mut started = frames(&[(1, &start())]);
        started.extend(&bytes);
        violation(&started);
        let _ = Host::new(&[], &[]).hear(&bytes);
    }

    #[test]
    fn no_frames_make_a_half_panic(
        sent in prop::collection::vec((0u8..22, prop::collection::vec(any::<u8>(), 0..8)), 0..12),
    ) {
        let sent: Vec<(u8, &[u8])> = sent.iter().map(|(kind, bytes)| (*kind, &bytes[..])).collect();
        let bytes = frames(&sent);
        violation(&bytes);
        let mut started = frames(&[(1, &start())]);
        started.extend(&bytes);
        violation(&started);
        let _ = Host::new(&[], &[]).hear(&bytes);
    }
}

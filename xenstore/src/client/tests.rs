//! The client where the server is not the one of this crate.

use alloc::vec::Vec;
use pv_abi::errno::Errno;

use super::{Change, Client, Error, Store, Transport};
use crate::wire::{Header, Message, MessageType};

/// A server that says what it was told to, whatever it is asked.
struct Script {
    bytes: Vec<u8>,
    /// How many of them come at a time.
    piece: usize,
}

impl Transport for Script {
    type Error = ();

    fn send(&mut self, _: &[u8]) -> Result<(), ()> {
        Ok(())
    }

    fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, ()> {
        let count = self.bytes.len().min(bytes.len()).min(self.piece);
        bytes[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes.drain(..count);
        Ok(count)
    }
}

fn client(messages: &[(MessageType, u32, &[u8])]) -> Client<Script> {
    let encode = |(kind, request, payload): &(MessageType, u32, &[u8])| {
        let header = Header { request: *request, ..Header::unsolicited(*kind) };
        Message { header, payload: payload.to_vec() }.encode()
    };
    Client::new(Script { bytes: messages.iter().flat_map(encode).collect(), piece: 3 })
}

#[test]
fn events_before_a_reply_are_kept() {
    use MessageType as Is;
    let event: (_, _, &[u8]) = (Is::WatchEvent, 0, b"/a\0t\0");
    let mut client = client(&[event, (Is::Read, 1, b"value"), event]);
    assert_eq!(client.read("/x"), Ok(Some(b"value".to_vec())));
    let first = client.take_event().unwrap();
    assert_eq!((first.path.as_str(), first.token.as_str()), ("/a", "t"));
    assert!(client.take_event().is_none());
    assert_eq!(client.next_event(), Ok(first));
    assert_eq!(client.next_event(), Err(Error::Closed));
}

#[test]
fn an_event_that_came_together_with_a_reply_needs_no_waiting() {
    use MessageType as Is;
    let event: (_, _, &[u8]) = (Is::WatchEvent, 0, b"/a\0t\0");
    let mut client = client(&[(Is::Read, 1, b"value"), event]);
    client.transport.piece = 1024;
    client.read("/x").unwrap();
    assert!(client.has_event());
    client.next_event().unwrap();
    assert!(!client.has_event());
}

#[test]
fn errors_have_names() {
    let mut refusing = client(&[(MessageType::Error, 1, b"EACCES\0")]);
    assert_eq!(refusing.write("/a", b""), Err(Error::Refused(Errno::EACCES)));
    let mut strange = client(&[(MessageType::Error, 1, b"ESTRANGE\0")]);
    assert_eq!(strange.write("/a", b""), Err(Error::Malformed));
}

#[test]
fn nonsense_is_an_error() {
    use MessageType as Is;
    let wrong: [(_, _, &[u8]); 5] = [
        (Is::Write, 2, b"OK\0"),
        (Is::Read, 1, b"OK\0"),
        (Is::Write, 1, b"NO\0"),
        (Is::WatchEvent, 0, b"/a"),
        (Is::WatchEvent, 0, b"\xff\0t\0"),
    ];
    for message in wrong {
        assert_eq!(client(&[message]).write("/a", b""), Err(Error::Malformed), "{message:?}");
    }
    let long = Header { len: 5000, ..Header::unsolicited(Is::Write) };
    let mut client = Client::new(Script { bytes: long.encode().to_vec(), piece: 3 });
    assert_eq!(client.write("/a", b""), Err(Error::Malformed));
}

#[test]
fn changes_are_under_way_together_and_the_first_error_counts() {
    use MessageType as Is;
    let changes = [Change::Write { path: "/a", value: b"1" }; 3];
    let replies: [(_, _, &[u8]); 4] = [
        (Is::Write, 1, b"OK\0"),
        (Is::Error, 2, b"EACCES\0"),
        (Is::Error, 3, b"ENOSPC\0"),
        (Is::Read, 4, b"value"),
    ];
    let mut refusing = client(&replies);
    assert_eq!(refusing.change_all(&changes), Err(Error::Refused(Errno::EACCES)));
    assert_eq!(refusing.read("/x"), Ok(Some(b"value".to_vec())), "no reply was left behind");
    let mut out_of_order = client(&[(Is::Write, 2, b"OK\0"), (Is::Write, 1, b"OK\0")]);
    assert_eq!(out_of_order.change_all(&changes), Err(Error::Malformed));
    let mut gone = client(&replies[..1]);
    assert_eq!(gone.change_all(&changes), Err(Error::Closed));
}

#[test]
fn a_long_directory_that_changes_is_read_again() {
    use MessageType as Is;
    let mut client = client(&[
        (Is::Error, 1, b"E2BIG\0"),
        (Is::DirectoryPart, 2, b"7\0a\0b\0"),
        (Is::DirectoryPart, 3, b"8\0c\0\0"),
        (Is::DirectoryPart, 4, b"8\0a\0b\0"),
        (Is::DirectoryPart, 5, b"8\0c\0\0"),
    ]);
    assert_eq!(client.directory("/d").unwrap().unwrap(), ["a", "b", "c"]);
}

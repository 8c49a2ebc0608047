//! Servers that get in the way: conflicts, and answers that are none.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};
use std::thread;

use support::{run, text};
use xenstore::wire::{Framer, Header, Message, MessageType};

/// A reply to a request.
fn reply(request: &Message, kind: MessageType, payload: &[u8]) -> Vec<u8> {
    let header = Header { message_type: kind.raw(), ..request.header };
    Message { header, payload: payload.to_vec() }.encode()
}

/// What `xenstore-cli` says to a server that answers so, and what it asked.
fn against(
    words: &[&str],
    mut answer: impl FnMut(&Message) -> Vec<u8> + Send,
) -> (Output, Vec<MessageType>) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::scope(|scope| {
        let server = scope.spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut framer, mut asked) = (Framer::default(), Vec::new());
            let mut bytes = [0; 4096];
            loop {
                // The client may have given up, and closed its end with bytes unread.
                let count = stream.read(&mut bytes).unwrap_or(0);
                framer.push(&bytes[..count]);
                while let Some(request) = framer.next_message().unwrap() {
                    asked.push(request.header.kind().unwrap());
                    let answer = answer(&request);
                    // Nothing more to say: hang up.
                    if answer.is_empty() {
                        return asked;
                    }
                    let _ = stream.write_all(&answer);
                }
                if count == 0 {
                    return asked;
                }
            }
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_xenstore-cli"));
        command.arg("--socket").arg(&socket).args(words);
        (run(command), server.join().unwrap())
    })
}

#[test]
fn a_transaction_is_repeated_when_somebody_got_in_its_way() {
    use MessageType::{Read, TransactionEnd, TransactionStart};
    let mut ends = 0;
    let (output, asked) = against(&["read", "/a", "/b"], |request| match request.header.kind() {
        Some(TransactionStart) => reply(request, TransactionStart, b"7\0"),
        Some(Read) => {
            assert_eq!(request.header.transaction, 7);
            reply(request, Read, format!("try {ends}").as_bytes())
        }
        Some(TransactionEnd) => {
            assert_eq!(request.payload, b"T\0");
            ends += 1;
            match ends {
                1 | 2 => reply(request, MessageType::Error, b"EAGAIN\0"),
                _ => reply(request, TransactionEnd, b"OK\0"),
            }
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "try 2\ntry 2\n");
    assert_eq!(asked, [TransactionStart, Read, Read, TransactionEnd].repeat(3));
}

#[test]
fn a_failure_drops_the_transaction_and_a_transaction_that_fails_is_explained() {
    use MessageType::{Rm, TransactionEnd, TransactionStart};
    for (removed, ended, how, sentence) in [
        (&b"EACCES\0"[..], &b"OK\0"[..], &b"F\0"[..], "permission denied"),
        (b"", b"ENOSPC\0", b"T\0", "nothing was changed"),
    ] {
        let (output, _) = against(&["rm", "/a"], |request| match request.header.kind() {
            Some(TransactionStart) => reply(request, TransactionStart, b"7\0"),
            Some(Rm) if removed.is_empty() => reply(request, Rm, b"OK\0"),
            Some(Rm) => reply(request, MessageType::Error, removed),
            Some(TransactionEnd) => {
                assert_eq!(request.payload, how);
                let ok = ended == b"OK\0";
                reply(request, if ok { TransactionEnd } else { MessageType::Error }, ended)
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(sentence), "{}", text(&output.stderr));
    }
}

#[test]
fn what_is_no_answer_is_said_to_be_none() {
    for words in [
        &["read", "/a"][..],
        &["ls"],
        &["list", "/"],
        &["watch", "-n", "1", "/a"],
        &["control", "help"],
    ] {
        let too_long = Header { len: u32::MAX, ..Header::unsolicited(MessageType::Read) }.encode();
        let wrong_type = |request: &Message| reply(request, MessageType::SetTarget, b"x");
        let wrong_number = |request: &Message| {
            let header = Header { request: 99, ..request.header };
            Message { header, payload: b"x".to_vec() }.encode()
        };
        let no_error = |request: &Message| reply(request, MessageType::Error, b"EWHAT");
        let (hung_up, _) = against(words, |_| Vec::new());
        assert!(text(&hung_up.stderr).contains("closed the connection"), "{words:?}");
        for output in [
            hung_up,
            against(words, |_| too_long.to_vec()).0,
            against(words, wrong_type).0,
            against(words, wrong_number).0,
            against(words, no_error).0,
        ] {
            let said = text(&output.stderr);
            let code = if words[0] == "control" { 3 } else { 1 };
            assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
            assert!(said.starts_with("xenstore-cli: "), "{words:?}: {said}");
            assert_eq!(said.lines().count(), 1, "{words:?}: {said}");
        }
    }
}

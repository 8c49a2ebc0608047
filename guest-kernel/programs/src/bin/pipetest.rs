//! `pipe`, `dup`, `dup2`: bytes go from one process to another, in order, and end when they should.
//!
//! Expected: only `ok` lines; status 0.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: raw system calls that write to a buffer lent to them.

use guest_programs::Args;
use guest_programs::check::Checks;
use guest_programs::sys::{self, Ended, Errno, Result, nr};

guest_programs::entry!(main);

/// More than a pipe holds, so that writer and reader must wait for each other.
const BYTES: usize = 300_000;

/// What is written in one piece, and how often each of two writes it: more than a pipe holds.
const PIECE: usize = 3000;
const PIECES: usize = 50;

fn dup2(from: usize, to: usize) -> Result {
    // SAFETY: 1. It changes no memory.
    unsafe { sys::call(nr::DUP2, &[from, to]) }
}

fn main(_args: Args) -> u8 {
    let mut checks = Checks::new();
    let Ok((reader, writer)) = sys::pipe() else {
        checks.that(false, format_args!("pipe"));
        return checks.status();
    };
    let mut buffer = [0; 16];
    checks.same(sys::write(writer, b"hello"), Ok(5), "write to a pipe");
    checks.same(sys::read(reader, &mut buffer[..3]), Ok(3), "read of a part");
    checks.same(sys::read(reader, &mut buffer), Ok(2), "read of the rest");
    checks.same(sys::read(writer, &mut buffer), Err(Errno::EBADF), "the write end is not read");
    checks.same(sys::write(reader, b"x"), Err(Errno::EBADF), "the read end is not written");
    // SAFETY: 1. It changes no memory.
    let seek = unsafe { sys::call(nr::LSEEK, &[reader, 0, 0]) };
    checks.same(seek, Err(Errno::ESPIPE), "a pipe has no position");

    let child = match sys::fork() {
        Ok(0) => {
            let _ = sys::close(reader);
            sys::exit(u8::from(!send(writer)))
        }
        other => other.unwrap_or(0),
    };
    checks.same(sys::close(writer), Ok(0), "close of the write end");
    checks.that(receive(reader), format_args!("300000 bytes arrive in order, then the end"));
    checks.same(sys::wait(child), Ok(Ended::Exited(0)), "the writer wrote them all");
    let _ = sys::close(reader);

    let Ok((reader, writer)) = sys::pipe() else { return 1 };
    let writers = [b'a', b'b'].map(|byte| match sys::fork() {
        Ok(0) => {
            let all = (0..PIECES).all(|_| sys::write(writer, &[byte; PIECE]) == Ok(PIECE));
            sys::exit(u8::from(!all))
        }
        other => other.unwrap_or(0),
    });
    let _ = sys::close(writer);
    checks.that(whole_pieces(reader), format_args!("what two write stays in one piece"));
    for child in writers {
        checks.same(sys::wait(child), Ok(Ended::Exited(0)), "one of two writers");
    }
    let _ = sys::close(reader);

    let broken = || {
        let Ok((reader, writer)) = sys::pipe() else { return 1 };
        let _ = sys::close(reader);
        u8::from(sys::write(writer, b"x") == Err(Errno::EPIPE))
    };
    checks.child(broken, Ended::Killed(13), "writing without a reader: SIGPIPE");

    // Standard output of a child goes into a pipe.
    let Ok((reader, writer)) = sys::pipe() else { return 1 };
    let redirect = || {
        let good = dup2(writer, 1) == Ok(1);
        let _ = sys::close(writer);
        guest_programs::print!("redirected");
        u8::from(!good)
    };
    checks.child(redirect, Ended::Exited(0), "dup2 onto standard output");
    checks.same(sys::read(reader, &mut buffer), Ok(10), "what it printed arrives");
    checks.same(&buffer[..10], b"redirected", "as it was printed");
    checks.same(dup2(99, 1), Err(Errno::EBADF), "dup2 of no file");
    checks.same(dup2(1, 1), Ok(1), "dup2 onto itself");
    checks.status()
}

fn pattern(index: usize) -> u8 {
    (index % 251) as u8
}

fn send(writer: usize) -> bool {
    let mut chunk = [0; 1000];
    let mut sent = 0;
    while sent < BYTES {
        for (index, byte) in chunk.iter_mut().enumerate() {
            *byte = pattern(sent + index);
        }
        match sys::write(writer, &chunk) {
            Ok(count @ 1..) => sent += count,
            _ => return false,
        }
    }
    sent == BYTES
}

/// Reads to the end: whether all pieces came, and none with another one's bytes in it.
fn whole_pieces(reader: usize) -> bool {
    let mut chunk = [0; 1000];
    let (mut received, mut of) = (0, 0);
    loop {
        match sys::read(reader, &mut chunk) {
            Ok(0) => return received == 2 * PIECES * PIECE,
            Ok(count) => {
                for &byte in &chunk[..count] {
                    if received % PIECE == 0 {
                        of = byte;
                    }
                    if byte != of {
                        return false;
                    }
                    received += 1;
                }
            }
            Err(_) => return false,
        }
    }
}

fn receive(reader: usize) -> bool {
    let mut chunk = [0; 777];
    let mut received = 0;
    loop {
        match sys::read(reader, &mut chunk) {
            Ok(0) => return received == BYTES,
            Ok(count) => {
                let good = |(index, &byte): (usize, &u8)| byte == pattern(received + index);
                if !chunk[..count].iter().enumerate().all(good) {
                    return false;
                }
                received += count;
            }
            Err(_) => return false,
        }
    }
}

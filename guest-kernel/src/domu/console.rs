//! The PV console's front end: a page of rings, and a port that rings when they change.
//!
//! Nobody behind the ring makes `\r\n` of a line's end, so it is done here, as a terminal's driver
//! does.
//!
//! Output is never lost: who finds the ring full waits until domain 0 has read some. That is the one
//! place where this kernel waits with upcalls masked, as a serial line's driver would.
#![allow(unsafe_code)] // UNSAFETY: the page is shared with domain 0.

use crate::mm::{PAGE, p2m};
use crate::ports::Channels;
use crate::sync::Guarded;
use core::ptr::NonNull;
use heapless::Vec;
use pv_abi::types::{Mfn, Port};
use ring1::abi::StartInfo;
use ring1::{calls, events};
use xenbus::console::Terminal;
use xenbus::memory::Mapped;

/// How long an event is waited for at most before the ring is looked at again, nanoseconds.
const PATIENCE_NS: u64 = 1_000_000_000;
/// Bytes that go into the ring at a time: an event for each, not for each line.
const PIECE: usize = 256;

static FRONT: Guarded<Option<Terminal<Mapped>>> = Guarded::new(None);

/// Takes the page and the port that the start info page names. Nothing is printed before that.
pub fn attach(start_info: &StartInfo) {
    let page = p2m::pfn(Mfn::new(u64::from(start_info.console.mfn)));
    let Some(base) = page.and_then(|pfn| NonNull::new(p2m::pointer::<u8>(pfn))) else { return };
    // SAFETY: 1. The builder laid the page out for this and mapped it; the frame allocator keeps it.
    // 2. Nothing else in this kernel reaches it.
    let memory = unsafe { Mapped::new(base, PAGE as usize) };
    if let Ok(terminal) = Terminal::new(memory, Port::new(start_info.console.evtchn)) {
        FRONT.with(|front| *front = Some(terminal));
        ring1::console::set_output(write);
    }
}

/// Puts all bytes into the ring; none any more once domain 0 broke it.
fn put(terminal: &mut Terminal<Mapped>, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        events::clear_port(terminal.port());
        match terminal.write(&mut Channels, rest) {
            Ok(0) => {
                let deadline = crate::time::now() + PATIENCE_NS;
                let _ = calls::poll(&[terminal.port()], deadline);
            }
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(_) => return,
        }
    }
}

/// The port that rings when something was typed, or read.
pub fn port() -> Option<Port> {
    FRONT.with(|front| front.as_ref().map(Terminal::port))
}

/// Prints all bytes; on a console that domain 0 broke, none.
fn write(bytes: &[u8]) {
    FRONT.with(|front| {
        let Some(terminal) = front else { return };
        let mut piece = Vec::<u8, PIECE>::new();
        for &byte in bytes {
            let end: &[u8] = if byte == b'\n' { b"\r\n" } else { &[byte] };
            if piece.extend_from_slice(end).is_err() {
                put(terminal, &piece);
                piece.clear();
                // It fits now.
                let _ = piece.extend_from_slice(end);
            }
        }
        put(terminal, &piece);
        // What was typed meanwhile may have come with an event that was taken for room.
        if terminal.waiting().is_ok_and(|count| count > 0) {
            events::raise_port(terminal.port());
        }
    })
}

/// Takes what was typed, as much as fits; how many bytes. `None`: there is no such console.
pub fn read(into: &mut [u8]) -> Option<usize> {
    FRONT.with(|front| {
        let terminal = front.as_mut()?;
        Some(terminal.read(&mut Channels, into).unwrap_or(0))
    })
}

//! The PV console: a guest's half, and the half of the daemon that keeps all consoles.
//!
//! A domain is born with one console, whose page and port stand in its start info: a [`Terminal`]
//! in the guest, a [`Console`] in the daemon, no handshake. More come as devices
//! (`device/console/<id>`): [`FrontEnd`] and, again, [`Console`] are the drivers of their two
//! halves. The nodes are Xen's: `ring-ref` and `port`.
//!
//! **Flow control.** The guest writes what fits and keeps the rest until the daemon's event says
//! that there is room. The daemon never makes a guest wait for somebody who reads: what is printed
//! goes to a [`Log`] that forgets its oldest bytes, and each reader has a position in it. Towards
//! the guest it is the same: bytes typed wait in the daemon while the guest's ring is full, and so
//! many only.
//!
//! **Bounds.** One [`Console::poll`] takes at most a ring's worth, so a guest that prints without
//! end gets its turn like the others.

mod back;
mod front;
mod log;

use pv_abi::errno::Errno;

use crate::memory::Corrupt;

pub use back::{Console, Polled};
pub use front::{FrontEnd, Terminal};
pub use log::{Chunk, Log};

/// A console that is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The peer broke the ring.
    Ring(Corrupt),
    /// The event channel is gone.
    Event(Errno),
}

impl From<Corrupt> for Broken {
    fn from(corrupt: Corrupt) -> Broken {
        Broken::Ring(corrupt)
    }
}

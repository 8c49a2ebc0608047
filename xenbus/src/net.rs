//! The network device: a guest's half, the half of the domain that has the network, and the bridge
//! behind it.
//!
//! A device has one queue or several, each with two rings: in one the guest hands out pages with
//! what it transmits, in the other pages for what it shall receive. The back end copies out of and
//! into those pages by grant; it maps the rings alone. The nodes and the rules are Xen's
//! (`xen/io/netif.h`), and where that is silent those of Linux's `xen-netback` and `xen-netfront`,
//! which are the peers one meets.
//!
//! ```text
//!  guest                                       domain 0
//!  Interface --> front::Link --tx ring-------> back::Link --> Bridge --> other ports
//!                            <-------rx ring--
//! ```
//!
//! **What a frame takes along.** Between two domains nobody has to compute what protects bytes on a
//! wire. A [`Frame`] says whether its checksum is [there](Checksum), and whether it is a row of
//! [segments](Segments) in one. Each half tells the other what it copes with; what a peer does not
//! cope with is made good before it sees the frame ([`Frame::suit`]).
//!
//! **Order.** Frames of one flow take one queue ([`flow`]), and a queue keeps them in order. Across
//! queues there is none.
//!
//! **Bounds.** One poll moves a bounded number of slots. What a guest does not take waits up to a
//! bound and is lost beyond it, as with any network: nobody else waits for it.
//!
//! **Restart.** Requests are answered in their order, so a new back end can take the rings over
//! where its predecessor left off (`Restart::Attach`). Frames that were under way may be lost or
//! come twice, which networks do.
//!
//! **The peer is an enemy.** Each slot is copied out once and then judged. A frame that is wrong is
//! answered by an error and does no other harm. What shows that the peer does not follow the
//! protocol (an index that cannot be, a frame without end, bytes past a page) is [`Broken`]: the
//! link is of no use any more.

pub mod back;
pub mod bridge;
mod checksum;
mod frame;
pub mod front;
mod nodes;
mod segment;

use pv_abi::errno::Errno;

use crate::memory::Corrupt;

pub use checksum::leave_blank;
pub use frame::{Checksum, Copes, Family, Frame, Mac, Segments, flow, parse_mac};

/// Bytes of the page that one slot names.
const PAGE: usize = crate::memory::PAGE_SIZE;

/// Bytes of an Ethernet header: no frame is shorter.
pub const HEADER: usize = 14;

/// Queues of a device at most.
pub const QUEUES: usize = 8;

/// A link that is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The peer broke a ring.
    Ring(Corrupt),
    /// An event channel is gone.
    Event(Errno),
    /// The peer does not follow the protocol: what it did.
    Protocol(&'static str),
}

impl From<Corrupt> for Broken {
    fn from(corrupt: Corrupt) -> Broken {
        Broken::Ring(corrupt)
    }
}

impl core::fmt::Display for Broken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Broken::Ring(Corrupt { ours, theirs }) => {
                write!(f, "a ring's index is {theirs:#x}, ours {ours:#x}")
            }
            Broken::Event(errno) => write!(f, "an event channel is gone: {errno:?}"),
            Broken::Protocol(what) => f.write_str(what),
        }
    }
}

#[cfg(test)]
mod tests;

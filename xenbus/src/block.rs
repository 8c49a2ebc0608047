//! Block devices (`xen/io/blkif.h`), both halves.
//!
//! The front end asks to read, write, flush or discard sectors; the back end has what stands behind
//! the device do it, many requests at a time, and answers each when it is done, in any order:
//!
//! ```text
//!   FrontEnd                    ring slots                 BackEnd               Storage
//!   begin(write) -- page of the pool, granted -------->  take, check
//!                                                        copy the data in ---->  submit
//!   finish  <------------------- response -------------  complete  <-----------  completed
//! ```
//!
//! **Sectors** have 512 bytes in every number that goes through the ring or stands in the node
//! `sectors`, whatever `sector-size` says: so do Linux's halves, and so says Xen's header since 4.20.
//! (Older ones say otherwise where a front end writes `feature-large-sector-size`; ours does not.) A
//! disk of larger sectors refuses requests that are not whole ones.
//!
//! **Data is copied, never mapped.** The back end copies it by `GNTTABOP_copy`: once, so that what was
//! checked is what is done; without a page table changed or a TLB flushed; and with nothing to take
//! back when a domain dies. The front end moves data through a pool of pages that it granted once
//! (so it offers `feature-persistent` to back ends that map): pages of its callers hold other
//! things, too, which another domain must not see.
//!
//! **Order.** Requests are done in any order, except around a barrier: it waits for all that were
//! taken before it, flushes, writes, flushes again, and nothing is taken meanwhile. What was answered
//! before a flush began lasts when that is answered.
//!
//! **Restarts.** A back end that starts anew lets the front end make its rings anew
//! ([`Restart::Anew`](crate::handshake::Restart)): answers come in any order, so nobody can tell from
//! a ring what is still to be done. What was asked and not answered is [lost](Outcome::Lost) to the
//! front end, whose caller has the data still, and asks again; what was answered is done.
//!
//! **Trust.** Each request is copied out of the ring once, [checked](check) as a whole, and only then
//! anything is done; what is wrong with it is its answer. So much may be under way for one device
//! ([`back::PAGES`]) and no more. A front end believes of its back end that an answer means what it
//! says, and nothing else.

pub mod back;
pub mod check;
pub mod front;
pub mod pool;
pub mod storage;
pub mod wire;

pub use back::BackEnd;
pub use front::{Ask, FrontEnd, Outcome, Refusal, Ticket};
pub use storage::{Chunk, Done, Properties, Storage, Work};
pub use wire::{Layout, Protocol, X86_32, X86_64};

use crate::memory::Corrupt;

/// Bytes of a sector, as they are counted here.
pub const SECTOR: usize = 512;

/// A peer made its device useless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// An index of a ring claims what cannot be.
    Ring(Corrupt),
    /// A response to a request that is none.
    Response(u64),
}

impl From<Corrupt> for Broken {
    fn from(corrupt: Corrupt) -> Broken {
        Broken::Ring(corrupt)
    }
}

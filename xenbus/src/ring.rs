//! Rings of requests and responses (`xen/io/ring.h`): block, network and most other devices.
//!
//! The front end writes requests into slots and takes responses out of them; the back end the other
//! way round. One array of slots serves both: a response takes the slot of a request that was taken
//! before. So there never are more requests on their way than slots, and the front end has room for
//! a request as long as fewer are outstanding:
//!
//! ```text
//!        rsp_cons       rsp_prod       req_cons       req_prod
//!   . . . . RRRRRRRRRRRRRRR. . being handled. QQQQQQQQQQQQQQQ. . . . .
//!            responses                         requests
//!            \_______________ at most all slots _____________/
//! ```
//!
//! `req_prod` and `rsp_prod` are in shared memory, the others private. Indices run freely and wrap
//! at 2^32; the slot is the index modulo the number of slots, a power of two.
//!
//! **Notification avoidance.** `req_event` and `rsp_event` say at which index of the peer's a half
//! wants an event. A half that has nothing to do writes there "the next one", and then looks once
//! more (`final_check`, C's `RING_FINAL_CHECK_FOR_*`); a half that publishes looks at it
//! afterwards. Between store and load, on both sides, is a full barrier: at least one of the two
//! sees what the other wrote, so either the peer finds the message by its last look or the
//! publisher sends an event. (`tests/loom/tests/ring.rs` tries all orders, and fails without either
//! barrier or the last look.)
//!
//! **Trust.** The peer's index is judged whenever it is read: more requests than there are slots
//! free of unanswered ones, or more responses than outstanding requests, are
//! [`Corrupt`](crate::memory::Corrupt). A message is copied in whole before anybody looks at it.
//! What the peer may still do is send nonsense, or ask for more or fewer events than it needs: its
//! own loss.

mod back;
mod front;

use core::mem::offset_of;

use pv_abi::io::ring::RingHead;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::memory::{SharedMemory, TooSmall};

pub use back::BackRing;
pub use front::FrontRing;

const REQ_PROD: usize = offset_of!(RingHead, req_prod);
const REQ_EVENT: usize = offset_of!(RingHead, req_event);
const RSP_PROD: usize = offset_of!(RingHead, rsp_prod);
const RSP_EVENT: usize = offset_of!(RingHead, rsp_event);
const SLOTS: usize = size_of::<RingHead>();

/// A request or a response: plain bytes, without padding that would carry secrets to the peer.
pub trait Message: FromBytes + IntoBytes + Immutable {}
impl<T: FromBytes + IntoBytes + Immutable> Message for T {}

/// Whether a half has to send an event for what it published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a peer that sleeps is not woken"]
pub enum Notify {
    /// The peer sleeps, or is about to.
    Yes,
    /// It is awake and will look.
    No,
}

/// There is no slot for another message: a front end's requests are all outstanding, or a back end
/// answers what was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// How shared memory is divided into slots.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    /// How many slots there are: a power of two.
    slots: u32,
    /// Bytes of a slot.
    size: usize,
}

impl Geometry {
    /// As many slots for requests and responses of these types as fit after the head, rounded down
    /// to a power of two.
    fn of<Req, Rsp>(memory: &impl SharedMemory) -> Result<Geometry, TooSmall> {
        let size = size_of::<Req>().max(size_of::<Rsp>());
        let fit = memory.size().saturating_sub(SLOTS).checked_div(size).unwrap_or(0);
        let power = fit.checked_ilog2().ok_or(TooSmall)?.min(31);
        Ok(Geometry { slots: 1 << power, size })
    }

    /// Where the slot of an index begins.
    fn offset(self, index: u32) -> usize {
        SLOTS + (index & (self.slots - 1)) as usize * self.size
    }

    fn read<T: Message>(self, memory: &impl SharedMemory, index: u32) -> T {
        let mut message = T::new_zeroed();
        memory.copy_out(self.offset(index), message.as_mut_bytes());
        message
    }

    fn write<T: Message>(self, memory: &impl SharedMemory, index: u32, message: &T) {
        memory.copy_in(self.offset(index), message.as_bytes());
    }
}

/// Writes a new index of ours where the peer sees it, and says whether the peer wants an event.
fn publish(
    memory: &impl SharedMemory,
    (index, event): (usize, usize),
    (old, new): (u32, u32),
) -> Notify {
    // The peer sees the messages before the index.
    memory.store(index, new);
    // The peer sees the index before we look whether it sleeps.
    memory.barrier();
    let wanted = memory.load(event);
    // Whether `wanted` is one of the indices after `old`, up to `new`.
    if new.wrapping_sub(wanted) < new.wrapping_sub(old) { Notify::Yes } else { Notify::No }
}

/// Asks for an event when the peer's index gets to `wanted`. The caller looks once more, afterwards.
fn ask_for_event(memory: &impl SharedMemory, event: usize, wanted: u32) {
    memory.store(event, wanted);
    // The peer sees what we want before we take our last look.
    memory.barrier();
}

#[cfg(test)]
mod tests;

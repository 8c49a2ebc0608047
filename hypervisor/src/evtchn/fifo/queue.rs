//! The protocol of the FIFO ABI, apart from where its words lie.
//!
//! Each port has a word of the guest's: three flags and a link to the next port. A queue is
//! a chain of such words; its head is in the control block of a vCPU, where a bit beside it
//! says "not empty". We append, the guest takes from the front. The tail we keep for
//! ourselves, and a guest that empties a queue does not tell us: it clears `LINKED` in the
//! last word, so that a tail whose word is not `LINKED` is the tail of nothing.
//!
//! ```text
//! us: port comes                          | guest: drains a queue
//! set PENDING                             | ready = swap(control.ready, 0)
//! unless MASKED, set LINKED; was it?      | head  = its own, or control.head
//!   no: append                            | link  = clear LINKED and LINK of head's word
//!     LINK of tail's word = port,         | link 0: the queue was empty behind it
//!       if that word is still LINKED      | if PENDING and not MASKED: clear PENDING,
//!     else control.head = port,           |   handle
//!       set ready bit; was clear: upcall  |
//!     tail = port                         |
//! ```
//!
//! One word holds flag and link, so "is the tail still in the queue" and "link it" are one
//! compare-and-swap; and whether the guest saw us append or we saw that it had emptied the
//! queue is decided there, once. `LINKED` goes before `PENDING` at the guest, so an event that
//! comes while it is being handled is queued anew.
//!
//! # A guest that plays tricks
//!
//! The words are the guest's to write, and it may change them at any time. Of what we read
//! only the flags are used: where to go on (tails, ports) we know by ourselves, and links
//! are never followed. A guest that rewrites the tail's word all the time makes our
//! compare-and-swap fail; `BUSY` tells an honest one to stop unmasking it, so more than
//! [`ATTEMPTS`] failures are malice and the event is lost to it.

use crate::cell::Cell;

/// An event came that the guest has not handled.
pub const PENDING: u32 = 1 << pv_abi::event_channel::EVTCHN_FIFO_PENDING;
/// Nobody is to be told.
pub const MASKED: u32 = 1 << pv_abi::event_channel::EVTCHN_FIFO_MASKED;
/// The port is in a queue.
pub const LINKED: u32 = 1 << pv_abi::event_channel::EVTCHN_FIFO_LINKED;
/// The link is being written: the guest is not to unmask the port just now.
pub const BUSY: u32 = 1 << pv_abi::event_channel::EVTCHN_FIFO_BUSY;
/// The next port.
const LINK: u32 = pv_abi::event_channel::EVTCHN_FIFO_LINK_MASK;

/// Tries to write a link once the word is `BUSY`. An honest guest can come in between three
/// times: it clears `PENDING`, sets `MASKED`, clears `LINKED`.
pub const ATTEMPTS: u32 = 4;

/// What an event led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Raised {
    /// It is the first since the guest cleared `PENDING`.
    pub newly: bool,
    /// It was put into a queue.
    pub queued: bool,
    /// That queue was empty, so its vCPU is to be told.
    pub upcall: bool,
}

/// The queue that an event goes to.
pub struct Target<'a, C> {
    /// Where the guest finds its first port.
    pub head: &'a C,
    /// A bit per priority: its queue is not empty.
    pub ready: &'a C,
    /// The queue's bit there.
    pub ready_bit: u32,
}

/// An event of `port`, whose word is `word`, comes. `previous` and `tail` are the tails of
/// the queue it was in last and of the one that it goes to, which may be the same;
/// `word_of` finds another port's word. The caller holds what guards the tails.
#[inline(always)]
pub fn set_pending<'a, C: Cell + 'a>(
    port: u32,
    word: &C,
    tails: &mut impl Tails,
    target: &Target<'_, C>,
    word_of: impl FnOnce(u32) -> Option<&'a C>,
) -> Raised {
    // If we see the mask the guest, which unmasks and then looks, sees the event.
    let was = word.fetch_or(PENDING);
    let newly = was & PENDING == 0;
    if was & MASKED != 0 || word.fetch_or(LINKED) & LINKED != 0 {
        return Raised { newly, queued: false, upcall: false };
    }
    // It was the last of a queue that the guest has emptied: nothing may be appended to it
    // there, now that it looks linked again.
    tails.forget(port);
    let tail = tails.replace(port);
    let appended = tail != 0 && word_of(tail).is_some_and(|tail| set_link(tail, port));
    if !appended {
        // Before the bit: who sees the bit finds the port.
        target.head.store(port);
    }
    let upcall = !appended && target.ready.fetch_or(target.ready_bit) & target.ready_bit == 0;
    Raised { newly, queued: true, upcall }
}

/// The tails of the queues that a port is in or goes to.
pub trait Tails {
    /// If `port` is the tail of the queue that it was in last, that queue is empty.
    fn forget(&mut self, port: u32);
    /// Makes `port` the tail of the queue that it goes to; returns what was, 0 for none.
    fn replace(&mut self, port: u32) -> u32;
}

/// Links `port` behind the port of `word`; false if that is in no queue any more.
fn set_link<C: Cell>(word: &C, port: u32) -> bool {
    let was = word.load();
    match try_link(word, was, port) {
        Outcome::Changed => {}
        done => return done == Outcome::Linked,
    }
    let mut was = word.fetch_or(BUSY) | BUSY;
    for _ in 0..ATTEMPTS {
        match try_link(word, was, port) {
            Outcome::Changed => was = word.load(),
            Outcome::Linked => return true,
            Outcome::NotLinked => break,
        }
    }
    let left = word.fetch_and(!BUSY);
    // After so many attempts the guest gets no upcall for its tricks.
    left & LINKED != 0
}

#[derive(PartialEq, Eq)]
enum Outcome {
    Linked,
    NotLinked,
    Changed,
}

/// Writes the link, if the word is still as it was.
#[inline(always)]
fn try_link<C: Cell>(word: &C, was: u32, port: u32) -> Outcome {
    if was & LINKED == 0 {
        return Outcome::NotLinked;
    }
    match word.compare_exchange(was, was & !(BUSY | LINK) | port) {
        Ok(()) => Outcome::Linked,
        Err(_) => Outcome::Changed,
    }
}

/// Unmasks a port. Returns whether it is pending, and so its event comes again.
pub fn unmask<C: Cell>(word: &C) -> bool {
    word.fetch_and(!MASKED) & PENDING != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell as Plain;

    /// A word whose guest interferes before each of our compare-and-swaps.
    struct Contested<'a> {
        word: Plain<u32>,
        swaps: Plain<u32>,
        interfere: &'a dyn Fn(u32) -> u32,
    }

    impl Contested<'_> {
        fn new(word: u32, interfere: &dyn Fn(u32) -> u32) -> Contested<'_> {
            Contested { word: Plain::new(word), swaps: Plain::new(0), interfere }
        }
    }

    impl Cell for Contested<'_> {
        fn load(&self) -> u32 {
            self.word.get()
        }
        fn store(&self, value: u32) {
            self.word.set(value);
        }
        fn fetch_or(&self, bits: u32) -> u32 {
            self.word.replace(self.word.get() | bits)
        }
        fn fetch_and(&self, bits: u32) -> u32 {
            self.word.replace(self.word.get() & bits)
        }
        fn compare_exchange(&self, old: u32, new: u32) -> Result<(), u32> {
            self.swaps.set(self.swaps.get() + 1);
            self.word.set((self.interfere)(self.word.get()));
            if self.word.get() != old {
                return Err(self.word.get());
            }
            self.word.set(new);
            Ok(())
        }
    }

    #[test]
    fn an_undisturbed_link_takes_one_swap() {
        let word = Contested::new(PENDING | LINKED, &|word| word);
        assert!(set_link(&word, 5));
        assert_eq!((word.load(), word.swaps.get()), (PENDING | LINKED | 5, 1));
        let word = Contested::new(PENDING, &|word| word);
        assert!(!set_link(&word, 5), "its queue is empty");
        assert_eq!((word.load(), word.swaps.get()), (PENDING, 0));
    }

    #[test]
    fn an_honest_guest_disturbs_three_times_at_most() {
        // It clears PENDING, sets MASKED, clears LINKED.
        let word = Contested::new(PENDING | LINKED, &|word| match word & !BUSY {
            w if w & PENDING != 0 => word & !PENDING,
            w if w & MASKED == 0 => word | MASKED,
            w if w & LINKED != 0 => word & !LINKED,
            _ => word,
        });
        assert!(!set_link(&word, 5));
        assert_eq!(word.load(), MASKED, "BUSY is gone");
        assert!(word.swaps.get() <= 1 + ATTEMPTS);
    }

    #[test]
    fn a_guest_that_never_stops_loses_the_event() {
        let word = Contested::new(LINKED, &|word| word ^ MASKED);
        assert!(set_link(&word, 5), "no upcall for that");
        assert_eq!(word.swaps.get(), 1 + ATTEMPTS);
        assert_eq!(word.load() & BUSY, 0);
    }
}

//! Locks that know their place in the order in which locks are taken.
//!
//! Every lock of [`System`](crate::system::System) has a [`Rank`]. Who waits for a lock holds
//! only locks of lower ranks, so no two CPUs wait for each other. A lock may also be
//! *tried*, out of order, by who does something else when it is taken.
//!
//! Debug builds for the host, which are what `cargo test` runs, remember which locks a thread
//! holds and stop at the first that is waited for out of order, whether or not another thread
//! is in its way. On the machine a lock is `spin`'s and nothing else.

#[cfg(all(debug_assertions, not(target_os = "none")))]
#[path = "checked.rs"]
mod place;
#[cfg(not(all(debug_assertions, not(target_os = "none"))))]
#[path = "unchecked.rs"]
mod place;

use core::ops::{Deref, DerefMut};

use place::{Held, Place};

/// A lock's place in the order, outermost first.
///
/// No two locks of one rank are held at once, but for [`pair`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rank {
    /// A vCPU's state, which the CPU has that runs it. Below it another's is only ever tried.
    Vcpu,
    /// Domain control, and how far a domain's end has come. Only ever tried.
    Control,
    /// Page-table types of a domain's frames.
    Paging,
    /// What a domain shares with others: its ports, its grant table, or its records of others'
    /// grants. Of two domains' ports the lower number's come first.
    Sharing,
    /// A domain's pirqs.
    Pirqs,
    /// An interrupt line of the machine.
    Line,
    /// The machine's MSI-X tables.
    MsixTables,
    /// A CPU's list of vCPUs whose timers it serves, while those that are due ring.
    Timers,
    /// A domain's FIFO queues.
    Fifo,
    /// A CPU's run queue.
    RunQueue,
    /// What nothing else is taken below: the heap, a vCPU's runstate, a domain's cap, watchdogs
    /// and permissions, the indexed ports, device registers, read-only memory, the wall clock.
    Leaf,
}

/// Something that one CPU at a time may reach.
pub struct Lock<T> {
    inner: spin::Mutex<T>,
    place: Place,
}

/// The right to reach what a [`Lock`] guards, until it is dropped.
pub struct Guard<'a, T> {
    inner: spin::MutexGuard<'a, T>,
    _held: Held,
}

impl<T> Lock<T> {
    /// Nobody has it.
    pub const fn new(rank: Rank, value: T) -> Lock<T> {
        Lock { inner: spin::Mutex::new(value), place: Place::new(rank) }
    }

    /// Waits for it.
    #[inline(always)]
    pub fn lock(&self) -> Guard<'_, T> {
        let held = self.place.wait();
        Guard { inner: self.inner.lock(), _held: held }
    }

    /// Waits for it, and does `meanwhile` over and over while somebody else has it.
    #[inline(always)]
    pub fn lock_doing(&self, meanwhile: impl Fn()) -> Guard<'_, T> {
        let held = self.place.wait();
        loop {
            if let Some(inner) = self.inner.try_lock() {
                return Guard { inner, _held: held };
            }
            meanwhile();
            core::hint::spin_loop();
        }
    }

    /// Takes it if nobody has it.
    #[inline(always)]
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        let inner = self.inner.try_lock()?;
        Some(Guard { inner, _held: self.place.take() })
    }

    /// What it guards, of which nobody else can know.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    /// The lock without its place: for who has leaked a guard, and unlocks by force.
    pub fn without_place(&self) -> &spin::Mutex<T> {
        &self.inner
    }
}

/// Waits for two locks of one rank, in the order that goes for those.
pub fn pair<'a, T>(first: &'a Lock<T>, second: &'a Lock<T>) -> (Guard<'a, T>, Guard<'a, T>) {
    let guard = first.lock();
    let held = second.place.wait_beside(&first.place);
    (guard, Guard { inner: second.inner.lock(), _held: held })
}

/// That no lock above `most` is held; checked where locks are.
#[inline(always)]
pub fn expect_at_most(most: Rank) {
    place::expect_at_most(most);
}

impl<'a, T> Guard<'a, T> {
    /// Keeps it taken for ever, or until it is unlocked by force. Its place in the order is free.
    pub fn leak(guard: Self) -> &'a mut T {
        spin::MutexGuard::leak(guard.inner)
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    fn locks() -> [Lock<u32>; 3] {
        [Rank::Paging, Rank::Sharing, Rank::Sharing].map(|rank| Lock::new(rank, 0))
    }

    #[test]
    fn locks_are_taken_in_order_and_dropped_in_any() {
        let [paging, ports, others] = locks();
        let outer = paging.lock();
        let (first, second) = pair(&ports, &others);
        drop(outer);
        drop(first);
        drop(second);
        let meanwhile = paging.lock_doing(|| ());
        drop(ports.lock());
        drop(meanwhile);
        drop(paging.lock());
    }

    #[test]
    #[should_panic(expected = "Paging is waited for while [Sharing] is held")]
    fn one_that_is_waited_for_out_of_order_is_found() {
        let [paging, ports, _] = locks();
        let _inner = ports.lock();
        let _ = paging.lock_doing(|| ());
    }

    #[test]
    #[should_panic(expected = "Sharing is waited for while [Sharing] is held")]
    fn so_are_two_of_one_rank() {
        let [_, ports, others] = locks();
        let _first = ports.lock();
        let _ = others.lock();
    }

    #[test]
    #[should_panic(expected = "Paging is waited for while [Sharing] is held")]
    fn one_that_was_tried_counts_as_held() {
        let [paging, ports, _] = locks();
        let _inner = ports.try_lock();
        let _ = paging.lock();
    }

    #[test]
    fn to_try_is_always_permitted() {
        let [paging, ports, _] = locks();
        let inner = ports.lock();
        assert!(paging.try_lock().is_some() && ports.try_lock().is_none());
        drop(inner);
    }

    #[test]
    #[should_panic(expected = "[Paging, Sharing] is held")]
    fn what_waits_for_other_cpus_says_what_it_may_hold() {
        let [paging, ports, _] = locks();
        let _outer = paging.lock();
        expect_at_most(Rank::Paging);
        let _inner = ports.lock();
        expect_at_most(Rank::Paging);
    }

    #[test]
    fn a_lock_that_was_leaked_is_no_longer_in_the_way() {
        let [paging, ports, _] = locks();
        *Guard::leak(ports.lock()) = 1;
        drop(paging.lock());
        assert!(ports.try_lock().is_none());
    }
}

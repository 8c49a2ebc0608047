//! A lock that is waited for asleep: for state that is kept over reads and writes of disks.
//!
//! [`Guarded`](crate::sync) state must not be borrowed while its task sleeps; a file system is. One
//! task has the lock, others sleep until it is free. Not for event handlers, which cannot sleep. On
//! the host tests share what is static: one waits for another's thread, and panics where it would wait
//! for itself.

use core::ops::{Deref, DerefMut};
use core::sync::atomic::AtomicU32;

/// A value behind the lock.
pub struct Mutex<T> {
    waiting: AtomicU32,
    value: spin::Mutex<T>,
}

/// The lock is held while this lives.
pub struct Guard<'a, T> {
    /// None only while it is dropped.
    value: Option<spin::MutexGuard<'a, T>>,
    waiting: &'a AtomicU32,
}

impl<T> Mutex<T> {
    /// A value behind a lock that nobody holds.
    pub const fn new(value: T) -> Self {
        Self { waiting: AtomicU32::new(0), value: spin::Mutex::new(value) }
    }

    /// Waits until the lock is free, and takes it.
    #[track_caller]
    pub fn lock(&self) -> Guard<'_, T> {
        Guard { value: Some(machine::wait(self)), waiting: &self.waiting }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("a lock is used while it is given back"),
        }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => unreachable!("a lock is used while it is given back"),
        }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        machine::given_back(self.waiting);
    }
}

#[cfg(all(target_os = "none", target_arch = "x86"))]
mod machine {
    use super::{AtomicU32, Mutex};
    use crate::task::scheduler;
    use core::sync::atomic::Ordering;
    use ring1::events::Masked;

    /// The channel of a lock: its address. Whoever else sleeps on that number, as the parent of a
    /// process of a very high one would, is woken once too often, which all who sleep stand.
    fn channel(waiting: &AtomicU32) -> u32 {
        core::ptr::from_ref(waiting).addr() as u32
    }

    pub fn wait<T>(mutex: &Mutex<T>) -> spin::MutexGuard<'_, T> {
        let _masked = Masked::new();
        loop {
            if let Some(guard) = mutex.value.try_lock() {
                return guard;
            }
            mutex.waiting.fetch_add(1, Ordering::Relaxed);
            scheduler::sleep(channel(&mutex.waiting), 0);
            mutex.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub fn given_back(waiting: &AtomicU32) {
        if waiting.load(Ordering::Relaxed) > 0 {
            scheduler::wake(channel(waiting));
        }
    }
}

#[cfg(not(all(target_os = "none", target_arch = "x86")))]
mod machine {
    use super::{AtomicU32, Mutex};

    #[track_caller]
    pub fn wait<T>(mutex: &Mutex<T>) -> spin::MutexGuard<'_, T> {
        #[cfg(test)]
        held::add(&mutex.waiting);
        mutex.value.lock()
    }

    pub fn given_back(_waiting: &AtomicU32) {
        #[cfg(test)]
        held::remove(_waiting);
    }

    /// The locks that each thread has, or waits for.
    #[cfg(test)]
    mod held {
        use super::AtomicU32;
        use std::cell::RefCell;
        use std::vec::Vec;

        std::thread_local! {
            static HELD: RefCell<Vec<*const AtomicU32>> = const { RefCell::new(Vec::new()) };
        }

        #[track_caller]
        pub fn add(lock: *const AtomicU32) {
            HELD.with_borrow_mut(|held| {
                assert!(!held.contains(&lock), "a lock is taken twice");
                held.push(lock);
            });
        }

        pub fn remove(lock: *const AtomicU32) {
            HELD.with_borrow_mut(|held| held.retain(|other| *other != lock));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    #[should_panic(expected = "a lock is taken twice")]
    fn nobody_waits_for_himself() {
        let lock = Mutex::new(());
        let _held = lock.lock();
        let _again = lock.lock();
    }

    #[test]
    fn threads_take_turns() {
        let lock = Mutex::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| *lock.lock() += 1));
            }
        });
        assert_eq!(*lock.lock(), 4000);
    }
}

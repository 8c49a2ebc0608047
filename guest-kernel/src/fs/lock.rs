//! A lock that is waited for asleep: for state that is kept over reads and writes of disks.
//!
//! [`Guarded`](crate::sync) state must not be borrowed while its task sleeps; a file system is. One
//! task has the lock, others sleep until it is free. Not for event handlers, which cannot sleep. On
//! the host, where tests have one thread each, waiting would be for ever, and panics.

use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering};

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
        if self.waiting.load(Ordering::Relaxed) > 0 {
            machine::wake(self.waiting);
        }
    }
}

#[cfg(all(target_os = "none", target_arch = "x86"))]
mod machine {
    use super::{AtomicU32, Mutex, Ordering};
    use crate::arch::events::Masked;
    use crate::task::scheduler;

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

    pub fn wake(waiting: &AtomicU32) {
        scheduler::wake(channel(waiting));
    }
}

#[cfg(not(all(target_os = "none", target_arch = "x86")))]
mod machine {
    use super::{AtomicU32, Mutex};

    #[track_caller]
    pub fn wait<T>(mutex: &Mutex<T>) -> spin::MutexGuard<'_, T> {
        match mutex.value.try_lock() {
            Some(guard) => guard,
            None => panic!("a lock is taken twice"),
        }
    }

    pub fn wake(_: &AtomicU32) {}
}

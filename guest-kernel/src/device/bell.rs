//! What wakes a device's task.

use crate::task::scheduler;
use crate::waker::Waker;
use core::sync::atomic::{AtomicBool, Ordering};

/// Bells that there are: the manager's, and one for each device.
pub(super) const BELLS: u32 = 256;

static RUNG: [AtomicBool; BELLS as usize] = [const { AtomicBool::new(false) }; BELLS as usize];

/// A task's bell. A copy is the same one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bell(u32);

impl Bell {
    /// The manager's.
    pub(super) const MANAGER: Bell = Bell(0);

    /// The one with this number, below [`BELLS`].
    pub(super) fn new(number: u32) -> Bell {
        Bell(number % BELLS)
    }

    /// Its number, for [`ring_number`].
    pub(super) fn number(self) -> u32 {
        self.0
    }

    /// Has the task look at everything again. From anywhere, upcalls masked or not.
    pub fn ring(self) {
        ring_number(self.0);
    }

    /// What rings it, for those who want a waker.
    pub fn waker(self) -> Waker {
        Waker { call: ring_number, argument: self.0 }
    }

    /// The scheduler's channel on which the task sleeps.
    pub fn channel(self) -> u32 {
        scheduler::DEVICES + self.0
    }

    /// Whether it was rung since the last time.
    pub(super) fn take(self) -> bool {
        let rung = RUNG.get(self.0 as usize);
        rung.is_some_and(|rung| rung.swap(false, Ordering::Relaxed))
    }
}

/// As [`Bell::ring`], for those who call a function with a number: ports, interrupts.
pub(super) fn ring_number(number: u32) {
    if let Some(rung) = RUNG.get(number as usize) {
        rung.store(true, Ordering::Relaxed);
        scheduler::wake(scheduler::DEVICES + number);
    }
}

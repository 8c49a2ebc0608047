//! Shared state of a kernel on one vCPU: masking upcalls is the lock.
//!
//! [`Guarded`] lends its value to one function at a time with upcalls masked, so neither a handler
//! nor another task can come between. What stays borrowed must not block and must not touch user
//! memory (a page fault there wants the same state). Taking one twice is a bug and panics.
#![allow(unsafe_code)] // UNSAFETY: interior mutability behind the mask.

use core::cell::{Cell, RefCell, RefMut, UnsafeCell};
use ring1::events::Masked;

/// State that tasks and event handlers share.
pub struct Guarded<T> {
    borrowed: Cell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: 1. One vCPU. 2. `with` masks upcalls, so nothing else runs meanwhile, and refuses a second
// borrow by the same code.
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    /// Guards a value.
    pub const fn new(value: T) -> Self {
        Self { borrowed: Cell::new(false), value: UnsafeCell::new(value) }
    }

    /// Lends the value to `f`, upcalls masked.
    #[track_caller]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let _masked = Masked::new();
        assert!(!self.borrowed.replace(true), "shared state taken twice");
        // SAFETY: 1. The flag was clear: no other borrow lives. 2. Nothing preempts this code.
        let result = f(unsafe { &mut *self.value.get() });
        self.borrowed.set(false);
        result
    }
}

/// State of one task that only the task itself uses, through a shared reference to it.
///
/// Borrows may last over blocking and preemption, but not over access to user memory when the page
/// fault handler needs the same state.
pub struct Owned<T>(RefCell<T>);

// SAFETY: 1. By contract only the owning task borrows it: a task is never in two places at once.
// 2. Page faults of the task nest in it, and meet `RefCell`'s check.
unsafe impl<T: Send> Sync for Owned<T> {}

impl<T> Owned<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// Borrows the value. Only for the task that it belongs to.
    #[track_caller]
    pub fn borrow(&self) -> RefMut<'_, T> {
        self.0.borrow_mut()
    }
}

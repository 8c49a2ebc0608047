//! Who is told that something happened: a function with an argument, to be called from anywhere.
//!
//! A [`Waker`] is called by event handlers, too, upcalls masked: it sets something down and wakes
//! a task, and never comes back to whoever calls it.

/// What is called when something happens, with its argument.
#[derive(Clone, Copy, Debug)]
pub struct Waker {
    /// The function; it must not come back to the caller.
    pub call: fn(u32),
    /// Its argument.
    pub argument: u32,
}

impl Waker {
    /// Calls it.
    pub fn wake(self) {
        (self.call)(self.argument);
    }

    /// Whether waking one has woken the other.
    #[must_use]
    pub fn is(self, other: Self) -> bool {
        core::ptr::fn_addr_eq(self.call, other.call) && self.argument == other.argument
    }
}

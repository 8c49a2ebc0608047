//! Interrupts that come too often.
//!
//! A level comes once for each time that its guest ends it, but an edge or a message comes as
//! often as its device likes, and each time costs Ring 0 a moment on the CPU that it goes to. A
//! source that came [`MOST`] times within [`WINDOW_NS`] is masked for as long again; then its
//! guest gets one event, lest what it missed stays unseen, and the source is let go.

use core::sync::atomic::{AtomicU64, Ordering};

use super::arrive;
use crate::platform::Platform;
use crate::sched::NEVER;
use crate::system::System;

/// Interrupts of one source in a window: 100 000 a second.
pub const MOST: u32 = 1000;
/// The window, in ns: 10 ms, as in Xen (which allows ten times as many).
pub const WINDOW_NS: u64 = 10_000_000;

/// How often a source came lately.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Storm {
    window_ns: u64,
    count: u32,
    quiet_until_ns: Option<u64>,
}

impl Storm {
    /// It has not come yet.
    pub const fn new() -> Storm {
        Storm { window_ns: 0, count: 0, quiet_until_ns: None }
    }

    /// Counts an interrupt. If it is one too many: until when the source is to be quiet.
    pub fn count(&mut self, now_ns: u64) -> Option<u64> {
        if now_ns.saturating_sub(self.window_ns) >= WINDOW_NS {
            self.window_ns = now_ns;
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        if self.count <= MOST {
            return None;
        }
        let until_ns = now_ns.saturating_add(WINDOW_NS);
        self.quiet_until_ns = Some(until_ns);
        Some(until_ns)
    }

    /// Whether the source has to be quiet.
    pub fn is_quiet(&self) -> bool {
        self.quiet_until_ns.is_some()
    }
}

impl Default for Storm {
    fn default() -> Self {
        Storm::new()
    }
}

/// When the first of the quiet sources is let go; [`NEVER`]: none is quiet.
pub struct Calm(AtomicU64);

impl Calm {
    /// No source is quiet.
    pub const fn new() -> Calm {
        Calm(AtomicU64::new(NEVER))
    }

    /// One is, until then.
    pub(super) fn note(&self, until_ns: u64) {
        self.0.fetch_min(until_ns, Ordering::AcqRel);
    }
}

impl Default for Calm {
    fn default() -> Self {
        Calm::new()
    }
}

/// Lets go the sources that have been quiet for long enough; returns when to call again, or
/// [`NEVER`]. For the timer interrupt of any CPU.
pub fn let_go<P: Platform>(sys: &System<P>, now_ns: u64) -> u64 {
    let due_ns = sys.irqs.calm.0.load(Ordering::Acquire);
    if due_ns > now_ns {
        return due_ns;
    }
    // Whoever silences a source from here on notes it anew.
    sys.irqs.calm.0.store(NEVER, Ordering::Release);
    for (_, line) in sys.irqs.lines() {
        let mut line = line.lock();
        match line.storm.quiet_until_ns {
            Some(until_ns) if until_ns <= now_ns => {
                line.storm = Storm::new();
                line.hush(sys, false);
                arrive::ring(sys, &line);
            }
            Some(until_ns) => sys.irqs.calm.note(until_ns),
            None => {}
        }
    }
    sys.irqs.calm.0.load(Ordering::Acquire)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_in_a_window() {
        let mut storm = Storm::new();
        for _ in 0..MOST {
            assert_eq!(storm.count(WINDOW_NS), None);
        }
        assert!(!storm.is_quiet());
        assert_eq!(storm.count(2 * WINDOW_NS - 1), Some(3 * WINDOW_NS - 1));
        assert!(storm.is_quiet());
    }

    #[test]
    fn windows_do_not_add_up() {
        let mut storm = Storm::new();
        for window in 1..5 {
            for _ in 0..MOST {
                assert_eq!(storm.count(window * WINDOW_NS), None);
            }
        }
    }
}

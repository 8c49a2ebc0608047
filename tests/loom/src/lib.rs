//! Models of what rests on memory ordering: loom runs them under every interleaving of their
//! threads, and every value that a load may see.
//!
//! The code under test is the project's own, generic over the words that it works on: the
//! hypervisor's over [`hypervisor::cell::Cell`], where the other side of each protocol, the guest's, is
//! written here as Linux has it; the rings of `xenbus`, both ends, over [`shared::Memory`]. Each protocol also has a model with a mistake in it, which
//! must fail: it shows that the model can tell.

pub mod shared;

use hypervisor::cell::Cell;
use loom::sync::atomic::{AtomicU32, Ordering, fence};

/// A shared word under loom.
///
/// On x86 a locked instruction is a full barrier; loom takes a read-modify-write for less,
/// so the barriers are spelt out.
#[derive(Debug)]
pub struct Word(AtomicU32);

impl Word {
    /// A word.
    pub fn new(value: u32) -> Word {
        Word(AtomicU32::new(value))
    }

    /// Takes all of it: what a guest does with `xchg`.
    pub fn take(&self) -> u32 {
        self.fetch_and(0)
    }
}

fn locked<T>(f: impl FnOnce() -> T) -> T {
    fence(Ordering::SeqCst);
    let result = f();
    fence(Ordering::SeqCst);
    result
}

impl Cell for Word {
    fn load(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
    fn store(&self, value: u32) {
        self.0.store(value, Ordering::Release);
    }
    fn fetch_or(&self, bits: u32) -> u32 {
        locked(|| self.0.fetch_or(bits, Ordering::AcqRel))
    }
    fn fetch_and(&self, bits: u32) -> u32 {
        locked(|| self.0.fetch_and(bits, Ordering::AcqRel))
    }
    fn compare_exchange(&self, old: u32, new: u32) -> Result<(), u32> {
        let result =
            locked(|| self.0.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire));
        result.map(|_| ())
    }
}

/// Runs a model with at most `preemptions` switches away from a thread that could go on:
/// the bugs of such protocols show with two or three.
pub fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

//! Models of what rests on memory ordering: loom runs them under every interleaving of their
//! threads, and every value that a load may see.
//!
//! The code under test is the project's own, generic over the words that it works on: the
//! hypervisor's over [`hypervisor::cell::Cell`], where the other side of each protocol, the
//! guest's, is written here as Linux has it; the rings of `xenbus`, both ends, over
//! [`shared::Memory`]. Each protocol also has a model with a mistake in it, which must fail: it
//! shows that the model can tell.

pub mod shared;

use hypervisor::cell::Cell;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// A shared word under loom.
///
/// On x86 a locked instruction is a full barrier; loom takes a read-modify-write for less,
/// so the barriers are spelt out.
#[derive(Debug)]
pub struct Word(AtomicU32);

/// A shared word of 64 bits.
#[derive(Debug)]
pub struct DoubleWord(AtomicU64);

impl Word {
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

macro_rules! cell {
    ($name:ty, $atomic:ident, $word:ty) => {
        impl $name {
            /// A word.
            pub fn new(value: $word) -> Self {
                Self($atomic::new(value))
            }
        }

        impl Cell<$word> for $name {
            fn load(&self) -> $word {
                self.0.load(Ordering::Acquire)
            }
            fn store(&self, value: $word) {
                self.0.store(value, Ordering::Release);
            }
            fn fetch_or(&self, bits: $word) -> $word {
                locked(|| self.0.fetch_or(bits, Ordering::AcqRel))
            }
            fn fetch_and(&self, bits: $word) -> $word {
                locked(|| self.0.fetch_and(bits, Ordering::AcqRel))
            }
            fn compare_exchange(&self, old: $word, new: $word) -> Result<(), $word> {
                let change =
                    || self.0.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire);
                locked(change).map(|_| ())
            }
        }
    };
}

cell!(Word, AtomicU32, u32);
cell!(DoubleWord, AtomicU64, u64);

/// Runs a model with at most `preemptions` switches away from a thread that could go on:
/// the bugs of such protocols show with two or three.
pub fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

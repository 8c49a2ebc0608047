//! A word that somebody else changes under us: a guest, or another CPU.
//!
//! What lock-free protocols need of such a word, so that the same code runs on memory and in
//! the models of `pv-loom`, whose words are not memory.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A word shared with a guest, of 32 bits if nothing else is said.
///
/// Each change is a locked instruction and with it a full barrier: all CPUs see all changes
/// in one order, and no later load is made before one.
pub trait Cell<T = u32> {
    /// Reads it.
    fn load(&self) -> T;
    /// Writes it, with no barrier after.
    fn store(&self, value: T);
    /// Sets bits; returns what it was.
    fn fetch_or(&self, bits: T) -> T;
    /// Keeps only `bits`; returns what it was.
    fn fetch_and(&self, bits: T) -> T;
    /// Writes `new` if it is `old`; else returns what it is.
    fn compare_exchange(&self, old: T, new: T) -> Result<(), T>;
}

macro_rules! cell {
    ($atomic:ty, $word:ty) => {
        impl Cell<$word> for $atomic {
            #[inline(always)]
            fn load(&self) -> $word {
                self.load(Ordering::SeqCst)
            }
            #[inline(always)]
            fn store(&self, value: $word) {
                self.store(value, Ordering::Release);
            }
            #[inline(always)]
            fn fetch_or(&self, bits: $word) -> $word {
                self.fetch_or(bits, Ordering::SeqCst)
            }
            #[inline(always)]
            fn fetch_and(&self, bits: $word) -> $word {
                self.fetch_and(bits, Ordering::SeqCst)
            }
            #[inline(always)]
            fn compare_exchange(&self, old: $word, new: $word) -> Result<(), $word> {
                self.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).map(|_| ())
            }
        }
    };
}

cell!(AtomicU32, u32);
cell!(AtomicU64, u64);

/// A bit of a shared word.
pub struct Bit<'a, C> {
    word: &'a C,
    mask: u32,
}

impl<'a, C: Cell> Bit<'a, C> {
    /// Bit `number`, counted modulo 32, of `word`.
    #[inline(always)]
    pub fn new(word: &'a C, number: u32) -> Bit<'a, C> {
        Bit { word, mask: 1u32.wrapping_shl(number) }
    }

    /// Sets the bit; returns whether it was set.
    #[inline(always)]
    pub fn set(&self) -> bool {
        self.word.fetch_or(self.mask) & self.mask != 0
    }

    /// Clears the bit; returns whether it was set.
    #[inline(always)]
    pub fn clear(&self) -> bool {
        self.word.fetch_and(!self.mask) & self.mask != 0
    }

    /// Whether it is set.
    #[inline(always)]
    pub fn is_set(&self) -> bool {
        self.word.load() & self.mask != 0
    }
}

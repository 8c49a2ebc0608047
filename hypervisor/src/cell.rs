//! A word that somebody else changes under us: a guest, or another CPU.
//!
//! What lock-free protocols need of such a word, so that the same code runs on memory and in
//! the models of `pv-loom`, whose words are not memory.

use core::sync::atomic::{AtomicU32, Ordering};

/// A 32-bit word shared with a guest.
///
/// Each change is a locked instruction and with it a full barrier: all CPUs see all changes
/// in one order, and no later load is made before one.
pub trait Cell {
    /// Reads it.
    fn load(&self) -> u32;
    /// Writes it, with no barrier after.
    fn store(&self, value: u32);
    /// Sets bits; returns what it was.
    fn fetch_or(&self, bits: u32) -> u32;
    /// Keeps only `bits`; returns what it was.
    fn fetch_and(&self, bits: u32) -> u32;
    /// Writes `new` if it is `old`; else returns what it is.
    fn compare_exchange(&self, old: u32, new: u32) -> Result<(), u32>;
}

impl Cell for AtomicU32 {
    #[inline(always)]
    fn load(&self) -> u32 {
        self.load(Ordering::SeqCst)
    }
    #[inline(always)]
    fn store(&self, value: u32) {
        self.store(value, Ordering::Release);
    }
    #[inline(always)]
    fn fetch_or(&self, bits: u32) -> u32 {
        self.fetch_or(bits, Ordering::SeqCst)
    }
    #[inline(always)]
    fn fetch_and(&self, bits: u32) -> u32 {
        self.fetch_and(bits, Ordering::SeqCst)
    }
    #[inline(always)]
    fn compare_exchange(&self, old: u32, new: u32) -> Result<(), u32> {
        self.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).map(|_| ())
    }
}

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

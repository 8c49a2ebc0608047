//! Memory before there is an allocator.
//!
//! The frame table cannot be described by the frame table: its memory, the page tables',
//! the M2P tables' and the CPUs' stacks are cut from the usable ranges here. What is left
//! when the machine stands goes to the library, which never sees these frames as free.

// UNSAFETY: clearing memory by its physical address.
#![allow(unsafe_code)]
// Without memory for the hypervisor itself nothing can run: a panic is the report.
#![allow(clippy::panic)]

use super::layout::{DIRECT_MAP, PAGE_SIZE};
use crate::machine::ranges::RamRanges;

/// Addresses below this are mapped from the first instruction on.
const BOOT_MAPPED: u64 = 1 << 32;

/// The ranges that are still free, and what was taken.
pub struct EarlyMemory {
    free: RamRanges,
    taken: u64,
}

impl EarlyMemory {
    /// Starts from the ranges that nobody uses.
    pub fn new(free: RamRanges) -> Self {
        Self { free, taken: 0 }
    }

    /// Takes `size` bytes, rounded up to pages, zeroed, at a multiple of `align`; returns
    /// their physical address. Always below 4 GiB, where the boot page tables reach.
    ///
    /// # Panics
    /// If there is no such memory: nothing could run on this machine.
    pub fn take(&mut self, size: u64, align: u64) -> u64 {
        let address = self.take_raw(size, align);
        let words = size.div_ceil(8) as usize;
        // SAFETY: 1. The range was free and is now ours alone. 2. It is below 4 GiB, so both
        // the boot tables and, later, the direct map cover it.
        unsafe { core::ptr::write_bytes((DIRECT_MAP + address) as *mut u64, 0, words) };
        address
    }

    /// As [`take`](Self::take), with contents as they were.
    pub fn take_raw(&mut self, size: u64, align: u64) -> u64 {
        let size = size.next_multiple_of(PAGE_SIZE);
        let Some(address) = self.free.take(size, align, BOOT_MAPPED) else {
            panic!("no {} KiB of memory below 4 GiB for the hypervisor itself", size >> 10);
        };
        self.taken += size;
        address
    }

    /// One zeroed page, for a page table.
    pub fn page(&mut self) -> u64 {
        self.take(PAGE_SIZE, PAGE_SIZE)
    }

    /// Bytes taken so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// What is left.
    pub fn into_free(self) -> RamRanges {
        self.free
    }
}

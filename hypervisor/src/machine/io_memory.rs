//! Which machine frames are device memory, and which of that nobody may write.
//!
//! A frame is RAM if the firmware's map says so of all of it and of nothing else in it; the
//! first MiB counts as device memory, as on Xen: there lie the firmware's data, and the
//! hypervisor never uses it for anything. Everything that is not RAM is device memory,
//! whether something answers there or not.
//!
//! Some of it is the hypervisor's to write though domain 0 may look at it: registers of I/O
//! APICs, tables of MSI-X messages that route interrupts. Such frames are *read-only*.

use spin::Once;

use super::range_set::RangeSet;
use super::ranges::RamRanges;
use crate::lock::{Lock, Rank};

/// Ranges of read-only frames: each device with MSI-X in use needs up to two.
const READ_ONLY_RANGES: usize = 128;
/// The frames of the first MiB.
const LOW_FRAMES: u64 = 0x100;
/// Bits of an offset in a frame.
const PAGE_SHIFT: u32 = 12;

/// What lies at machine addresses that are not RAM.
pub struct IoMemory {
    ram: Once<RamRanges>,
    read_only: Lock<RangeSet<READ_ONLY_RANGES>>,
}

impl IoMemory {
    /// Nothing is known yet.
    pub const fn new() -> IoMemory {
        IoMemory { ram: Once::new(), read_only: Lock::new(Rank::Leaf, RangeSet::new()) }
    }

    /// Says what is RAM; the first call counts.
    pub fn set_ram(&self, ram: RamRanges) {
        self.ram.call_once(|| ram);
    }

    /// Frames of RAM.
    pub fn ram_frames(&self) -> u64 {
        self.ram.get().map_or(0, |ram| ram.total() >> PAGE_SHIFT)
    }

    /// Whether the frame is device memory. As long as nothing is known, nothing is.
    pub fn is_device(&self, mfn: u64) -> bool {
        let Some(ram) = self.ram.get() else { return false };
        let has = |range: &super::ranges::PageRange| {
            range.start >> PAGE_SHIFT <= mfn && mfn < range.end >> PAGE_SHIFT
        };
        mfn < LOW_FRAMES || !ram.as_slice().iter().any(has)
    }

    /// Makes frames read-only to every domain. False if there is no room to remember it.
    pub fn protect(&self, first: u64, last: u64) -> bool {
        self.read_only.lock().add(first, last).is_ok()
    }

    /// Takes that back.
    pub fn unprotect(&self, first: u64, last: u64) {
        // Without room the frames stay protected, which is safe.
        let _ = self.read_only.lock().remove(first, last);
    }

    /// Whether a frame is read-only to every domain.
    pub fn is_read_only(&self, mfn: u64) -> bool {
        self.read_only.lock().contains(mfn, mfn)
    }
}

impl Default for IoMemory {
    fn default() -> Self {
        IoMemory::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ram_is_a_device() {
        let memory = IoMemory::new();
        assert!(!memory.is_device(0xfee00), "nothing is known");
        let mut ram = RamRanges::default();
        ram.add(0, 0x9_f000);
        ram.add(0x10_0000, 0x800_0000);
        memory.set_ram(ram);
        assert!(memory.is_device(0) && memory.is_device(0x9e) && memory.is_device(0xff));
        assert!(!memory.is_device(0x100) && !memory.is_device(0x7fff));
        assert!(memory.is_device(0x8000) && memory.is_device(0xf_ffff_ffff));
    }

    #[test]
    fn protection_comes_and_goes() {
        let memory = IoMemory::new();
        assert!(memory.protect(10, 12));
        assert!(!memory.is_read_only(9) && memory.is_read_only(10) && memory.is_read_only(12));
        memory.unprotect(11, 20);
        assert!(memory.is_read_only(10) && !memory.is_read_only(12));
    }
}

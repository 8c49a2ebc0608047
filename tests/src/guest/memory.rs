//! What a guest does with its memory.

use std::sync::atomic::Ordering;

use hypervisor::platform::{FrameAccess, GuestAccess, GuestFault};
use pv_abi::types::Mfn;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Guest, SCRATCH_PAGES};

/// A page of a guest's, mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// Its pseudo-physical number.
    pub pfn: u64,
    /// Its machine frame.
    pub mfn: Mfn,
    /// Where it is mapped.
    pub va: u64,
}

impl Page {
    /// Its machine address.
    pub fn maddr(&self) -> u64 {
        self.mfn.raw() << 12
    }
}

impl Guest {
    /// Takes a page that nothing uses yet; it is zero and mapped writable.
    pub fn page(&mut self) -> Page {
        let pfn = self.next_page;
        assert!(
            pfn < (self.frames.len() - self.tables.len()) as u64,
            "the guest has no page left: give it more"
        );
        self.next_page += 1;
        self.page_at(pfn)
    }

    /// The page with pseudo-physical number `pfn`.
    pub fn page_at(&self, pfn: u64) -> Page {
        Page { pfn, mfn: self.frames[pfn as usize], va: self.base + pfn * 4096 }
    }

    /// Where the frame `mfn` is mapped at the guest's start.
    pub fn va_of(&self, mfn: Mfn) -> u64 {
        let pfn = self.frames.iter().position(|f| *f == mfn).expect("a frame of the guest's");
        self.base + pfn as u64 * 4096
    }

    /// Reads memory as the guest's kernel.
    pub fn read<T: FromBytes + IntoBytes>(&self, va: u64) -> T {
        let mut value = T::new_zeroed();
        self.try_read(va, value.as_mut_bytes()).unwrap_or_else(|_| panic!("page fault at {va:#x}"));
        value
    }

    /// Writes memory as the guest's kernel.
    pub fn write<T: IntoBytes + Immutable + ?Sized>(&self, va: u64, value: &T) {
        self.try_write(va, value.as_bytes()).unwrap_or_else(|_| panic!("page fault at {va:#x}"));
    }

    /// Reads memory, or faults.
    pub fn try_read(&self, va: u64, to: &mut [u8]) -> Result<(), GuestFault> {
        self.machine().copy_from_guest(va, to)
    }

    /// Writes memory, or faults.
    pub fn try_write(&self, va: u64, from: &[u8]) -> Result<(), GuestFault> {
        self.machine().copy_to_guest(va, from)
    }

    /// Puts an argument somewhere into memory and returns its address. It stays for the next
    /// few, until [`SCRATCH_PAGES`] are full.
    pub fn arg<T: IntoBytes + Immutable + ?Sized>(&mut self, value: &T) -> u64 {
        self.try_arg(value).expect("the scratch pages are mapped writable")
    }

    /// The same; `None` if the guest has unmapped its scratch pages.
    pub fn try_arg<T: IntoBytes + Immutable + ?Sized>(&mut self, value: &T) -> Option<u64> {
        let size = value.as_bytes().len().next_multiple_of(8) as u64;
        assert!(size <= SCRATCH_PAGES * 4096, "the argument is too large for the scratch pages");
        if self.scratch + size > SCRATCH_PAGES * 4096 {
            self.scratch = 0;
        }
        let va = self.base + self.scratch;
        self.scratch += size;
        self.try_write(va, value.as_bytes()).ok()?;
        Some(va)
    }

    /// An entry of one of the guest's page tables, as the machine has it.
    pub fn entry(&self, table: Mfn, index: usize) -> u64 {
        self.machine().words(table)[index].load(Ordering::Relaxed)
    }

    /// The table and the index of the L1 entry that maps `va`, if all tables above are there.
    pub fn l1_entry_of(&self, va: u64) -> Option<(Mfn, usize)> {
        let levels = match self.domain().width() {
            hypervisor::width::Width::Pv32 => 3,
            hypervisor::width::Width::Pv64 => 4,
        };
        let mut table = self.root;
        for level in (1..levels).rev() {
            let entry = self.entry(table, (va >> (12 + 9 * level) & 0x1ff) as usize);
            if entry & 1 == 0 {
                return None;
            }
            table = Mfn::new((entry & 0x000f_ffff_ffff_f000) >> 12);
        }
        Some((table, (va >> 12 & 0x1ff) as usize))
    }

    /// Machine address of the L1 entry that maps `va`, as `mmu_update` wants it.
    pub fn l1_maddr_of(&self, va: u64) -> u64 {
        let (table, index) = self.l1_entry_of(va).expect("the tables above are there");
        (table.raw() << 12) + 8 * index as u64
    }
}

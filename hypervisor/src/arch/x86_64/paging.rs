//! The hypervisor's own page tables, built once at boot.
//!
//! One L4, the idle table, holds the slots of `layout` and nothing else; every vCPU's L4
//! starts as a copy of its slots, so what lies *below* an L4 entry is shared by all address
//! spaces and may change later, but the L4 entries themselves are all made at boot.
//!
//! Rights are W^X: code is never writable, what is writable never executable. Nothing is
//! global: CR4.PGE stays off (see `cpu`).

// UNSAFETY: tables are reached through the direct map, by physical address.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use bitflags::bitflags;
use x86_64::VirtAddr;
use x86_64::instructions::tlb;

use super::layout::{DIRECT_MAP, PAGE_SHIFT, PAGE_SIZE};

bitflags! {
    /// Bits of a page-table entry (SDM volume 3, section 4.5).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Pte: u64 {
        /// The entry is in use.
        const PRESENT = 1 << 0;
        /// Writes are allowed.
        const WRITABLE = 1 << 1;
        /// Ring 3 may use it.
        const USER = 1 << 2;
        /// Write-through caching.
        const WRITE_THROUGH = 1 << 3;
        /// No caching.
        const UNCACHED = 1 << 4;
        /// The CPU has used it.
        const ACCESSED = 1 << 5;
        /// The CPU has written through it.
        const DIRTY = 1 << 6;
        /// An L2 entry that maps 2 MiB.
        const LARGE = 1 << 7;
        /// Instruction fetches are refused.
        const NO_EXECUTE = 1 << 63;
    }
}

impl Pte {
    /// Code: read and execute.
    pub const CODE: Self = Self::PRESENT.union(Self::ACCESSED);
    /// Constants: read only.
    pub const CONSTANT: Self = Self::CODE.union(Self::NO_EXECUTE);
    /// Variables: read and write.
    pub const DATA: Self = Self::CONSTANT.union(Self::WRITABLE).union(Self::DIRTY);
    /// Device registers: read and write, never cached.
    pub const DEVICE: Self = Self::DATA.union(Self::UNCACHED).union(Self::WRITE_THROUGH);
    /// What an entry that leads to a table carries; rights are decided below it.
    const TABLE: Self =
        Self::PRESENT.union(Self::WRITABLE).union(Self::ACCESSED).union(Self::DIRTY);
}

/// The frame number field of an entry.
pub const ADDRESS_MASK: u64 = 0x000f_ffff_ffff_f000;
/// Bytes that an L2 entry maps.
pub const LARGE_PAGE: u64 = 2 << 20;

/// A page of 512 entries. The CPU reads and marks entries at any time, hence the atomics.
pub type Table = [AtomicU64; 512];

/// The table at a physical address.
///
/// # Safety
/// `address` is that of a page-table page of the hypervisor, mapped in the direct map.
unsafe fn table_at(address: u64) -> &'static Table {
    // SAFETY: 1. The caller's duty makes it 4096 mapped bytes, aligned. 2. Page tables of the
    // hypervisor live for ever. 3. Every access is atomic, so sharing with the CPU is sound.
    unsafe { &*((DIRECT_MAP + address) as *const Table) }
}

/// The index into the table of `level` (4 is the root, 1 the last) for an address.
const fn index(address: u64, level: u32) -> usize {
    ((address >> (PAGE_SHIFT + 9 * (level - 1))) & 0x1ff) as usize
}

/// A root table of the hypervisor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root(u64);

/// Supplies zeroed pages for tables: physical addresses that the direct map covers.
pub type TakePage<'a> = &'a mut dyn FnMut() -> u64;

impl Root {
    /// An empty root.
    ///
    /// # Safety
    /// `take` yields zeroed pages of RAM in the direct map that become page tables for good.
    pub unsafe fn new(take: TakePage<'_>) -> Self {
        Self(take())
    }

    /// The root whose page is at physical `address`.
    ///
    /// # Safety
    /// It is a root of the hypervisor's, made by [`Root::new`] and not freed.
    pub unsafe fn at(address: u64) -> Self {
        Self(address)
    }

    /// Its physical address: what CR3 holds.
    pub fn address(self) -> u64 {
        self.0
    }

    /// Its 512 entries.
    pub fn entries(self) -> &'static Table {
        // SAFETY: a `Root` is only made from table pages (`new`, `at`).
        unsafe { table_at(self.0) }
    }

    /// The entry of the table of level `down_to` that translates `address`; tables that are
    /// missing on the way are made if `take` can, else the answer is `None`.
    ///
    /// A large page on the way is a `None`, too: it has no tables below.
    fn entry(
        self,
        address: u64,
        down_to: u32,
        user: Pte,
        mut take: Option<TakePage<'_>>,
    ) -> Option<&'static AtomicU64> {
        let mut table = self.entries();
        for level in (down_to + 1..=4).rev() {
            let entry = table.get(index(address, level))?;
            let mut value = entry.load(Ordering::Relaxed);
            if value & Pte::PRESENT.bits() == 0 {
                value = take.as_mut()?() | Pte::TABLE.union(user).bits();
                entry.store(value, Ordering::Release);
            } else if value & Pte::LARGE.bits() != 0 {
                return None;
            }
            // SAFETY: the entry is present, is no large page, and all tables under a root of
            // the hypervisor's are the hypervisor's.
            table = unsafe { table_at(value & ADDRESS_MASK) };
        }
        table.get(index(address, down_to))
    }

    /// Maps `size` bytes (whole pages) at `address` to physical `physical`, with 2 MiB pages
    /// where both allow.
    ///
    /// # Safety
    /// 1. As for [`Root::new`].
    /// 2. The rights break no promise that Rust code relies on: what is there now under this
    ///    address, if anything, keeps its meaning.
    pub unsafe fn map(
        self,
        address: u64,
        physical: u64,
        size: u64,
        rights: Pte,
        take: TakePage<'_>,
    ) {
        let user = rights.intersection(Pte::USER);
        let mut done = 0;
        while done < size {
            let (at, to) = (address + done, physical + done);
            let large = (at | to).is_multiple_of(LARGE_PAGE) && size - done >= LARGE_PAGE;
            let (level, step, kind) = match large {
                true => (2, LARGE_PAGE, Pte::LARGE),
                false => (1, PAGE_SIZE, Pte::empty()),
            };
            if let Some(entry) = self.entry(at, level, user, Some(take)) {
                entry.store(to | rights.union(kind).bits(), Ordering::Release);
            }
            done += step;
        }
    }

    /// How many tables, 0 to 3, are missing on the way to the last-level entry of `address`.
    pub fn missing_tables(self, address: u64) -> usize {
        (1..=3)
            .take_while(|&level| match self.entry(address, level + 1, Pte::empty(), None) {
                Some(entry) => entry.load(Ordering::Relaxed) & Pte::PRESENT.bits() == 0,
                None => true,
            })
            .count()
    }

    /// Makes the tables down to the last level for the page at `address`, mapping nothing.
    ///
    /// # Safety
    /// As for [`Root::new`].
    pub unsafe fn prepare(self, address: u64, take: TakePage<'_>) {
        self.entry(address, 1, Pte::empty(), Some(take));
    }

    /// Makes the L3 of the slot that `address` is in, so that copies of the root share it.
    ///
    /// # Safety
    /// As for [`Root::new`].
    pub unsafe fn prepare_slot(self, address: u64, rights: Pte, take: TakePage<'_>) {
        self.entry(address, 3, rights.intersection(Pte::USER), Some(take));
    }

    /// Replaces the last-level entry of a page whose tables exist, and drops this CPU's cached
    /// translation of it. False if the tables do not exist.
    ///
    /// # Safety
    /// As point 2 of [`Root::map`]; other CPUs that may have cached the page are the caller's.
    pub unsafe fn set_page(self, address: u64, physical: u64, rights: Pte) -> bool {
        let Some(entry) = self.entry(address, 1, Pte::empty(), None) else { return false };
        entry.store(physical | rights.bits(), Ordering::Release);
        tlb::flush(VirtAddr::new_truncate(address));
        true
    }

    /// Where `address` leads: its physical address, if it is mapped.
    pub fn translate(self, address: u64) -> Option<u64> {
        let large = self.entry(address, 2, Pte::empty(), None)?.load(Ordering::Relaxed);
        let both = Pte::PRESENT.union(Pte::LARGE).bits();
        if large & both == both {
            return Some((large & ADDRESS_MASK & !(LARGE_PAGE - 1)) | (address % LARGE_PAGE));
        }
        let entry = self.entry(address, 1, Pte::empty(), None)?.load(Ordering::Relaxed);
        let present = entry & Pte::PRESENT.bits() != 0;
        present.then_some((entry & ADDRESS_MASK) | (address % PAGE_SIZE))
    }

    /// Makes it the CPU's address space.
    ///
    /// # Safety
    /// It maps the running code, the stack and everything that will be used next, as they are
    /// mapped now.
    pub unsafe fn load(self) {
        use x86_64::structures::paging::PhysFrame;
        let frame = PhysFrame::containing_address(x86_64::PhysAddr::new_truncate(self.0));
        // SAFETY: the caller's duty.
        unsafe { x86_64::registers::control::Cr3::write_raw(frame, 0) };
    }
}

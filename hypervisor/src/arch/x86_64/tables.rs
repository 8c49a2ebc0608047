//! The big tables: one entry per machine frame, at fixed addresses.
//!
//! | table | entry | where | who writes |
//! |---|---|---|---|
//! | frame table | 16 bytes | `FRAME_TABLE` | `mm` |
//! | M2P, 8-byte | 8 bytes | `M2P64_RW`; read-only for guests at `M2P64` | `mm` |
//! | M2P, 4-byte | 4 bytes | `M2P32_RW`; read-only below 4 GiB in pv32 | `mm` |
//!
//! They are as long as the highest RAM address, so that a frame number is an index. Where
//! there is no RAM they are backed by one shared, read-only page: "no owner, no type" in the
//! frame table, "no such frame" (all ones) in the M2P tables. Only frames that the machine has
//! cost memory: 28 bytes each, 0.7 %.

// UNSAFETY: maps memory and fills it.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU32, AtomicU64};

use super::early::EarlyMemory;
use super::layout::{
    DIRECT_MAP, FRAME_ENTRY_SIZE, FRAME_TABLE, M2P32_RW, M2P64, M2P64_RW, PAGE_SIZE,
};
use super::paging::{LARGE_PAGE, Pte, Root};
use crate::machine::ranges::RamRanges;
use crate::mm::frame::Frame;

/// The tables, once they are mapped in every address space.
#[derive(Clone, Copy)]
pub struct FrameTables {
    /// The highest machine frame number with RAM, plus one.
    pub frame_count: u64,
    /// The frames' records, zero at first.
    pub frames: &'static [Frame],
    /// The 8-byte machine-to-physical table, all ones at first.
    pub m2p64: &'static [AtomicU64],
    /// The 4-byte machine-to-physical table, all ones at first.
    pub m2p32: &'static [AtomicU32],
}

/// One table to be laid out.
struct Plan<'a> {
    ram: &'a RamRanges,
    address: u64,
    /// A second, guest-readable mapping.
    alias: Option<u64>,
    entry_size: u64,
    fill: u8,
}

/// Allocates and maps all three for the machine's `ram` in the address space under `root`.
///
/// # Safety
/// 1. `root` will be part of every address space, and is loaded before the result is used.
/// 2. Called once: the result claims the tables for good.
pub unsafe fn create(root: Root, early: &mut EarlyMemory, ram: &RamRanges) -> FrameTables {
    let frame_count = ram.end() / PAGE_SIZE;
    let plans = [
        Plan { ram, address: FRAME_TABLE, alias: None, entry_size: FRAME_ENTRY_SIZE, fill: 0 },
        Plan { ram, address: M2P64_RW, alias: Some(M2P64), entry_size: 8, fill: 0xff },
        Plan { ram, address: M2P32_RW, alias: None, entry_size: 4, fill: 0xff },
    ];
    for plan in &plans {
        plan.lay_out(root, early, frame_count);
    }
    let count = frame_count as usize;
    // SAFETY: 1. `lay_out` mapped `frame_count` entries at each address (caller: in every
    // address space). 2. The backing memory is taken for good and belongs to nothing else.
    // 3. Zero and all ones are valid atomics; pages of entries are aligned. 4. Backing shared
    // by holes is read-only: a stray write faults instead of changing a neighbour.
    unsafe {
        FrameTables {
            frame_count,
            frames: core::slice::from_raw_parts(FRAME_TABLE as *const Frame, count),
            m2p64: core::slice::from_raw_parts(M2P64_RW as *const AtomicU64, count),
            m2p32: core::slice::from_raw_parts(M2P32_RW as *const AtomicU32, count),
        }
    }
}

impl Plan<'_> {
    /// Maps the table in pieces of 2 MiB of itself: large pages where every frame described
    /// exists, else runs of small ones with holes between.
    fn lay_out(&self, root: Root, early: &mut EarlyMemory, frame_count: u64) {
        let size = (frame_count * self.entry_size).next_multiple_of(PAGE_SIZE);
        let hole = self.backing(early, PAGE_SIZE);
        let mut done = 0;
        while done < size {
            let piece = (LARGE_PAGE - done % LARGE_PAGE).min(size - done);
            let (real, run) = self.run(done, piece);
            match real {
                true => {
                    let backing = self.backing(early, run);
                    self.map(root, early, done, backing, run, Pte::DATA);
                }
                false => {
                    for page in (done..done + run).step_by(PAGE_SIZE as usize) {
                        self.map(root, early, page, hole, PAGE_SIZE, Pte::CONSTANT);
                    }
                }
            }
            done += run;
        }
    }

    /// How many bytes from `offset` on, at most `limit`, describe RAM alike: (whether they
    /// do, how many).
    fn run(&self, offset: u64, limit: u64) -> (bool, u64) {
        let real = self.describes_ram(offset);
        let pages = (offset..offset + limit).step_by(PAGE_SIZE as usize);
        let alike = pages.take_while(|&page| self.describes_ram(page) == real).count();
        (real, alike as u64 * PAGE_SIZE)
    }

    /// Whether any entry of the table's page at `offset` is for a frame of RAM.
    fn describes_ram(&self, offset: u64) -> bool {
        let start = offset / self.entry_size * PAGE_SIZE;
        let end = start + PAGE_SIZE / self.entry_size * PAGE_SIZE;
        self.ram.as_slice().iter().any(|range| range.start < end && start < range.end)
    }

    /// Filled memory for `size` bytes of the table; aligned to 2 MiB if it is that large.
    fn backing(&self, early: &mut EarlyMemory, size: u64) -> u64 {
        let align = if size == LARGE_PAGE { LARGE_PAGE } else { PAGE_SIZE };
        let address = early.take_raw(size, align);
        let (start, words) = ((DIRECT_MAP + address) as *mut u64, (size / 8) as usize);
        // SAFETY: 1. The memory was just taken and is nobody else's. 2. It is below 4 GiB,
        // mapped by the boot tables.
        unsafe { core::ptr::write_bytes(start, self.fill, words) };
        address
    }

    fn map(&self, root: Root, early: &mut EarlyMemory, at: u64, to: u64, size: u64, rights: Pte) {
        let mut page = || early.page();
        // SAFETY: 1. `early.page` yields zeroed pages for good. 2. The table's address range
        // is its own, and unused until now; the alias is read-only.
        unsafe {
            root.map(self.address + at, to, size, rights, &mut page);
            if let Some(alias) = self.alias {
                let rights = Pte::CONSTANT.union(Pte::USER);
                root.map(alias + at, to, size, rights, &mut page);
            }
        }
    }
}

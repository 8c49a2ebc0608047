//! Spare pages, their frames and mappings, and page-table entries.
//!
//! The pool lies in the image: its pages are the domain's, mapped writable at start, and nothing
//! else uses them. They are reached by address alone, so that a test may unmap, protect and pin
//! them as it likes.
#![allow(unsafe_code)] // UNSAFETY: spare pages by raw address; changes their mappings.

use crate::verdict::{Outcome, must};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::mmu::{MmuUpdate, UVMF_INVLPG};
use ring1::abi::{MmuextOp, StartInfo};
use ring1::calls::{self, Result};
use ring1::entry::VIRT_BASE;

/// Bytes of a page.
pub const PAGE: u32 = 4096;
/// Pages in the pool.
pub const POOL: usize = 48;

/// Entry bit: present.
pub const P: u64 = 1;
/// Entry bit: writable.
pub const RW: u64 = 2;
/// Entry bit: accessible in Ring 3.
pub const US: u64 = 4;
/// Entry bits: accessed and dirty.
pub const AD: u64 = 0x60;
/// Entry bit: a large page.
pub const PSE: u64 = 0x80;
/// Entry bit: global.
pub const GLOBAL: u64 = 0x100;

/// A kernel page, writable.
pub const KRW: u64 = P | RW | AD;
/// A kernel page, read-only.
pub const KRO: u64 = P | AD;
/// A page for Ring 3, writable.
pub const URW: u64 = P | RW | US | AD;
/// An L2 entry.
pub const TABLE: u64 = P | RW | US | AD;

const FRAME: u64 = 0x000f_ffff_ffff_f000;

#[repr(C, align(4096))]
struct Pool(UnsafeCell<[[u8; PAGE as usize]; POOL]>);
// SAFETY: 1. One vCPU; no references into the pool exist, only addresses.
unsafe impl Sync for Pool {}
static SPARE: Pool = Pool(UnsafeCell::new([[0; PAGE as usize]; POOL]));

static TAKEN: AtomicU32 = AtomicU32::new(0);
static P2M: AtomicU32 = AtomicU32::new(0);
static M2P: AtomicU32 = AtomicU32::new(0);
static ROOT: AtomicU32 = AtomicU32::new(0);

/// Notes where the tables are; for [`guest!`](crate::guest) alone.
#[doc(hidden)]
pub fn init(start: &StartInfo) {
    P2M.store(start.mfn_list, Ordering::Relaxed);
    ROOT.store(start.pt_base, Ordering::Relaxed);
    if let Ok(mapping) = calls::machphys_mapping() {
        M2P.store(mapping.v_start, Ordering::Relaxed);
    }
}

/// Reads a word anywhere.
pub fn read32(address: u32) -> u32 {
    ring1::probe::read_u32(address)
}

/// Reads a page-table entry (or two words) anywhere.
pub fn read64(address: u32) -> u64 {
    u64::from(read32(address)) | (u64::from(read32(address + 4)) << 32)
}

/// Writes a word in assembly: to a spare page, or where it must fault.
pub fn write32(address: u32, value: u32) {
    // SAFETY: 1. Tests write to pages of the pool, or to where a fault is what they expect.
    unsafe { ring1::probe::write_u32(address, value) }
}

/// The frame of a pseudo-physical page number.
pub fn mfn_of_pfn(pfn: u32) -> u32 {
    read32(P2M.load(Ordering::Relaxed) + pfn * 4)
}

/// The frame behind an address of the kernel's own mapping, by the p2m table.
pub fn mfn_of(address: u32) -> u32 {
    mfn_of_pfn((address - VIRT_BASE) / PAGE)
}

/// The machine address behind an address of the kernel's own mapping.
pub fn machine_of(address: u32) -> u64 {
    u64::from(mfn_of(address)) * u64::from(PAGE) + u64::from(address % PAGE)
}

/// Start of the machine-to-physical table.
pub fn m2p() -> u32 {
    M2P.load(Ordering::Relaxed)
}

/// The pseudo-physical page number of a frame, by the M2P table.
pub fn pfn_of(mfn: u32) -> u32 {
    read32(m2p() + mfn * 4)
}

/// Where the kernel's own mapping has a frame of the domain.
pub fn address_of_mfn(mfn: u32) -> u32 {
    VIRT_BASE + pfn_of(mfn) * PAGE
}

/// The frame that an entry names.
pub fn mfn_in(entry: u64) -> u32 {
    ((entry & FRAME) >> 12) as u32
}

/// An entry for a frame.
pub fn entry(mfn: u32, flags: u64) -> u64 {
    (u64::from(mfn) << 12) | flags
}

/// The builder's root table, as the kernel's mapping has it.
pub fn root() -> u32 {
    ROOT.load(Ordering::Relaxed)
}

/// Address of the L2 entry for `va` under the builder's root, in the kernel's mapping.
pub fn l2_slot(va: u32) -> u32 {
    let l2 = address_of_mfn(mfn_in(read64(root() + (va >> 30) * 8)));
    l2 + ((va >> 21) & 511) * 8
}

/// Address of the L1 entry for `va` under the builder's root, in the kernel's mapping.
pub fn l1_slot(va: u32) -> u32 {
    let l1 = address_of_mfn(mfn_in(read64(l2_slot(va))));
    l1 + ((va >> 12) & 511) * 8
}

/// `update_va_mapping` with a local flush. `va` must be a spare page's or unused.
pub fn map(va: u32, entry: u64) -> Result {
    // SAFETY: 1. Tests change spare pages and unused addresses only.
    unsafe { calls::update_va_mapping(va, entry, UVMF_INVLPG) }
}

/// `mmu_update` of one entry at a machine address; the low bits are the command.
pub fn update(machine_address: u64, value: u64) -> Result<u32> {
    // SAFETY: as in `map`.
    unsafe { calls::mmu_update(&[MmuUpdate { ptr: machine_address, val: value }]) }
}

/// `mmuext_op` of one operation.
pub fn extended(cmd: u32, arg1: u32, arg2: u32) -> Result<u32> {
    let operation: MmuextOp = calls::mmuext(cmd, arg1, arg2);
    // SAFETY: as in `map`: pins and flushes change no mapping, and roots keep the kernel's.
    unsafe { calls::mmuext_op(&[operation]) }
}

/// A spare page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// Its address in the kernel's mapping.
    pub va: u32,
    /// Its frame.
    pub mfn: u32,
}

impl Page {
    /// The next page of the pool, all zeros.
    pub fn take() -> Self {
        let index = TAKEN.fetch_add(1, Ordering::Relaxed);
        assert!((index as usize) < POOL, "the pool of spare pages is empty");
        let va = SPARE.0.get().expose_provenance() as u32 + index * PAGE;
        Self { va, mfn: mfn_of(va) }
    }

    /// The last page of the pool but `index`: for a test's loop that needs one page again and again.
    pub fn take_again(index: u32) -> Self {
        let va = SPARE.0.get().expose_provenance() as u32 + (POOL as u32 - 1 - index) * PAGE;
        Self { va, mfn: mfn_of(va) }
    }

    /// A page-table entry for it.
    pub fn entry(self, flags: u64) -> u64 {
        entry(self.mfn, flags)
    }

    /// Its machine address.
    pub fn machine(self) -> u64 {
        u64::from(self.mfn) * u64::from(PAGE)
    }

    /// Machine address of its 8-byte entry `index`.
    pub fn slot(self, index: u32) -> u64 {
        self.machine() + u64::from(index) * 8
    }

    /// Reads its 8-byte entry `index`.
    pub fn read(self, index: u32) -> u64 {
        read64(self.va + index * 8)
    }

    /// Writes its 8-byte entry `index`, by plain stores.
    pub fn write(self, index: u32, value: u64) {
        write32(self.va + index * 8 + 4, (value >> 32) as u32);
        write32(self.va + index * 8, value as u32);
    }

    /// Maps it at its own address with other flags.
    pub fn set(self, flags: u64) -> Result {
        map(self.va, self.entry(flags))
    }

    /// Maps it read-only, as page tables and descriptor tables must be.
    pub fn protect(self) -> Outcome<Self> {
        must(self.set(KRO), "mapping a page read-only").map(|()| self)
    }
}

//! Page-table entries: reading them, and changing them by hypercall.
//!
//! Entries are read through the table's own mapping, which is read-only. Changes are gathered in a
//! [`Batch`], one hypercall for up to [`BATCH`] of them.
#![allow(unsafe_code)] // UNSAFETY: changes mappings; reads tables that CPU and hypervisor write.

use super::{PAGE, frames, p2m};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use heapless::Vec;
use pv_abi::mmu::{MMU_NORMAL_PT_UPDATE, MmuUpdate, UVMF_INVLPG, UVMF_NONE};
use pv_abi::types::{Mfn, Pfn};
use ring1::abi::StartInfo;
use ring1::calls;
use ring1::events::Masked;

/// Entry bit: present.
pub const PRESENT: u64 = 1;
/// Entry bit: writable.
pub const WRITE: u64 = 2;
/// Entry bit: accessible in Ring 3.
pub const USER: u64 = 4;
/// Entry bits: accessed and dirty, set ahead so that the CPU need not.
pub const ACCESSED_DIRTY: u64 = 0x60;
/// Entry bit for software: write by copying first.
pub const COPY_ON_WRITE: u64 = 1 << 9;
/// Entry bit: not executable.
const NO_EXECUTE: u64 = 1 << 63;

/// A kernel page that may be written (and an L2 entry of the kernel's gigabyte).
pub const KERNEL_RW: u64 = PRESENT | WRITE | ACCESSED_DIRTY;
/// A kernel page that may only be read: page tables, descriptor tables.
pub const KERNEL_RO: u64 = PRESENT | ACCESSED_DIRTY;
/// An L2 entry of user space.
pub const USER_TABLE: u64 = PRESENT | WRITE | USER | ACCESSED_DIRTY;
/// An L3 entry: all but "present" is reserved in PAE.
pub const ROOT_ENTRY: u64 = PRESENT;

/// Entries of an L1 or L2.
pub const ENTRIES: u32 = 512;
/// Bytes that an L1 maps.
pub const L1_SPAN: u32 = ENTRIES * PAGE;
/// Changes in one hypercall.
pub const BATCH: usize = 64;

static BOOT_ROOT: AtomicU32 = AtomicU32::new(0);
static KERNEL_L2: AtomicU32 = AtomicU32::new(0);
/// [`NO_EXECUTE`] where the CPU has it, else 0.
static NX: AtomicU64 = AtomicU64::new(0);

/// Notes the builder's tables.
pub(super) fn init(start_info: &StartInfo) {
    let root = p2m::frame_at(start_info.pt_base);
    BOOT_ROOT.store(root.raw() as u32, Ordering::Relaxed);
    let slot = p2m::address(Pfn::new(0)) >> 30;
    let Some(l2) = target(read(root, slot)) else {
        panic!("the builder's page table has no L2 for the kernel");
    };
    KERNEL_L2.store(l2.raw() as u32, Ordering::Relaxed);
    let extended = core::arch::x86::__cpuid(0x8000_0000).eax;
    if extended > 0x8000_0000 && core::arch::x86::__cpuid(0x8000_0001).edx & (1 << 20) != 0 {
        NX.store(NO_EXECUTE, Ordering::Relaxed);
    }
}

/// The L3 that the builder made: the address space of kernel tasks.
pub fn boot_root() -> Pfn {
    Pfn::new(u64::from(BOOT_ROOT.load(Ordering::Relaxed)))
}

/// The L2 of the kernel's gigabyte.
pub fn kernel_l2() -> Pfn {
    Pfn::new(u64::from(KERNEL_L2.load(Ordering::Relaxed)))
}

/// The bit that forbids execution, or 0 on a CPU without it.
pub fn no_execute() -> u64 {
    NX.load(Ordering::Relaxed)
}

/// An entry that leads to a frame of ours.
pub fn entry(pfn: Pfn, flags: u64) -> u64 {
    (p2m::mfn(pfn).raw() << 12) | flags
}

/// The frame of ours that a present entry leads to.
pub fn target(entry: u64) -> Option<Pfn> {
    if entry & PRESENT == 0 {
        return None;
    }
    p2m::pfn(Mfn::new((entry & 0x000f_ffff_ffff_f000) >> 12))
}

/// The flags of kernel pages that hold data: written, never executed.
pub fn kernel_data() -> u64 {
    KERNEL_RW | no_execute()
}

/// Reads entry `index` of the table in `pfn`.
pub fn read(pfn: Pfn, index: u32) -> u64 {
    let table: *const u64 = p2m::pointer(pfn);
    // SAFETY: 1. The frame is mapped and `index` reduced to its entries. 2. Volatile: the CPU sets
    // accessed and dirty bits.
    unsafe { table.add((index % ENTRIES) as usize).read_volatile() }
}

/// Writes entry `index` of a page that is to become a table and still is plain memory.
pub fn write_plain(pfn: Pfn, index: u32, entry: u64) {
    let table: *mut u64 = p2m::pointer(pfn);
    // SAFETY: 1. The frame is the caller's (allocated, not yet linked), mapped writable, and
    // `index` reduced to its entries.
    unsafe { table.add((index % ENTRIES) as usize).write_volatile(entry) }
}

/// Page-table changes that go out together.
#[derive(Default)]
pub struct Batch {
    updates: Vec<MmuUpdate, BATCH>,
}

impl Batch {
    /// No changes yet.
    pub const fn new() -> Self {
        Self { updates: Vec::new() }
    }

    /// Adds: entry `index` of the linked table `table` becomes `entry`.
    pub fn set(&mut self, table: Pfn, index: u32, entry: u64) {
        let ptr = (p2m::mfn(table).raw() << 12)
            | u64::from(index % ENTRIES * 8)
            | u64::from(MMU_NORMAL_PT_UPDATE);
        if self.updates.is_full() {
            self.send();
        }
        let _ = self.updates.push(MmuUpdate { ptr, val: entry });
    }

    /// Makes the changes. The kernel asks for nothing that the hypervisor may refuse, so that a
    /// refusal is a bug.
    pub fn send(&mut self) {
        if self.updates.is_empty() {
            return;
        }
        // SAFETY: 1. The tables changed are user tables or map kernel windows whose owners ask for
        // it; no mapping of a live Rust object changes.
        if let Err(errno) = unsafe { calls::mmu_update(&self.updates) } {
            panic!(
                "mmu_update: {errno:?}, first of {}: {:#x?}",
                self.updates.len(),
                self.updates[0]
            );
        }
        self.updates.clear();
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.send();
    }
}

/// Changes one entry of a linked table.
pub fn set(table: Pfn, index: u32, entry: u64) {
    let mut batch = Batch::new();
    batch.set(table, index, entry);
}

/// Changes the entry that maps `va` in the current address space, and flushes it.
pub fn set_va(va: u32, entry: u64) {
    update_va(va, entry, UVMF_INVLPG);
}

/// Sets the entry that maps `va` in the current address space, where none is present: there is nothing
/// to flush.
pub fn fill_va(va: u32, entry: u64) {
    update_va(va, entry, UVMF_NONE);
}

fn update_va(va: u32, entry: u64, flags: u64) {
    // SAFETY: 1. Callers change user mappings, or the permission of a frame that only they use.
    if let Err(errno) = unsafe { calls::update_va_mapping(va, entry, flags) } {
        panic!("update_va_mapping of {va:#x} to {entry:#x}: {errno:?}");
    }
}

/// Makes a frame's own mapping read-only, so that it may become a table.
pub fn protect(pfn: Pfn) {
    set_va(p2m::address(pfn), entry(pfn, KERNEL_RO | no_execute()));
}

/// Makes the mapping of a frame that is a table no longer writable again.
pub fn unprotect(pfn: Pfn) {
    set_va(p2m::address(pfn), entry(pfn, kernel_data()));
}

/// The L1 that maps kernel address `va`, made where it is missing. None: out of memory.
pub fn kernel_l1(va: u32) -> Option<Pfn> {
    // A task that lost the CPU between look and link would put its L1 in the place of another's, and
    // what that maps would be gone.
    let _masked = Masked::new();
    let index = (va >> 21) % ENTRIES;
    if let Some(l1) = target(read(kernel_l2(), index)) {
        return Some(l1);
    }
    let l1 = frames::allocate_from_reserve(frames::Use::Table1)?;
    frames::clear(l1);
    protect(l1);
    set(kernel_l2(), index, entry(l1, KERNEL_RW));
    Some(l1)
}

/// The frame of ours behind a kernel address, if one is mapped there.
pub fn kernel_frame(va: u32) -> Option<Pfn> {
    let l1 = target(read(kernel_l2(), (va >> 21) % ENTRIES))?;
    target(read(l1, va >> 12))
}

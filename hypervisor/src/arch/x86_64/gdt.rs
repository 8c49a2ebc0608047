//! Segment descriptors: the hypervisor's part of every GDT.
//!
//! A PV guest fills pages 0 to 13 of its GDT; page 14 is the hypervisor's and begins at
//! selector 0xe000 (`FIRST_RESERVED_GDT_BYTE`). Each CPU has two such pages, and the vCPU's
//! window maps the one for its kind:
//!
//! | selector | pv32 page | pv64 page |
//! |---|---|---|
//! | 0xe008 | hypervisor code, 64-bit | the same |
//! | 0xe010 | hypervisor data | the same |
//! | 0xe018 | Ring 1 code, 32-bit (0xe019) | (unused) |
//! | 0xe020 | Ring 1 data (0xe021) | Ring 3 code, 32-bit (0xe023) |
//! | 0xe028 | Ring 3 code, 32-bit (0xe02b) | Ring 3 data (0xe02b) |
//! | 0xe030 | Ring 3 data (0xe033) | Ring 3 code, 64-bit (0xe033) |
//! | 0xe038 | hypervisor code, 32-bit | the same |
//! | 0xe040 | TSS of the CPU | the same |
//! | 0xe050 | LDT of the running vCPU | the same |
//!
//! The pv32 page holds **no 64-bit code segment for Rings 1 to 3**: on that rests that a pv32
//! guest can form no address of the hypervisor's. The accessed bits are set beforehand, so the
//! CPU never writes here.
//!
//! The guest-visible selectors are Xen's (`FLAT_*` in `arch-x86/xen-x86_32.h` and
//! `xen-x86_64.h`).

// UNSAFETY: loads descriptor-table registers.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::VirtAddr;
use x86_64::instructions::tables;
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::SegmentSelector;

use super::layout::{
    DIRECT_MAP, GDT_LIMIT, IDLE_GDT_OFFSET, RESERVED_GDT_BYTE, TSS_OFFSET, WINDOW_LDT_OFFSET,
    cpu_area,
};
use super::{tss, window};

/// The hypervisor's 64-bit code segment.
pub const HYPERVISOR_CS: u16 = 0xe008;
/// The hypervisor's data segment.
pub const HYPERVISOR_DS: u16 = 0xe010;
/// The task state segment's selector.
pub const TSS_SELECTOR: u16 = 0xe040;
/// The local descriptor table's selector.
pub const LDT_SELECTOR: u16 = 0xe050;

/// Which guests a reserved page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestKind {
    /// 32-bit kernels in Ring 1.
    Pv32,
    /// 64-bit kernels in Ring 3.
    Pv64,
}

/// One page of descriptors; the CPU reads it at any time.
pub type DescriptorPage = [AtomicU64; 512];

/// Index of a selector in the reserved page.
const fn index(selector: u16) -> usize {
    (selector as usize - RESERVED_GDT_BYTE as usize) / 8
}

const CODE64: u64 = 0x00af_9b00_0000_ffff;
const CODE32: u64 = 0x00cf_9b00_0000_ffff;
const DATA: u64 = 0x00cf_9300_0000_ffff;

/// The same descriptor for ring `dpl`.
const fn ring(descriptor: u64, dpl: u64) -> u64 {
    descriptor | dpl << 45
}

/// The descriptors from 0xe000 to 0xe03f.
const fn flat_segments(kind: GuestKind) -> [u64; 8] {
    let guest = match kind {
        GuestKind::Pv32 => [ring(CODE32, 1), ring(DATA, 1), ring(CODE32, 3), ring(DATA, 3)],
        GuestKind::Pv64 => [0, ring(CODE32, 3), ring(DATA, 3), ring(CODE64, 3)],
    };
    let [first, second, third, fourth] = guest;
    [0, CODE64, DATA, first, second, third, fourth, CODE32]
}

const L_BIT: u64 = 1 << 53;

// Evaluated when it is compiled, where an index out of range is an error.
#[allow(clippy::indexing_slicing)]
const _: () = {
    // Nothing 64-bit above Ring 0 in the pv32 page; the table above, checked.
    let pv32 = flat_segments(GuestKind::Pv32);
    let mut at = 0;
    while at < pv32.len() {
        assert!(pv32[at] & L_BIT == 0 || at == index(HYPERVISOR_CS));
        at += 1;
    }
    assert!(pv32[index(0xe018)] == 0x00cf_bb00_0000_ffff);
    assert!(pv32[index(0xe020)] == 0x00cf_b300_0000_ffff);
    assert!(pv32[index(0xe028)] == 0x00cf_fb00_0000_ffff);
    assert!(pv32[index(0xe030)] == 0x00cf_f300_0000_ffff);
    assert!(flat_segments(GuestKind::Pv64)[index(0xe030)] == 0x00af_fb00_0000_ffff);
};

/// A system descriptor of 16 bytes: `kind` 9 for an available TSS, 2 for an LDT.
const fn system_descriptor(base: u64, limit: u32, kind: u64) -> [u64; 2] {
    let low = (limit as u64 & 0xffff)
        | (base & 0xff_ffff) << 16
        | kind << 40
        | 1 << 47
        | (limit as u64 >> 16 & 0xf) << 48
        | (base >> 24 & 0xff) << 56;
    [low, base >> 32]
}

/// Puts a 16-byte descriptor at `selector`, the half with the present bit last.
fn set_system(page: &DescriptorPage, selector: u16, [low, high]: [u64; 2]) {
    let at = index(selector);
    for (offset, value) in [(0, 0), (1, high), (0, low)] {
        if let Some(entry) = page.get(at + offset) {
            entry.store(value, Ordering::Release);
        }
    }
}

/// Fills the reserved page of CPU `cpu` for guests of `kind`.
pub fn fill_reserved_page(page: &DescriptorPage, kind: GuestKind, cpu: usize) {
    for (entry, value) in page.iter().zip(flat_segments(kind)) {
        entry.store(value, Ordering::Relaxed);
    }
    let tss = system_descriptor(cpu_area(cpu) + TSS_OFFSET, tss::LIMIT, 9);
    set_system(page, TSS_SELECTOR, tss);
}

/// The reserved pages of one CPU, by physical address.
#[derive(Clone, Copy, Debug)]
pub struct ReservedPages {
    /// For pv32 guests, and when none runs.
    pub pv32: u64,
    /// For pv64 guests.
    pub pv64: u64,
}

impl ReservedPages {
    /// The page's descriptors.
    fn page(address: u64) -> &'static DescriptorPage {
        // SAFETY: 1. The two addresses come from `cpu_area::create`, which took the pages for
        // good. 2. The direct map covers them. 3. Atomics may be shared with the CPU.
        unsafe { &*((DIRECT_MAP + address) as *const DescriptorPage) }
    }

    /// Fills both pages for CPU `cpu`.
    pub fn fill(&self, cpu: usize) {
        fill_reserved_page(Self::page(self.pv32), GuestKind::Pv32, cpu);
        fill_reserved_page(Self::page(self.pv64), GuestKind::Pv64, cpu);
    }

    /// Points the LDT descriptor at the LDT of window `window`, `entries` long; loads it.
    /// With no entries the LDT register is made empty: every LDT selector is refused.
    ///
    /// # Safety
    /// 1. These are this CPU's pages, and the loaded GDT has one of them.
    /// 2. The window's LDT pages hold checked descriptors of the running vCPU, or are absent.
    pub unsafe fn load_ldt(&self, window: u32, entries: u32) {
        let selector = match entries.min(8192) {
            0 => SegmentSelector(0),
            entries => {
                let base = window::base(window) + WINDOW_LDT_OFFSET;
                let descriptor = system_descriptor(base, entries * 8 - 1, 2);
                set_system(Self::page(self.pv32), LDT_SELECTOR, descriptor);
                set_system(Self::page(self.pv64), LDT_SELECTOR, descriptor);
                SegmentSelector(LDT_SELECTOR)
            }
        };
        // SAFETY: the descriptor is valid (above), or the selector null.
        unsafe { core::arch::asm!("lldt {0:x}", in(reg) selector.0, options(nostack)) };
    }
}

/// Loads the GDT whose page 0 is at virtual `base`.
///
/// # Safety
/// Page 14 there is this CPU's reserved page; pages 0 to 13 are absent, or hold checked
/// descriptors.
pub unsafe fn load(base: u64) {
    let pointer = DescriptorTablePointer { limit: GDT_LIMIT, base: VirtAddr::new_truncate(base) };
    // SAFETY: the caller's duty.
    unsafe { tables::lgdt(&pointer) };
}

/// Loads the GDT that CPU `cpu` uses while it runs no guest.
///
/// # Safety
/// It is the CPU we run on, and its area exists.
pub unsafe fn load_idle(cpu: usize) {
    // SAFETY: only page 14 of the idle window is mapped: the CPU's reserved page.
    unsafe { load(cpu_area(cpu) + IDLE_GDT_OFFSET) };
}

/// Loads the idle GDT, the hypervisor's segments, an empty LDT and the TSS: once per CPU.
///
/// # Safety
/// As [`load_idle`]; interrupts are off.
pub unsafe fn init(cpu: usize) {
    use x86_64::instructions::segmentation::{CS, DS, ES, FS, GS, SS, Segment};
    // SAFETY: 1. The selectors are those of the page just loaded. 2. FS and GS hold nothing
    // of the hypervisor's: per-CPU data is found from the stack.
    unsafe {
        load_idle(cpu);
        CS::set_reg(SegmentSelector(HYPERVISOR_CS));
        SS::set_reg(SegmentSelector(HYPERVISOR_DS));
        DS::set_reg(SegmentSelector(HYPERVISOR_DS));
        ES::set_reg(SegmentSelector(HYPERVISOR_DS));
        FS::set_reg(SegmentSelector(0));
        GS::set_reg(SegmentSelector(0));
        core::arch::asm!("lldt {0:x}", in(reg) 0u16, options(nostack));
        tables::load_tss(SegmentSelector(TSS_SELECTOR));
    }
}

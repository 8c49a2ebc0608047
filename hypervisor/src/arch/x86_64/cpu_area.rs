//! The memory of one CPU: stacks with guard pages, GDT page, TSS (picture in `layout`).

// UNSAFETY: maps memory and writes into it.
#![allow(unsafe_code)]

use super::early::EarlyMemory;
use super::gdt::ReservedPages;
use super::layout::{
    DIRECT_MAP, IDLE_GDT_OFFSET, IST_BOTTOM, IST_SIZE, PAGE_SIZE, RESERVED_GDT_BYTE, STACK_BOTTOM,
    STACK_SIZE, TSS_OFFSET, cpu_area,
};
use super::paging::{Pte, Root};
use super::percpu::CpuInfo;
use super::tss;
use crate::guest::regs::UserRegs;

/// Bytes of memory that one area takes.
pub const SIZE: u64 = 4 * IST_SIZE + (STACK_SIZE - STACK_BOTTOM) + 3 * PAGE_SIZE;

/// Where the stack of CPU `cpu` begins when it starts: below the place of a guest's registers,
/// which are put there while the CPU's first functions are still running.
pub const fn first_stack(cpu: usize) -> u64 {
    const GUEST_REGISTERS: u64 = (size_of::<UserRegs>() as u64).next_multiple_of(16);
    CpuInfo::address(cpu) - GUEST_REGISTERS
}

/// Allocates, maps and fills the area of CPU `cpu`.
///
/// # Safety
/// 1. `root` is the idle root. 2. Called once for each CPU.
pub unsafe fn create(root: Root, early: &mut EarlyMemory, cpu: usize) {
    let area = cpu_area(cpu);
    let reserved = ReservedPages { pv32: early.page(), pv64: early.page() };
    reserved.fill(cpu);
    let tss_page = early.page();
    let ist = early.take(4 * IST_SIZE, PAGE_SIZE);
    let stack_size = STACK_SIZE - STACK_BOTTOM;
    let stack = early.take(stack_size, PAGE_SIZE);
    let info = DIRECT_MAP + stack + stack_size - size_of::<CpuInfo>() as u64;
    // SAFETY: 1. Both are fresh memory in the direct map, which nobody uses yet. 2. The TSS
    // is page-aligned; `info` is as aligned as `CpuInfo::address`, from a page's end.
    unsafe {
        tss::fill(cpu, DIRECT_MAP + tss_page);
        (info as *mut CpuInfo).write(CpuInfo::new(cpu as u32, reserved));
    }
    let parts = [
        (IST_BOTTOM, ist, 4 * IST_SIZE),
        (STACK_BOTTOM, stack, stack_size),
        (IDLE_GDT_OFFSET + RESERVED_GDT_BYTE, reserved.pv32, PAGE_SIZE),
        (TSS_OFFSET, tss_page, PAGE_SIZE),
    ];
    for (offset, physical, size) in parts {
        // SAFETY: 1. `early.page` yields zeroed pages for good. 2. The area's addresses are
        // unused until now, and the memory behind them is this CPU's alone.
        unsafe { root.map(area + offset, physical, size, Pte::DATA, &mut || early.page()) };
    }
}

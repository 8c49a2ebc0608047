//! The one place that enters the hypervisor, and the counters that sit there.
//!
//! A call goes through the hypercall page: slot *n* at byte `n * 32` loads the number and executes
//! `int $0x82`. Arguments travel in ebx, ecx, edx, esi, edi and are taken as clobbered, the result
//! comes back in eax: below zero it is a negative errno. Every call is counted with the TSC ticks
//! from entry to return, whatever happened in between: a blocking call counts the time asleep, and
//! one after which an event was delivered counts its handler. (`iret` does not return and is not
//! counted.)
//!
//! What a call means stands in [`crate::calls`], which wraps the ones that programs use; micro-guests
//! may use [`raw`] for anything.
#![allow(unsafe_code)] // UNSAFETY: entering the hypervisor is assembly.

use core::cell::UnsafeCell;

/// Number of slots in the hypercall page.
pub const SLOTS: usize = 128;

/// What one hypercall number has cost so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cost {
    /// How often it was called.
    pub calls: u64,
    /// TSC ticks between entry and return, in total.
    pub ticks: u64,
}

/// The counters. Written by plain read-modify-write: an event between the read and the write may
/// lose one count of an interrupted call, which statistics bear and the hot path is grateful for.
struct Counters(UnsafeCell<[Cost; SLOTS]>);

// SAFETY: 1. One vCPU runs this program, so no two writes are simultaneous.
// 2. An upcall may interleave with an update: all values are valid, and nothing rests on them.
unsafe impl Sync for Counters {}

static COUNTERS: Counters = Counters(UnsafeCell::new([Cost { calls: 0, ticks: 0 }; SLOTS]));

/// What calls with this number have cost so far.
pub fn cost(number: u32) -> Cost {
    if number as usize >= SLOTS {
        return Cost::default();
    }
    // SAFETY: 1. The index was checked. 2. One vCPU: see `Counters`.
    unsafe { (*COUNTERS.0.get())[number as usize] }
}

/// The TSC.
#[inline]
pub fn rdtsc() -> u64 {
    // SAFETY: 1. `rdtsc` touches no memory; where the hypervisor traps it, it emulates it.
    unsafe { core::arch::x86::_rdtsc() }
}

/// Makes hypercall `number` (below [`SLOTS`]) and returns what came back in eax.
///
/// # Safety
/// The caller vouches for what the arguments let the hypervisor do: memory that it reads or writes
/// through them is valid for that, and no mapping that Rust relies on changes.
#[inline]
pub unsafe fn raw(number: u32, a: u32, b: u32, c: u32, d: u32, e: u32) -> i32 {
    debug_assert!((number as usize) < SLOTS);
    let result: i32;
    let start = rdtsc();
    let arguments = [a, b, c, d, e];
    // SAFETY: 1. The slot is in the page that the hypervisor filled: callers pass numbers in range.
    // 2. Every argument register is declared as clobbered, or (esi, which Rust does not lend)
    // saved; the hypervisor preserves the others and the stack.
    // 3. Memory effects are the caller's promise.
    unsafe {
        core::arch::asm!(
            "push esi",
            "mov ebx, [edi]",
            "mov ecx, [edi + 4]",
            "mov edx, [edi + 8]",
            "mov esi, [edi + 12]",
            "mov edi, [edi + 16]",
            "call eax",
            "pop esi",
            inlateout("eax") crate::entry::hypercall_page_address() + number * 32 => result,
            inlateout("edi") arguments.as_ptr() => _,
            lateout("ebx") _,
            lateout("ecx") _,
            lateout("edx") _,
        );
    }
    let ticks = rdtsc().wrapping_sub(start);
    if let Some(cost) =
        // SAFETY: 1. One vCPU: see `Counters`. The reference ends with this statement.
        unsafe { (*COUNTERS.0.get()).get_mut(number as usize) }
    {
        cost.calls = cost.calls.wrapping_add(1);
        cost.ticks = cost.ticks.wrapping_add(ticks);
    }
    result
}

/// The name of a hypercall, as the hypervisor's table spells it.
pub fn name(number: u32) -> &'static str {
    use pv_abi::hypercall as h;
    match number {
        h::SET_TRAP_TABLE => "set_trap_table",
        h::MMU_UPDATE => "mmu_update",
        h::SET_GDT => "set_gdt",
        h::STACK_SWITCH => "stack_switch",
        h::SET_CALLBACKS => "set_callbacks",
        h::FPU_TASKSWITCH => "fpu_taskswitch",
        h::PLATFORM_OP => "platform_op",
        h::SET_DEBUGREG => "set_debugreg",
        h::GET_DEBUGREG => "get_debugreg",
        h::UPDATE_DESCRIPTOR => "update_descriptor",
        h::MEMORY_OP => "memory_op",
        h::MULTICALL => "multicall",
        h::UPDATE_VA_MAPPING => "update_va_mapping",
        h::SET_TIMER_OP => "set_timer_op",
        h::XEN_VERSION => "xen_version",
        h::CONSOLE_IO => "console_io",
        h::GRANT_TABLE_OP => "grant_table_op",
        h::VM_ASSIST => "vm_assist",
        h::VCPU_OP => "vcpu_op",
        h::MMUEXT_OP => "mmuext_op",
        h::SCHED_OP => "sched_op",
        h::CALLBACK_OP => "callback_op",
        h::EVENT_CHANNEL_OP => "event_channel_op",
        h::PHYSDEV_OP => "physdev_op",
        h::SYSCTL => "sysctl",
        h::DOMCTL => "domctl",
        _ => "other",
    }
}

//! Times the primitives of the PV ABI from inside a guest.
//!
//! Rows, names and lines are pvbench's (a bench guest in C), so that columns compare; its head says
//! what a row does. `BENCH name min`, `STAT name min median max n=ops`, `FAIL name result`, and
//! `BENCH-DONE` at the end. It has no verdict: `cargo xtask bench` reads the lines.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: the measured instructions are assembly.

mod entries;
mod events;
mod measure;
mod memory;
mod tables;
mod vcpus;

use core::sync::atomic::Ordering;
use entries::hypercall;
use measure::{BATCHES, fail, report, row};
use pv_abi::version::FeatureInfo;
use pv_abi::{hypercall as nr, physdev, sched, vm_assist};
use pv_guests::call::address_of;
use pv_guests::pages::{self, KRW, Page, map};
use pv_guests::user::User;
use pv_guests::{Outcome, must};
use ring1::abi::{StartInfo, TrapInfo};
use ring1::{calls, shared};
use ring1::{entry, println};

entry!(main);

fn main(start: &'static StartInfo) -> ! {
    pages::init(start);
    println!("PVBENCH-START x86_32p ferrule");
    if measure_all().is_err() {
        fail("setup", -1);
    }
    println!("BENCH-DONE");
    calls::poweroff()
}

fn measure_all() -> Outcome {
    let handler = |vector, dpl, entry: extern "C" fn()| TrapInfo {
        vector,
        flags: dpl,
        cs: 0xe019,
        address: entry as *const () as u32,
    };
    let end = TrapInfo { vector: 0, flags: 0, cs: 0, address: 0 };
    let traps = [
        handler(6, 0, entries::undefined),
        handler(14, 0, entries::page_fault),
        handler(0x80, 3, entries::system_call),
        end,
    ];
    must(calls::set_trap_table(&traps), "set_trap_table")?;
    must(calls::set_callbacks(entries::upcall as *const () as u32, 0x8010_0000), "callbacks")?;
    let assist = vm_assist::VMASST_TYPE_WRITABLE_PAGETABLES;
    must(calls::vm_assist(vm_assist::VMASST_CMD_ENABLE, assist), "vm_assist")?;
    ring1::events::unmask();

    let (first, second, hole) = (Page::take(), Page::take(), Page::take());
    row("loop_empty", 1000, || core::hint::black_box(0));
    let mut pair = [0; BATCHES];
    for ticks in &mut pair {
        let start = ring1::hypercall::rdtsc();
        *ticks = ring1::hypercall::rdtsc().wrapping_sub(start) as u32;
    }
    report("rdtsc_pair", pair, 1);
    plain_calls();
    tables::calls_in_batches();
    tables::updates(first, second);
    tables::pins(second)?;
    traps_and_back(hole)?;
    instructions();
    port_io();
    let port = events::ipi()?;
    memory::grants(events::interdomain()?)?;
    memory::reservation()?;
    vcpus::two(port);
    Ok(())
}

fn plain_calls() {
    row("hypercall_xen_version", 1000, || hypercall!(nr::XEN_VERSION, 0u32, 0u32));
    let mut features = FeatureInfo { submap_idx: 0, submap: 0 };
    let at = address_of(&mut features);
    row("hypercall_xen_version_features", 1000, || hypercall!(nr::XEN_VERSION, 6u32, at));
    row("hypercall_enosys", 1000, || hypercall!(55u32) & 0x7fff_ffff);
    row("sched_yield_alone", 1000, || hypercall!(nr::SCHED_OP, sched::SCHEDOP_YIELD, 0u32));
    let top = kernel_stack();
    row("stack_switch", 1000, || hypercall!(nr::STACK_SWITCH, 0xe021u32, top));
    row("fpu_taskswitch", 1000, || hypercall!(nr::FPU_TASKSWITCH, 0u32));
    row("set_timer_op_off", 1000, || hypercall!(nr::SET_TIMER_OP, 0u32, 0u32));
}

/// Top of a page that traps from Ring 3 arrive on.
fn kernel_stack() -> u32 {
    Page::take_again(0).va + pages::PAGE
}

fn touch(address: u32) -> i32 {
    // SAFETY: 1. The two-byte load faults, and the handler skips it. 2. The handlers keep registers.
    unsafe { core::arch::asm!(".byte 0x8b, 0x07", in("edi") address, out("eax") _) };
    0
}

fn traps_and_back(hole: Page) -> Outcome {
    let user = User::new()?;
    must(map(hole.va, 0), "unmapping a page")?;
    touch(hole.va);
    if shared::cr2() != hole.va {
        fail("cr2", -1);
    }
    row("pf_kernel_roundtrip", 500, || touch(hole.va));
    row("ud_kernel_roundtrip", 500, || {
        // SAFETY: 1. The handler skips the instruction and keeps registers.
        unsafe { core::arch::asm!("ud2") };
        0
    });
    entries::RETURN_BY.store(2, Ordering::Relaxed);
    row("pf_kernel_roundtrip_hciret", 500, || touch(hole.va));
    entries::RETURN_BY.store(1, Ordering::Relaxed);

    must(calls::stack_switch(kernel_stack()), "stack_switch")?;
    let stay = |name, code: extern "C" fn(), what| {
        user.load(code);
        let n = 500;
        let ticks =
            core::array::from_fn(|_| entries::user_enter(user.code.va, user.top(), n, what));
        report(name, ticks, n);
    };
    stay("syscall_roundtrip", entries::user_calls, 0);
    stay("syscall_roundtrip_slowiret", entries::user_calls, 1);
    stay("pf_user_roundtrip", entries::user_faults, hole.va);
    entries::RETURN_BY.store(2, Ordering::Relaxed);
    stay("pf_user_roundtrip_hciret", entries::user_faults, hole.va);
    must(map(hole.va, hole.entry(KRW)), "mapping the page again")
}

/// Privileged instructions that the hypervisor carries out.
fn instructions() {
    row("emul_mov_from_cr0", 300, || {
        // SAFETY: 1. Reads a register; the hypervisor carries it out.
        unsafe { core::arch::asm!("mov {}, cr0", out(reg) _) };
        0
    });
    row("emul_clts", 300, || {
        // SAFETY: 1. Clears the virtual TS, which is clear.
        unsafe { core::arch::asm!("clts") };
        0
    });
    row("emul_rdmsr_efer", 300, || {
        // SAFETY: 1. Reads EFER; the hypervisor carries it out.
        unsafe {
            core::arch::asm!("rdmsr", in("ecx") 0xc000_0080u32, out("eax") _, out("edx") _);
        }
        0
    });
}

fn port_io() {
    let mut iopl = physdev::PhysdevSetIopl { iopl: 1 };
    let at = address_of(&mut iopl);
    row("physdev_set_iopl", 300, || hypercall!(nr::PHYSDEV_OP, physdev::PHYSDEVOP_SET_IOPL, at));
    row("emul_inb_0x61", 300, || {
        // SAFETY: 1. Reads the speaker's port, which has no effect; the hypervisor carries it out.
        unsafe { core::arch::asm!("in al, 0x61", out("al") _) };
        0
    });
}

//! The hypervisor's program: the machine layer brings the machine up and describes it, the
//! portable library takes over. This file alone names both.

#![no_std]
#![no_main]
// UNSAFETY: the name that the boot code calls must not be mangled; the modules that the boot
// loader left in memory are read where they lie.
#![allow(unsafe_code)]

use hypervisor::arch::x86_64::bring_up::{self, Hardware};
use hypervisor::arch::x86_64::interrupts::{self, Receiver};
use hypervisor::arch::x86_64::layout::DIRECT_MAP;
use hypervisor::arch::x86_64::machine::Machine;
use hypervisor::arch::x86_64::percpu::CpuInfo;
use hypervisor::arch::x86_64::{
    clock, console, cpu, cpus, end, guest_entry, m2p, machine_keys, panic, switch,
};
use hypervisor::builder::{self, Request};
use hypervisor::cmdline::Counters;
use hypervisor::debug_keys;
use hypervisor::evtchn::virq;
use hypervisor::guest::regs::UserRegs;
use hypervisor::machine::multiboot::Module;
use hypervisor::mm::frame::Owner;
use hypervisor::mm::memory::Memory;
use hypervisor::platform::FrameAccess;
use hypervisor::system::System;
use hypervisor::{irq, reports, sched, time, trace};
use pv_abi::types::Mfn;

/// Where the boot code arrives: long mode, boot page tables, boot stack, interrupts off.
///
/// `magic` and `information` are what the boot loader left in `eax` and `ebx`.
#[unsafe(no_mangle)]
extern "C" fn ferrule_main(magic: u32, information: u32) -> ! {
    bring_up::start(magic, information, run)
}

/// The machine stands; the hypervisor begins.
fn run(hardware: &'static Hardware) -> ! {
    let sys = published(hardware);
    sys.command_line.call_once(|| hardware.command_line.clone());
    sys.memory_map.call_once(|| hardware.memory_map.clone());
    sys.io_memory.set_ram(hardware.memory_map.usable_ram());
    if let Some(bytes) = hardware.options.trace {
        trace(sys, bytes);
    }
    if hardware.options.counters == Counters::On {
        sys.trace.count();
    }
    sys.press_key.call_once(|| press_key);
    irq::describe(sys, &hardware.madt);
    interrupts::set_receiver(&Bell);
    panic::set_guest_report(guest_entry::report);
    start_domain0(sys, hardware);
    switch::main_loop(sys)
}

/// [`system`], known to all CPUs.
// It passes through the stack, which has little room: on a frame of its own, that is gone when
// domain 0 is built.
#[inline(never)]
fn published(hardware: &Hardware) -> &'static System<Machine> {
    switch::publish(system(hardware))
}

/// The machine as the library sees it, with all free memory in the heap.
#[inline(never)]
fn system(hardware: &Hardware) -> System<Machine> {
    let tables = &hardware.tables;
    let memory = Memory::new(tables.frames, tables.m2p32, tables.m2p64);
    for range in hardware.free.as_slice() {
        memory.add_range(Mfn::new(range.start >> 12), Mfn::new(range.end >> 12));
    }
    let out_of_memory = |_| -> ! {
        log::error!("the machine has too little memory");
        end::finish(end::code::REFUSED)
    };
    let zero = memory.allocate(Owner::Hypervisor, 0).unwrap_or_else(|e| out_of_memory(e));
    let machine = Machine {
        zero,
        wallclock_base_ns: clock::wallclock_base_ns(),
        cpus: cpus::online(),
        tsc_stable: cpu::has_invariant_tsc() || cpus::online() == 1,
    };
    machine.zero(zero);
    let window = m2p::window(&machine, &memory, hardware.root).unwrap_or_else(|e| out_of_memory(e));
    System::new(machine, memory, window)
}

/// Begins to keep records.
fn trace(sys: &System<Machine>, bytes: u64) {
    match trace::begin(sys, bytes) {
        Ok(()) => log::info!("trace: at most {} KiB for each CPU", bytes >> 10),
        Err(error) => {
            log::error!("no memory for traces on the way to domain 0: {error}");
            end::finish(end::code::REFUSED)
        }
    }
}

/// Builds domain 0 of what the boot loader brought, and starts it.
#[inline(never)]
fn start_domain0(sys: &'static System<Machine>, hardware: &'static Hardware) {
    let refuse = |why: &dyn core::fmt::Display| -> ! {
        log::error!("{why}");
        end::finish(end::code::REFUSED)
    };
    let Some(kernel) = hardware.modules.first() else {
        refuse(&"no kernel for domain 0: the boot loader has to bring it as the first module")
    };
    let request = Request {
        kernel: bytes(kernel),
        initrd: hardware.modules.get(1).map_or(&[], bytes),
        command_line: kernel.command_line.as_str().as_bytes(),
        memory_bytes: hardware.options.dom0_memory,
        vcpus: hardware.options.dom0_max_vcpus.unwrap_or(1),
    };
    if let Err(error) = builder::build(sys, &request) {
        refuse(&error)
    }
    for module in &hardware.modules {
        // Whole frames only: what shares one with a neighbour stays where it is.
        let start = module.start.next_multiple_of(4096) >> 12;
        sys.memory.add_range(Mfn::new(start), Mfn::new((module.end >> 12).max(start)));
    }
}

/// A module's contents.
fn bytes(module: &Module) -> &'static [u8] {
    let start = (DIRECT_MAP + module.start) as *const u8;
    // SAFETY: 1. The boot loader put the module there, in RAM that the direct map has; its
    //            range was kept out of the heap. 2. It is given to the heap only after the
    //            builder is done with it.
    unsafe { core::slice::from_raw_parts(start, (module.end - module.start) as usize) }
}

/// Passes on what interrupts say.
struct Bell;

impl Receiver for Bell {
    fn timer(&self) {
        if let Some(sys) = switch::system() {
            time::expired(sys, CpuInfo::this().cpu);
        }
    }

    fn kick(&self) {
        if let Some(sys) = switch::system() {
            sched::kicked(sys, CpuInfo::this().cpu);
        }
    }

    fn console_input(&self) {
        if let Some(sys) = switch::system() {
            virq::raise_global(sys, pv_abi::virq::VIRQ_CONSOLE);
        }
    }

    fn device(&self, vector: u8) {
        if let Some(sys) = switch::system()
            && let Some(deadline_ns) = irq::arrive::arrived(sys, vector)
        {
            time::wake_by(sys, CpuInfo::this().cpu, deadline_ns);
        }
    }

    fn debug_key(&self, key: u8, frame: &UserRegs) {
        if let Some(sys) = switch::system() {
            press_key(sys, frame, key);
        }
    }
}

/// Presses a debug key: those of the library and those of the machine layer are one set.
fn press_key(sys: &System<Machine>, frame: &UserRegs, key: u8) {
    let tables = [&reports::keys::<Machine>()[..], &machine_keys::keys::<System<Machine>>()[..]];
    machine_keys::interrupted(frame, || {
        // The console cannot fail.
        let _ = debug_keys::press(&tables, key, sys, &mut console::Out);
    });
}

#[panic_handler]
fn on_panic(info: &core::panic::PanicInfo<'_>) -> ! {
    panic::rust_panic(info)
}

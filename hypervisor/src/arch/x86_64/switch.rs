//! From one vCPU to another, through idleness if need be.
//!
//! A vCPU's state is in the processor while it is *loaded*. It stays loaded while its CPU
//! idles: if it is the next to run, nothing has to be saved or restored. If somebody else wants
//! it (another CPU that is to run it, or who reads its state) its CPU is kicked, and unloads it
//! before it idles again. Extended state is saved and restored with the rest ([`extended_state`]).

// UNSAFETY: loads the processor's registers with a guest's state.
#![allow(unsafe_code)]

use spin::Once;

use super::gdt::{self, GuestKind};
use super::machine::Machine;
use super::percpu::{CpuInfo, Loaded};
use super::{address_space, cpu, entry, extended_state, uaccess, window};
use crate::domain::Domain;
use crate::domain::vcpu::{Vcpu, VcpuState};
use crate::exit::Next;
use crate::guest::Ctx;
use crate::lock::Guard;
use crate::mm::mmuext;
use crate::platform::{CpuRegisters, Cpus, Mmu, Platform};
use crate::sched;
use crate::system::System;
use crate::trap::{control, traced};
use crate::width::Width;

/// What [`publish`] was given.
static SYSTEM: Once<System<Machine>> = Once::new();

/// Makes the machine known to all CPUs; those that wait in [`join`] are kicked.
pub fn publish(system: System<Machine>) -> &'static System<Machine> {
    let sys = SYSTEM.call_once(|| system);
    for cpu in 1..sys.platform.count() {
        sys.platform.kick(cpu);
    }
    sys
}

/// The machine, once it is ready for guests.
pub fn system() -> Option<&'static System<Machine>> {
    SYSTEM.get()
}

/// Waits for the machine to be ready, then takes part: what a CPU other than the first does.
pub fn join() -> ! {
    loop {
        if let Some(sys) = system() {
            main_loop(sys)
        }
        wait();
    }
}

/// The calling vCPU may not run on: finds this CPU something to do.
///
/// Returns only if it turns out that the vCPU runs on after all.
#[inline(never)]
pub fn away(mut ctx: Ctx<'static, Machine>) {
    let cpu = CpuInfo::this();
    sched::stopped_running(&ctx);
    loop {
        let Some((domain, vcpu)) = sched::next(ctx.sys, cpu.cpu) else {
            if !ctx.vcpu.run.may_stay_loaded(cpu.cpu) {
                main_loop(ctx.sys)
            }
            idle(ctx.sys, cpu.cpu);
            continue;
        };
        if core::ptr::eq(ctx.vcpu, vcpu) {
            sched::resumed(&ctx);
            match traced::prepare(&mut ctx) {
                Next::Resume => return,
                Next::Switch => sched::stopped_running(&ctx),
            }
        } else {
            let sys = ctx.sys;
            run(sys, domain, vcpu);
            main_loop(sys)
        }
    }
}

/// Runs what there is to run, forever: what a CPU does once it is up.
pub fn main_loop(sys: &'static System<Machine>) -> ! {
    let cpu = CpuInfo::this();
    loop {
        match sched::next(sys, cpu.cpu) {
            Some((domain, vcpu)) => run(sys, domain, vcpu),
            None => {
                if let Some(old) = cpu.loaded.get()
                    && !old.vcpu.run.may_stay_loaded(cpu.cpu)
                {
                    leave(cpu, old);
                }
                idle(sys, cpu.cpu);
            }
        }
    }
}

/// [`wait`], counted as idle time.
fn idle(sys: &System<Machine>, cpu: u32) {
    sched::idle::begin(sys, cpu);
    wait();
    sched::idle::end(sys, cpu);
}

/// Waits for an interrupt; its handler has run when this returns.
fn wait() {
    x86_64::instructions::interrupts::enable_and_hlt();
    x86_64::instructions::interrupts::disable();
}

/// Loads a vCPU and enters it; returns if it may not run after all.
fn run(sys: &'static System<Machine>, domain: &'static Domain, vcpu: &'static Vcpu) {
    let cpu = CpuInfo::this();
    let old = cpu.loaded.get().filter(|old| !core::ptr::eq(old.vcpu, vcpu));
    if let Some(old) = old {
        unload(cpu, old);
    }
    if cpu.loaded.get().is_none() {
        load(sys, cpu, domain, vcpu);
        if let Some(old) = old
            && !core::ptr::eq(old.domain, domain)
        {
            sys.unloaded(old.domain);
        }
    }
    // SAFETY: 1. The vCPU is loaded on this CPU, and this is its only context.
    let Some(mut ctx) = (unsafe { cpu.ctx() }) else { return };
    sched::resumed(&ctx);
    match traced::prepare(&mut ctx) {
        // SAFETY: 1. `load` filled the frame, or it is as the vCPU left it.
        Next::Resume => unsafe { entry::resume(cpu.regs()) },
        Next::Switch => sched::stopped_running(&ctx),
    }
}

/// Moves the loaded vCPU's state out of the processor.
fn unload(cpu: &CpuInfo, old: Loaded) {
    // SAFETY: 1. Loaded: the state is locked by this CPU and nobody has a reference.
    //         2. The frame at the top of the stack is the vCPU's.
    let (state, regs) = unsafe { (&mut *old.state, *cpu.regs()) };
    state.regs = regs;
    state.segments = uaccess::segments();
    extended_state::save(state.fpu, &state.special);
    cpu.loaded.set(None);
    old.vcpu.run.set_loaded_on(None);
    // SAFETY: 1. `load` locked it and forgot the guard; nothing uses the state any more.
    unsafe { old.vcpu.state.without_place().force_unlock() };
}

/// Moves the loaded vCPU's state out, and with it everything by which the processor still
/// depends on it: its domain may come to an end while this CPU idles.
fn leave(cpu: &CpuInfo, old: Loaded) {
    if let Some(root) = address_space::idle_root() {
        // SAFETY: 1. The hypervisor is mapped in the idle root as in every vCPU's. 2. The idle
        //            GDT has this CPU's reserved page. 3. No selector of the guest's tables is
        //            loaded then: the data segments get null ones.
        unsafe {
            root.load();
            gdt::load_idle(cpu.cpu as usize);
        }
    }
    unload(cpu, old);
    old.sys.unloaded(old.domain);
    old.sys.platform.load_ldt(old.vcpu.window, 0);
    for load in [uaccess::load_ds, uaccess::load_es, uaccess::load_fs, uaccess::load_gs] {
        load(0);
    }
}

/// Moves a vCPU's state into the processor.
///
/// The CPU that had it last may still be moving it out: a vCPU may be picked before its
/// registers are back. We have nothing loaded ourselves meanwhile, so no two CPUs wait for each
/// other. One that idles has been kicked ([`sched::balance`]).
fn load(
    sys: &'static System<Machine>,
    cpu: &CpuInfo,
    domain: &'static Domain,
    vcpu: &'static Vcpu,
) {
    let guard = sys.spin_on(&vcpu.state);
    let state: *mut VcpuState = Guard::leak(guard);
    vcpu.run.set_loaded_on(Some(cpu.cpu));
    cpu.loaded.set(Some(Loaded { sys, domain, vcpu, state }));
    // SAFETY: 1. Just locked. 2. The frame at the top of the stack belongs to nobody now.
    let Some(ctx) = (unsafe { cpu.ctx() }) else { return };
    *ctx.regs = ctx.state.regs;
    let kind = match domain.width() {
        Width::Pv32 => GuestKind::Pv32,
        Width::Pv64 => GuestKind::Pv64,
    };
    // SAFETY: 1. The pages are this CPU's, which is about to run the window's vCPU.
    //         2. Pages 0 to 13 hold checked descriptors, or zeros (`map_table_page`).
    unsafe {
        let mapped = window::set_reserved_page(vcpu.window, &cpu.reserved_gdt, kind);
        debug_assert!(mapped.is_ok(), "the window was made with the vCPU");
        gdt::load(window::base(vcpu.window));
    }
    sys.loading(domain, vcpu);
    mmuext::load_root(&ctx);
    sys.platform.load_ldt(vcpu.window, ctx.state.ldt_entries);
    load_debug_registers(sys, ctx.state);
    extended_state::restore(ctx.state.fpu, &ctx.state.special);
    cpu::set_time_stamp_disable(ctx.state.cr4 & control::CR4_TSD != 0);
    cpu::set_tsc_aux(ctx.state.special.tsc_aux);
    if ctx.state.task_switched {
        sys.platform.set_task_switched(true);
    }
    // Between unloading and loading nobody changes the vCPU's descriptors, so the selectors
    // are as good as they were; one that is not reads as null.
    let [ds, es, fs, gs] = ctx.state.segments;
    uaccess::load_ds(ds);
    uaccess::load_es(es);
    uaccess::load_fs(fs);
    uaccess::load_gs(gs);
}

fn load_debug_registers<P: Platform>(sys: &System<P>, state: &VcpuState) {
    for index in [0, 1, 2, 3, 6, 7] {
        if let Some(value) = state.debug_registers.get(usize::from(index)) {
            sys.platform.set_debug_register(index, *value);
        }
    }
}

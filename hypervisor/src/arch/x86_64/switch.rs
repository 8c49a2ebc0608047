//! From one vCPU to another, through idleness if need be.
//!
//! A vCPU's state is in the processor while it is *loaded*. It stays loaded while its CPU
//! idles: if it is the next to run, nothing has to be saved or restored. Extended state
//! (x87, SSE, AVX) is saved and restored with the rest, never lazily: what another vCPU
//! left in a register is never there to be found (XSA-267).

// UNSAFETY: loads the processor's registers with a guest's state.
#![allow(unsafe_code)]

use super::gdt::{self, GuestKind};
use super::layout::DIRECT_MAP;
use super::machine::Machine;
use super::percpu::{CpuInfo, Loaded};
use super::{cpu, entry, uaccess, window};
use crate::domain::Domain;
use crate::domain::vcpu::{Vcpu, VcpuState};
use crate::exit::{self, Next};
use crate::guest::Ctx;
use crate::mm::{descriptor, mmuext};
use crate::platform::{Cpus, Platform};
use crate::system::System;
use crate::width::Width;
use crate::{sched, time};

/// The calling vCPU may not run on: finds this CPU something to do.
///
/// Returns only if it turns out that the vCPU may run on after all.
#[inline(never)]
pub fn away(ctx: Ctx<'static, Machine>) {
    let (sys, previous) = (ctx.sys, core::ptr::from_ref(ctx.vcpu));
    drop(ctx);
    let cpu = CpuInfo::this();
    loop {
        let Some((domain, vcpu)) = sched::next(sys, cpu.cpu) else {
            idle(sys);
            continue;
        };
        if core::ptr::eq(previous, vcpu) {
            // SAFETY: 1. Still loaded, and the caller's context is gone.
            let Some(mut ctx) = (unsafe { cpu.ctx() }) else { continue };
            time::publish(sys, vcpu, domain);
            match exit::prepare(&mut ctx) {
                Next::Resume => return,
                Next::Switch => continue,
            }
        }
        run(sys, domain, vcpu);
    }
}

/// Runs what there is to run, forever: what a CPU does once it is up.
pub fn main_loop(sys: &'static System<Machine>) -> ! {
    let cpu = CpuInfo::this();
    cpu.system.set(Some(sys));
    loop {
        match sched::next(sys, cpu.cpu) {
            Some((domain, vcpu)) => run(sys, domain, vcpu),
            None => idle(sys),
        }
    }
}

/// Waits for an interrupt; handlers run before this returns.
fn idle(sys: &System<Machine>) {
    time::arm(sys, sys.platform.this_cpu());
    x86_64::instructions::interrupts::enable_and_hlt();
    x86_64::instructions::interrupts::disable();
}

/// Loads a vCPU and enters it; returns if it may not run after all.
fn run(sys: &'static System<Machine>, domain: &'static Domain, vcpu: &'static Vcpu) {
    let cpu = CpuInfo::this();
    if let Some(old) = cpu.loaded.get()
        && !core::ptr::eq(old.vcpu, vcpu)
    {
        unload(cpu, old);
    }
    if cpu.loaded.get().is_none() && !load(sys, cpu, domain, vcpu) {
        return;
    }
    time::publish(sys, vcpu, domain);
    // SAFETY: 1. The vCPU is loaded on this CPU, and this is its only context.
    let Some(mut ctx) = (unsafe { cpu.ctx() }) else { return };
    if let Next::Resume = exit::prepare(&mut ctx) {
        // SAFETY: 1. `load` filled the frame, or it is as the vCPU left it.
        unsafe { entry::resume(cpu.regs()) }
    }
}

/// Moves the loaded vCPU's state out of the processor.
fn unload(cpu: &CpuInfo, old: Loaded) {
    // SAFETY: 1. Loaded: the state is locked by this CPU and nobody has a reference.
    //         2. The frame at the top of the stack is the vCPU's.
    let state = unsafe { &mut *old.state };
    state.regs = unsafe { *cpu.regs() };
    state.segments = uaccess::segments();
    save_extended(state);
    cpu.loaded.set(None);
    // SAFETY: 1. `load` locked it and forgot the guard; nothing uses the state any more.
    unsafe { old.vcpu.state.force_unlock() };
}

/// Moves a vCPU's state into the processor. Fails if another CPU still has it.
fn load(
    sys: &'static System<Machine>,
    cpu: &CpuInfo,
    domain: &'static Domain,
    vcpu: &'static Vcpu,
) -> bool {
    let Some(guard) = vcpu.state.try_lock() else { return false };
    let state: *mut VcpuState = spin::MutexGuard::leak(guard);
    cpu.loaded.set(Some(Loaded { domain, vcpu, state }));
    // SAFETY: 1. Just locked. 2. The frame at the top of the stack belongs to nobody now.
    let Some(ctx) = (unsafe { cpu.ctx() }) else { return false };
    *ctx.regs = ctx.state.regs;
    let kind = match domain.width {
        Width::Pv32 => GuestKind::Pv32,
        Width::Pv64 => GuestKind::Pv64,
    };
    // SAFETY: 1. The pages are this CPU's, which is about to run the window's vCPU.
    //         2. Pages 0 to 13 hold checked descriptors, or zeros (`map_table_page`).
    unsafe {
        if window::set_reserved_page(vcpu.window, &cpu.reserved_gdt, kind).is_err() {
            return false;
        }
        gdt::load(window::base(vcpu.window));
    }
    mmuext::load_root(&ctx);
    descriptor::load_ldt(&ctx);
    load_debug_registers(sys, ctx.state);
    restore_extended(ctx.state);
    // A selector that went bad while the vCPU did not run reads as null; as on Xen the
    // guest would be told by its failsafe callback, which needs another frame: see trap.
    let [ds, es, fs, gs] = ctx.state.segments;
    uaccess::load_ds(ds);
    uaccess::load_es(es);
    uaccess::load_fs(fs);
    uaccess::load_gs(gs);
    true
}

fn load_debug_registers<P: Platform>(sys: &System<P>, state: &VcpuState) {
    for index in [0, 1, 2, 3, 6, 7] {
        if let Some(value) = state.debug_registers.get(usize::from(index)) {
            sys.platform.set_debug_register(index, *value);
        }
    }
}

/// The vCPU's extended state in memory.
fn extended(state: &VcpuState) -> u64 {
    DIRECT_MAP + (state.fpu.raw() << 12)
}

fn save_extended(state: &VcpuState) {
    let area = extended(state);
    // SAFETY: 1. The area is a frame of the hypervisor's, page-aligned, larger than what
    //            XCR0 enables (checked at boot). 2. CR0.TS is clear while we run on its behalf.
    unsafe {
        core::arch::asm!("clts", options(nomem, nostack));
        if cpu::has_xsave() {
            core::arch::asm!("xsave64 [{}]", in(reg) area, in("eax") u32::MAX, in("edx") u32::MAX, options(nostack));
        } else {
            core::arch::asm!("fxsave64 [{}]", in(reg) area, options(nostack));
        }
    }
}

fn restore_extended(state: &VcpuState) {
    let area = extended(state);
    // SAFETY: 1. As above; the area holds what `save_extended` put there, or the initial image.
    unsafe {
        core::arch::asm!("clts", options(nomem, nostack));
        if cpu::has_xsave() {
            core::arch::asm!("xrstor64 [{}]", in(reg) area, in("eax") u32::MAX, in("edx") u32::MAX, options(nostack));
        } else {
            core::arch::asm!("fxrstor64 [{}]", in(reg) area, options(nostack));
        }
        if state.task_switched {
            let cr0: u64;
            core::arch::asm!("mov {0}, cr0", "or {0}, 8", "mov cr0, {0}", out(reg) cr0, options(nostack));
            let _ = cr0;
        }
    }
}

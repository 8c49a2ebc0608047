//! From the entry stubs to the logic: the few functions that turn a frame into a [`Ctx`].
//!
//! Each takes the frame, lets safe code handle it, and then either returns to its stub
//! (the vCPU runs on) or leaves for another vCPU through `switch`.

// UNSAFETY: entered from assembly with a pointer.
#![allow(unsafe_code)]

use super::idt::vector;
use super::machine::Machine;
use super::percpu::CpuInfo;
use super::{entry, interrupts, panic, switch};
use crate::error::Stop;
use crate::exit::{self, Next};
use crate::guest::Ctx;
use crate::guest::regs::UserRegs;
use crate::sched::shutdown;
use crate::width::Width;
use crate::{hypercall, trap};

/// First vector that is no exception.
const FIRST_INTERRUPT: u32 = 32;

/// The context of the guest that entered with the frame `regs`.
///
/// # Safety
/// A stub has just built `regs` at the top of this CPU's stack, and calls nothing else.
#[inline(always)]
unsafe fn entered(regs: *mut UserRegs) -> Ctx<'static, Machine> {
    debug_assert!(regs == CpuInfo::this().regs());
    // SAFETY: 1. The caller's duty: the loaded vCPU entered, and this is its only context.
    match unsafe { CpuInfo::this().ctx() } {
        Some(ctx) => ctx,
        None => unreachable_guest(),
    }
}

/// The same for the stubs that save what a pv32 guest can see: others do not come by them, and
/// what is made for one kind of guest is shorter.
///
/// # Safety
/// As `entered`.
#[inline(always)]
unsafe fn entered_short(regs: *mut UserRegs) -> Ctx<'static, Machine> {
    // SAFETY: the caller's duty.
    let ctx = unsafe { entered(regs) };
    debug_assert!(ctx.width == Width::Pv32);
    Ctx { width: Width::Pv32, ..ctx }
}

#[cold]
// Not a guest's doing: entries happen only while one is loaded.
#[allow(clippy::panic)]
fn unreachable_guest() -> ! {
    panic!("a guest entered, but none is loaded")
}

/// `int $0x82` from Ring 1.
///
/// # Safety
/// As `entered`.
pub unsafe extern "C" fn guest_hypercall(regs: *mut UserRegs) {
    // SAFETY: the caller's duty.
    let mut ctx = unsafe { entered_short(regs) };
    hypercall::enter(&mut ctx);
    leave(ctx);
}

/// `int $0x80` from Ring 1 or 3.
///
/// # Safety
/// As `entered`.
pub unsafe extern "C" fn guest_int80(regs: *mut UserRegs) {
    // SAFETY: the caller's duty.
    let mut ctx = unsafe { entered_short(regs) };
    trap::exception::int80(&mut ctx);
    leave(ctx);
}

/// A page fault of a guest's.
///
/// # Safety
/// As `entered`.
pub unsafe extern "C" fn guest_page_fault(regs: *mut UserRegs) {
    // SAFETY: the caller's duty.
    let mut ctx = unsafe { entered_short(regs) };
    trap::exception::page_fault(&mut ctx);
    leave(ctx);
}

/// [`guest_hypercall`], traced.
///
/// # Safety
/// As `entered`.
pub unsafe extern "C" fn traced_hypercall(regs: *mut UserRegs) {
    // SAFETY: the caller's duty.
    let mut ctx = unsafe { entered_short(regs) };
    hypercall::traced::enter(&mut ctx);
    leave_traced(ctx);
}

/// [`guest_int80`], traced.
///
/// # Safety
/// As `entered`.
pub unsafe extern "C" fn traced_int80(regs: *mut UserRegs) {
    // SAFETY: the caller's duty.
    let mut ctx = unsafe { entered_short(regs) };
    trap::traced::int80(&mut ctx);
    leave_traced(ctx);
}

/// [`guest_page_fault`], traced.
///
/// # Safety
/// As `entered`.
pub unsafe extern "C" fn traced_page_fault(regs: *mut UserRegs) {
    // SAFETY: the caller's duty.
    let mut ctx = unsafe { entered_short(regs) };
    trap::traced::page_fault(&mut ctx);
    leave_traced(ctx);
}

/// Any other vector from a guest.
///
/// # Safety
/// `regs` is the frame that a stub has just built, on the CPU's stack or, for NMI, #MC, #DF
/// and #DB, on the vector's own.
pub unsafe extern "C" fn guest_trap(regs: *mut UserRegs) {
    if entry::is_traced() {
        // SAFETY: the caller's duty.
        return unsafe { traced_trap(regs) };
    }
    // SAFETY: the caller's duty.
    unsafe { any::<false>(regs) }
}

/// [`guest_trap`], traced.
///
/// # Safety
/// As [`guest_trap`].
#[cold]
#[inline(never)]
unsafe fn traced_trap(regs: *mut UserRegs) {
    // SAFETY: the caller's duty.
    unsafe { any::<true>(regs) }
}

/// What both do.
///
/// # Safety
/// As [`guest_trap`].
#[inline(always)]
unsafe fn any<const TRACED: bool>(regs: *mut UserRegs) {
    // SAFETY: 1. The stub's frame; we only look at it here.
    let frame = || unsafe { *regs };
    // SAFETY: as above.
    let number = unsafe { (*regs).entry_vector };
    if number >= FIRST_INTERRUPT {
        interrupts::dispatch(&frame());
        // SAFETY: the caller's duty: these vectors use the CPU's stack.
        return leave_any::<TRACED>(unsafe { entered(regs) });
    }
    match number as u8 {
        vector::NMI | vector::MACHINE_CHECK | vector::DOUBLE_FAULT => {
            super::exceptions::hardware(&frame());
        }
        vector::DEBUG => {
            let top = CpuInfo::this().regs();
            // SAFETY: 1. The guest entered on the #DB stack, so the frame at the top of the
            //            CPU's own stack is free. 2. From here on the #DB stack is abandoned.
            unsafe {
                *top = *regs;
                let mut ctx = entered(top);
                exception::<TRACED>(&mut ctx);
                leave_any::<TRACED>(ctx);
                entry::resume(top);
            }
        }
        _ => {
            // SAFETY: the caller's duty: these vectors use the CPU's stack.
            let mut ctx = unsafe { entered(regs) };
            exception::<TRACED>(&mut ctx);
            leave_any::<TRACED>(ctx);
        }
    }
}

#[inline(always)]
fn exception<const TRACED: bool>(ctx: &mut Ctx<'static, Machine>) {
    if TRACED { trap::traced::exception(ctx) } else { trap::exception::exception(ctx) }
}

#[inline(always)]
fn leave_any<const TRACED: bool>(ctx: Ctx<'static, Machine>) {
    if TRACED { leave_traced(ctx) } else { leave(ctx) }
}

/// Returns if the vCPU goes on; else this CPU does something else and the stack is abandoned.
#[inline(always)]
fn leave(mut ctx: Ctx<'static, Machine>) {
    if let Next::Switch = exit::prepare(&mut ctx) {
        switch::away(ctx);
    }
}

/// [`leave`], with a record of an upcall.
fn leave_traced(mut ctx: Ctx<'static, Machine>) {
    if let Next::Switch = trap::traced::prepare(&mut ctx) {
        switch::away(ctx);
    }
}

/// A fault at the instruction that was to resume the guest: its frame names a segment or an
/// address that it may not have. `frame` is what interrupted us; the guest's own five words
/// are still at the top of the stack, and its other registers are in the processor, so in `frame`.
///
/// # Safety
/// `frame` is what a stub has just built on this CPU's stack, and nobody uses it afterwards.
#[inline(never)]
pub unsafe fn resume_failed(frame: *const UserRegs) -> ! {
    let cpu = CpuInfo::this();
    let top = cpu.regs();
    // The place of the guest's frame overlaps the new one, so that is copied out first; volatile,
    // lest the compiler copies from one to the other directly.
    // SAFETY: 1. The caller's duty.
    let saved = unsafe { frame.read_volatile() };
    let mut regs = saved;
    // SAFETY: 1. The guest's frame lies at the top of this CPU's stack, complete but for what
    //            had been popped, which `saved` has.
    unsafe {
        let kept = &raw const *top;
        (regs.rip, regs.cs, regs.rflags) = ((*kept).rip, (*kept).cs, (*kept).rflags);
        (regs.rsp, regs.ss) = ((*kept).rsp, (*kept).ss);
    }
    // SAFETY: 1. From here on `frame` is gone. 2. The context is the guest's only one.
    let loaded = unsafe {
        top.write_volatile(regs);
        cpu.ctx()
    };
    let Some(mut ctx) = loaded else { panic::exception(super::exceptions::name(&saved), &saved) };
    let segments = super::uaccess::segments();
    let vector = saved.entry_vector as u8;
    let lazy_ldt = vector == vector::PAGE_FAULT
        && trap::page_fault::ldt_fault(&mut ctx, x86_64::registers::control::Cr2::read_raw());
    if !lazy_ldt {
        super::uaccess::load_ds(0);
        super::uaccess::load_es(0);
        super::uaccess::load_fs(0);
        super::uaccess::load_gs(0);
        if let Err(Stop::Crash(why)) = trap::bounce::failsafe(&mut ctx, segments) {
            shutdown::crash(&mut ctx, why);
        }
    }
    leave(ctx);
    // SAFETY: 1. The frame is complete again. 2. The vCPU is still loaded.
    unsafe { entry::resume(top) }
}

/// Prints the loaded guest's registers, for the panic report.
pub fn report() {
    // SAFETY: 1. A panic never returns, so no other context is used any more.
    if let Some(ctx) = unsafe { CpuInfo::this().ctx() } {
        shutdown::report(&ctx);
    }
}

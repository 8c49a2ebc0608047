//! The end of a domain: its own wish, or ours.

use core::fmt;

use pv_abi::sched as abi;
use pv_abi::types::DomId;

use super::wake::{allow, forbid};
use super::word::Bar;
use crate::domain::{Domain, destroy};
use crate::error::{Crash, Stop};
use crate::guest::Ctx;
use crate::guest::regs::UserRegs;
use crate::platform::Platform;
use crate::system::System;
use crate::width::Width;

/// Frames of a backtrace.
const FRAMES: usize = 16;

/// A shutdown reason in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reason(pub u8);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match u32::from(self.0) {
            abi::SHUTDOWN_POWEROFF => "poweroff",
            abi::SHUTDOWN_REBOOT => "reboot",
            abi::SHUTDOWN_SUSPEND => "suspend",
            abi::SHUTDOWN_CRASH => "crash",
            abi::SHUTDOWN_WATCHDOG => "watchdog",
            abi::SHUTDOWN_SOFT_RESET => "soft reset",
            _ => return write!(f, "unknown reason {}", self.0),
        })
    }
}

/// `domain` shuts down for `reason`, or for what it has latched (`SCHEDOP_shutdown_code`): none of
/// its vCPUs runs on. Domain 0 is told (`VIRQ_DOM_EXC`).
///
/// A domain shuts down once; a reason that comes later changes nothing. When it is domain
/// 0, so does the machine: [`crate::platform::Power::domain0_shut_down`] is told.
pub fn shutdown<P: Platform>(sys: &System<P>, domain: &Domain, reason: u8) {
    let reason = domain.run.code_or(reason);
    if !domain.set_shutdown(reason) {
        return;
    }
    for vcpu in domain.vcpus() {
        forbid(sys, vcpu, Bar::ShutDown);
    }
    log::info!("{} shut down: {}", domain.id, Reason(reason));
    if domain.id == DomId::new(0) {
        sys.platform.domain0_shut_down(reason);
    } else {
        destroy::announce(sys);
    }
}

/// `domain`, not the caller's, goes on that was shut down: the vCPUs that were up then are up.
///
/// `Preempted`: a CPU is still leaving one of them; ask again.
pub fn resume<P: Platform>(sys: &System<P>, domain: &Domain) -> Result<(), Stop> {
    sys.while_held(domain, || {
        if domain.clear_shutdown() && !domain.end.is_dying() {
            domain.run.forget_code();
            for vcpu in domain.vcpus() {
                allow(sys, vcpu, Bar::ShutDown);
            }
        }
        Ok(())
    })
}

/// `SCHEDOP_shutdown`: the caller's domain shuts itself down.
///
/// If it says that it has crashed it is reported like one that we had to end: its own panic
/// may not have been able to say where it was.
pub(super) fn by_itself<P: Platform>(ctx: &Ctx<'_, P>, reason: u32) {
    if reason == abi::SHUTDOWN_CRASH && ctx.domain.shutdown_reason().is_none() {
        log::error!("{}{} says that it has crashed", ctx.domain.id, ctx.vcpu.id);
        report(ctx);
    }
    // Xen has but these eight bits for it.
    shutdown(ctx.sys, ctx.domain, reason as u8);
}

/// The calling domain cannot go on: says why, and where it was, and ends it.
#[cold]
pub fn crash<P: Platform>(ctx: &mut Ctx<'_, P>, why: Crash) {
    if ctx.domain.shutdown_reason().is_none() {
        log::error!("{}{} crashed: {why}", ctx.domain.id, ctx.vcpu.id);
        report(ctx);
    }
    shutdown(ctx.sys, ctx.domain, abi::SHUTDOWN_CRASH as u8);
}

/// Logs registers and a backtrace of the guest.
pub fn report<P: Platform>(ctx: &Ctx<'_, P>) {
    let who = format_args!("{}{}", ctx.domain.id, ctx.vcpu.id);
    match ctx.width() {
        Width::Pv32 => registers32(who, ctx.regs),
        Width::Pv64 => registers64(who, ctx.regs),
    }
    backtrace(ctx, who);
}

fn registers32(who: fmt::Arguments<'_>, r: &UserRegs) {
    log::error!(
        "{who} eip {:08x} cs {:04x} eflags {:08x} esp {:08x} ss {:04x}",
        r.rip,
        r.cs,
        r.rflags,
        r.rsp,
        r.ss
    );
    log::error!(
        "{who} eax {:08x} ebx {:08x} ecx {:08x} edx {:08x}",
        r.rax as u32,
        r.rbx as u32,
        r.rcx as u32,
        r.rdx as u32
    );
    log::error!(
        "{who} esi {:08x} edi {:08x} ebp {:08x} vector {} error code {:#x}",
        r.rsi as u32,
        r.rdi as u32,
        r.rbp as u32,
        r.entry_vector,
        r.error_code
    );
}

fn registers64(who: fmt::Arguments<'_>, r: &UserRegs) {
    log::error!(
        "{who} rip {:016x} cs {:04x} rflags {:08x} rsp {:016x} ss {:04x}",
        r.rip,
        r.cs,
        r.rflags,
        r.rsp,
        r.ss
    );
    log::error!(
        "{who} rax {:016x} rbx {:016x} rcx {:016x} rdx {:016x}",
        r.rax,
        r.rbx,
        r.rcx,
        r.rdx
    );
    log::error!("{who} rsi {:016x} rdi {:016x} rbp {:016x} r8  {:016x}", r.rsi, r.rdi, r.rbp, r.r8);
    log::error!("{who} r9  {:016x} r10 {:016x} r11 {:016x} r12 {:016x}", r.r9, r.r10, r.r11, r.r12);
    log::error!(
        "{who} r13 {:016x} r14 {:016x} r15 {:016x} vector {} error code {:#x}",
        r.r13,
        r.r14,
        r.r15,
        r.entry_vector,
        r.error_code
    );
}

/// Follows the guest's frame pointers, as far as they make sense.
fn backtrace<P: Platform>(ctx: &Ctx<'_, P>, who: fmt::Arguments<'_>) {
    log::error!("{who} backtrace: {:#x}", ctx.regs.rip);
    let mut frame = match ctx.width() {
        Width::Pv32 => ctx.regs.rbp & 0xffff_ffff,
        Width::Pv64 => ctx.regs.rbp,
    };
    for _ in 0..FRAMES {
        // A frame is the caller's frame pointer, and above it the return address.
        let (Ok(caller), Ok(returns_to)) = (ctx.read_long(frame, 0), ctx.read_long(frame, 1))
        else {
            return;
        };
        log::error!("{who}   {returns_to:#x}");
        // Stacks grow down: a caller's frame is above, or the chain is over.
        if caller <= frame {
            return;
        }
        frame = caller;
    }
}

//! Hypercalls: one table, one dispatch, one place that turns outcomes into registers.
//!
//! [`table`] lists every hypercall of the ABI with its handler; from that list come the
//! dispatch, the names in traces and the support table of the documentation. A handler
//! is a function of the calling vCPU ([`Ctx`]) and six argument words, and returns a
//! value or a [`Stop`]. It decodes (guest memory is copied in once), checks (nothing
//! changes yet), then commits (which cannot fail).
//!
//! The same dispatch runs on the CPU and in host tests: registers and memory are
//! arguments of it.
//!
//! # Continuations
//!
//! Ring 0 is not preemptible, so work that may be long has a budget. When it runs out
//! the handler changes its arguments so that the same call made with them goes on where
//! it stopped, and returns [`Stop::Preempted`]. `enter` puts the arguments back into the
//! registers and the guest's instruction pointer back onto the hypercall instruction;
//! `multicall` puts them back into the list's entry. Interrupts and upcalls get their
//! chance in between.

pub mod assist;
mod bitmap;
pub mod console;
pub mod domctl;
pub mod limits;
pub mod multicall;
pub mod physdev;
pub mod platform;
pub mod sysctl;
pub mod table;
pub mod traced;
pub mod version;

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use crate::domain::Domain;
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::width::Width;

/// The arguments of a hypercall, zero-extended.
pub type Args = [u64; 6];

/// Bytes of the instruction that makes a hypercall: `int $0x82` or `syscall`.
const HYPERCALL_INSTRUCTION_LEN: u64 = 2;

impl<P: Platform> Ctx<'_, P> {
    /// Takes a hypercall's arguments from the registers (`arch-x86/xen-x86_32.h`, `xen-x86_64.h`).
    #[inline(always)]
    pub fn args(&self) -> Args {
        let r = &self.regs;
        match self.width() {
            Width::Pv32 => {
                let low = |x: u64| x & 0xffff_ffff;
                [low(r.rbx), low(r.rcx), low(r.rdx), low(r.rsi), low(r.rdi), low(r.rbp)]
            }
            Width::Pv64 => [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9],
        }
    }

    /// Puts arguments back into the registers, for a continuation.
    fn set_args(&mut self, args: &Args) {
        let width = self.width();
        let r = &mut *self.regs;
        let registers = match width {
            Width::Pv32 => [&mut r.rbx, &mut r.rcx, &mut r.rdx, &mut r.rsi, &mut r.rdi, &mut r.rbp],
            Width::Pv64 => [&mut r.rdi, &mut r.rsi, &mut r.rdx, &mut r.r10, &mut r.r8, &mut r.r9],
        };
        for (register, arg) in registers.into_iter().zip(args) {
            *register = *arg;
        }
    }
}

/// A hypercall instruction was executed: does what it asks for, and leaves the outcome in the registers.
///
/// The number is in `rax`. A crash is recorded in the domain; the caller sees that the
/// vCPU may not run on.
#[inline(always)]
pub fn enter<P: Platform>(ctx: &mut Ctx<'_, P>) {
    table::enter(ctx, ctx.regs.rax as u32);
}

/// Puts the outcome of a hypercall into the registers.
#[inline(always)]
fn finish<P: Platform>(ctx: &mut Ctx<'_, P>, outcome: HypercallResult, args: &Args) {
    match outcome {
        Ok(value) => ctx.regs.rax = value,
        // A copy: where nothing stops, the arguments need not be in memory.
        Err(stop) => stopped(ctx, stop, *args),
    }
}

#[cold]
fn stopped<P: Platform>(ctx: &mut Ctx<'_, P>, stop: Stop, args: Args) {
    match stop {
        Stop::Errno(errno) => ctx.regs.rax = errno_value(errno),
        Stop::Preempted => {
            ctx.set_args(&args);
            ctx.regs.rip = ctx.regs.rip.wrapping_sub(HYPERCALL_INSTRUCTION_LEN);
        }
        Stop::Crash(why) => crate::sched::shutdown::crash(ctx, why),
    }
}

/// An errno as a result register holds it: negative.
#[inline(always)]
pub fn errno_value(errno: Errno) -> u64 {
    errno.to_ret() as u64
}

/// The domain that a `domid_t` argument names, if the caller may act on it.
///
/// `DOMID_SELF` and the caller's own number are always allowed; others need privilege
/// (`EPERM`) and must exist (`ESRCH`).
pub fn target<'a, P: Platform>(ctx: &Ctx<'a, P>, domid: u16) -> Result<&'a Domain, Errno> {
    if domid == DomId::SELF.raw() || domid == ctx.domain.id.raw() {
        return Ok(ctx.domain);
    }
    if !ctx.domain.privileged {
        return Err(Errno::EPERM);
    }
    ctx.sys.domain(DomId::new(domid)).ok_or(Errno::ESRCH)
}

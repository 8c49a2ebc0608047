//! Instructions that trap and that the ABI carries out for the guest.
//!
//! [`code`] reads an instruction once; [`decode`] says which privileged one it is;
//! [`privileged`] carries it out over [`msr`], [`ports`] and the control registers;
//! [`string_io`] moves between ports and [`memory`]; [`gate`] makes far transfers through call
//! gates; [`cpuid`] answers the forced form of `cpuid`; [`store`] decodes stores to memory and
//! [`ptwr`] applies them to page tables. Whatever is not understood is not carried out: the
//! guest gets the exception that the processor raised.

pub mod code;
pub mod cpuid;
pub mod decode;
pub mod gate;
pub mod memory;
pub mod msr;
pub mod ports;
pub mod privileged;
pub mod ptwr;
pub mod store;
pub mod string_io;

use pv_abi::cpuid::EMULATE_PREFIX;
use pv_abi::vectors;

use super::{bounce, exception};
use crate::error::Stop;
use crate::guest::Ctx;
use crate::guest::regs::rflags;
use crate::platform::Platform;
use crate::width::Width;
use code::Code;

/// Bits of an error code that names a selector or a gate (SDM volume 3, 6.13).
mod selector_code {
    /// Caused by something outside of the program.
    pub const EXTERNAL: u32 = 1 << 0;
    /// A gate of the IDT.
    pub const IDT: u32 = 1 << 1;
}

/// A #GP arrived: `int $n` to a gate that only we may use, a privileged instruction, or the
/// guest's own fault.
///
/// An error code with the IDT bit means `int $n`. Which n is read from the code, since QEMU
/// before 8.0 reports another gate's number.
pub fn general_protection<P: Platform>(ctx: &mut Ctx<'_, P>) -> Result<(), Stop> {
    let code = ctx.regs.error_code;
    if code & selector_code::EXTERNAL == 0 {
        if code & selector_code::IDT != 0 {
            if let Some(outcome) = software_interrupt(ctx) {
                return outcome;
            }
        } else if code == 0 {
            if privileged::emulate(ctx)? {
                return Ok(());
            }
        } else if gate::transfer(ctx)? {
            return Ok(());
        }
    }
    bounce::trap(ctx, vectors::GENERAL_PROTECTION, Some(code))
}

/// `int $n` without a gate of its own: goes to the guest's trap table if that lets the ring use it.
fn software_interrupt<P: Platform>(ctx: &mut Ctx<'_, P>) -> Option<Result<(), Stop>> {
    let mut code = Code::fetch(ctx)?;
    let vector = decode::software_interrupt(&mut code)?;
    if !exception::may_raise(ctx, vector) {
        return Some(exception::refuse_interrupt(ctx, vector));
    }
    advance(ctx, code.length());
    Some(bounce::trap(ctx, vector, None))
}

/// A #UD arrived: carries out `cpuid` if it has the prefix that asks for that.
pub fn forced<P: Platform>(ctx: &mut Ctx<'_, P>) -> Result<bool, Stop> {
    /// The prefix and `cpuid`.
    const FORCED: [u8; 7] = {
        let [a, b, c, d, e] = EMULATE_PREFIX;
        [a, b, c, d, e, 0x0f, 0xa2]
    };
    if !Code::fetch(ctx).is_some_and(|code| code.starts_with(&FORCED)) {
        return Ok(false);
    }
    let (leaf, subleaf) = (ctx.regs.rax as u32, ctx.regs.rcx as u32);
    let [eax, ebx, ecx, edx] = cpuid::leaf(ctx, leaf, subleaf).map(u64::from);
    let r = &mut *ctx.regs;
    (r.rax, r.rbx, r.rcx, r.rdx) = (eax, ebx, ecx, edx);
    retire(ctx, FORCED.len() as u64)?;
    Ok(true)
}

/// Moves the guest past an instruction of `length` bytes.
#[inline(always)]
fn advance<P: Platform>(ctx: &mut Ctx<'_, P>, length: u64) {
    let next = ctx.regs.rip.wrapping_add(length);
    ctx.regs.rip = match ctx.width() {
        Width::Pv32 => u64::from(next as u32),
        Width::Pv64 => next,
    };
}

/// Ends an instruction that was carried out; a single step traps after it, as on the processor.
#[inline(always)]
fn retire<P: Platform>(ctx: &mut Ctx<'_, P>, length: u64) -> Result<(), Stop> {
    retire_with(ctx, length, 0)
}

/// [`retire`] for one that met breakpoints: `causes` are bits of DR6.
#[inline(always)]
fn retire_with<P: Platform>(ctx: &mut Ctx<'_, P>, length: u64, causes: u64) -> Result<(), Stop> {
    advance(ctx, length);
    completed(ctx, causes)
}

/// The guest is where an instruction that was carried out led it: breakpoints that were met, and
/// a single step, trap there.
#[inline(always)]
fn completed<P: Platform>(ctx: &mut Ctx<'_, P>, causes: u64) -> Result<(), Stop> {
    ctx.regs.rflags &= !rflags::RF;
    let step = if ctx.regs.rflags & rflags::TF != 0 { exception::SINGLE_STEP } else { 0 };
    match causes | step {
        0 => Ok(()),
        causes => exception::raise_debug(ctx, causes),
    }
}

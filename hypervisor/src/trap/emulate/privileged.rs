//! Carrying out privileged instructions for a guest kernel.
//!
//! A guest's users get their #GP, but for I/O that the kernel permitted them.

use pv_abi::errno::Errno;
use pv_abi::vectors;

use super::code::{Code, mask, merged, register};
use super::decode::{self, Port, Privileged};
use super::{cpuid, msr, ports, retire, retire_with, string_io};
use crate::error::Stop;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::trap::{bounce, control, debug_registers};
use crate::width::Width;

/// How far an instruction got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// It is done, and the next one follows.
    Done,
    /// It is done, and these breakpoints were met: bits of DR6.
    Met(u64),
    /// The guest goes on where its registers say: at the instruction again, or at the handler
    /// of an exception that it caused.
    Again,
    /// It is not one that is carried out: the guest has its fault.
    NotOurs,
}

/// The guest is at an instruction that raised #GP(0): whether it is dealt with.
pub fn emulate<P: Platform>(ctx: &mut Ctx<'_, P>) -> Result<bool, Stop> {
    let Some(mut code) = Code::fetch(ctx) else { return Ok(false) };
    let Some(instruction) = decode::privileged(&mut code) else { return Ok(false) };
    if !instruction.is_io() && !bounce::in_kernel(ctx) {
        return Ok(false);
    }
    match carry_out(ctx, instruction) {
        Ok(Progress::Done) => {
            retire(ctx, code.length())?;
            Ok(true)
        }
        Ok(Progress::Met(causes)) => {
            retire_with(ctx, code.length(), causes)?;
            Ok(true)
        }
        Ok(Progress::Again) => Ok(true),
        Ok(Progress::NotOurs) => Ok(false),
        // The registers that DR4 and DR5 stand for under CR4.DE do not exist.
        Err(Stop::Errno(Errno::ENODEV)) => {
            bounce::trap(ctx, vectors::INVALID_OPCODE, None)?;
            Ok(true)
        }
        Err(Stop::Errno(_)) => Ok(false),
        Err(stop) => Err(stop),
    }
}

/// Does it; an errno (but for `ENODEV`) means that the guest gets its #GP.
fn carry_out<P: Platform>(ctx: &mut Ctx<'_, P>, instruction: Privileged) -> Result<Progress, Stop> {
    let bytes = match ctx.width() {
        Width::Pv32 => 4,
        Width::Pv64 => 8,
    };
    match instruction {
        Privileged::FromControl { number, register: to } => {
            let value = control::read(ctx, number).ok_or(Errno::EINVAL)?;
            *register(ctx.regs, to) = value & mask(bytes);
        }
        Privileged::ToControl { number, register: from } => {
            let value = *register(ctx.regs, from) & mask(bytes);
            control::write(ctx, number, value)?;
        }
        Privileged::FromDebug { number, register: to } => {
            let value = debug_registers::get(ctx, number.into())?;
            *register(ctx.regs, to) = value & mask(bytes);
        }
        Privileged::ToDebug { number, register: from } => {
            let value = *register(ctx.regs, from) & mask(bytes);
            debug_registers::set(ctx, number.into(), value)?;
        }
        Privileged::ClearTaskSwitched => control::set_task_switched(ctx, false),
        Privileged::ReadMsr => {
            let value = msr::read(ctx, ctx.regs.rcx as u32).ok_or(Errno::EINVAL)?;
            ctx.regs.rax = value & mask(4);
            ctx.regs.rdx = value >> 32;
        }
        Privileged::WriteMsr => {
            let value = ctx.regs.rax & mask(4) | ctx.regs.rdx << 32;
            msr::write(ctx, ctx.regs.rcx as u32, value)?;
        }
        Privileged::SetExtended => {
            let value = ctx.regs.rax & mask(4) | ctx.regs.rdx << 32;
            control::set_xcr(ctx, ctx.regs.rcx as u32, value)?;
        }
        // They trap under CR4.TSD, which is for users.
        Privileged::ReadTime => read_time(ctx),
        Privileged::ReadTimeAndAux => {
            if !cpuid::has_tsc_aux(ctx) {
                return Ok(Progress::NotOurs);
            }
            read_time(ctx);
            ctx.regs.rcx = ctx.state.special.tsc_aux.into();
        }
        // Others gain nothing by it: their memory is all write-back.
        Privileged::FlushCache if ctx.domain.privileged => ctx.sys.platform.flush_cache(),
        Privileged::FlushCache => {}
        // The real flag stays on; the guest's is `evtchn_upcall_mask`. Xen ignores these, too.
        Privileged::InterruptFlag => ports::check_iopl(ctx)?,
        Privileged::In { bytes, port } => {
            let number = port_number(ctx, port);
            ports::check(ctx, number, bytes)?;
            let value = ports::read(ctx, number, bytes);
            ctx.regs.rax = merged(ctx.regs.rax, value.into(), bytes);
            return Ok(met(ctx, number, bytes));
        }
        Privileged::Out { bytes, port } => {
            let number = port_number(ctx, port);
            ports::check(ctx, number, bytes)?;
            ports::write(ctx, number, bytes, (ctx.regs.rax & mask(bytes)) as u32);
            return Ok(met(ctx, number, bytes));
        }
        Privileged::String(io) => {
            ports::check(ctx, ctx.regs.rdx as u16, io.bytes)?;
            return string_io::carry_out(ctx, io);
        }
    }
    Ok(Progress::Done)
}

fn read_time<P: Platform>(ctx: &mut Ctx<'_, P>) {
    let now = ctx.sys.platform.pvclock().tsc_timestamp;
    ctx.regs.rax = now & mask(4);
    ctx.regs.rdx = now >> 32;
}

/// How an access to ports ends.
fn met<P: Platform>(ctx: &Ctx<'_, P>, port: u16, bytes: u8) -> Progress {
    match debug_registers::io_match(ctx, port, bytes) {
        0 => Progress::Done,
        causes => Progress::Met(causes),
    }
}

fn port_number<P: Platform>(ctx: &Ctx<'_, P>, port: Port) -> u16 {
    match port {
        Port::Immediate(number) => number.into(),
        Port::Dx => ctx.regs.rdx as u16,
    }
}

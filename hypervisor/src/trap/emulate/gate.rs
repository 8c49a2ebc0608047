//! Call gates of pv32 guests: far calls and jumps through them.
//!
//! In long mode the processor takes every call gate for a 64-bit one, so those that a guest
//! has in its GDT or LDT are stored with DPL 0 ([`crate::mm::descriptor`]) and their use is a
//! #GP. Then the transfer is made here, as the processor would make it in protected mode (SDM
//! volume 3, 5.8.3 to 5.8.5, and Xen 4.17's `emul-gate-op.c`): the gate's own privilege, which
//! is kept in its selector's RPL, the code segment it leads to, the stack, parameters. The way
//! back, `lret`, is native.
//!
//! A call that gains privilege is on the stack that `stack_switch` named; from the lowest address up:
//!
//! ```text
//! eip  cs  parameters  esp  ss
//! ```
//!
//! and one that does not pushes eip and cs. The event mask does not change. Which gate is
//! used is read from the instruction, not from the error code.

use pv_abi::vectors;
use zerocopy::IntoBytes;

use super::code::{Code, ModRm, Opcode, Prefixes};
use super::completed;
use super::memory::{self, Access, Refusal};
use crate::error::Stop;
use crate::guest::Ctx;
use crate::mm::descriptor::kernel_ring;
use crate::platform::Platform;
use crate::trap::segment::{self, Descriptor};
use crate::width::Width;

/// Parameters that a gate copies at most.
const PARAMETERS: usize = 31;

/// A far call or jump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Transfer {
    Call,
    Jump,
}

/// What a gate says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Gate {
    /// Where it leads, without RPL.
    selector: u16,
    offset: u32,
    /// The least privileged ring that may use it.
    dpl: u16,
    present: bool,
    parameters: u8,
}

impl Gate {
    /// The gate that a descriptor is, if it is one.
    fn of(found: Descriptor) -> Option<Gate> {
        /// S and type: a call gate of 32 bits; and DPL 0, as all are stored.
        const KIND: u64 = 0x7f << 40;
        const CALL_GATE: u64 = 0x0c << 40;
        if found.0 & KIND != CALL_GATE {
            return None;
        }
        let selector = (found.0 >> 16) as u16;
        Some(Gate {
            selector: selector & !3,
            offset: (found.0 & 0xffff | found.0 >> 32 & 0xffff_0000) as u32,
            dpl: selector & 3,
            present: found.is_present(),
            parameters: (found.0 >> 32 & 0x1f) as u8,
        })
    }
}

/// The new state of the registers, and what is to be pushed for it.
struct Entry {
    cs: u16,
    eip: u32,
    /// The stack, if something is pushed; `frame` begins at its top.
    stack: Option<(u16, u32)>,
    /// Address of the frame.
    at: u64,
    frame: heapless::Vec<u32, { PARAMETERS + 4 }>,
}

/// The guest is at an instruction that raised #GP with a selector: makes the transfer if that
/// is one through a call gate. Whether it was, the guest's own fault at it included.
pub fn transfer<P: Platform>(ctx: &mut Ctx<'_, P>) -> Result<bool, Stop> {
    if ctx.width() != Width::Pv32 {
        return Ok(false);
    }
    let Some(mut code) = Code::fetch(ctx) else { return Ok(false) };
    let Some((transfer, selector)) = decode(ctx, &mut code) else { return Ok(false) };
    let Some(gate) = Gate::of(segment::gate32(ctx, selector)) else { return Ok(false) };
    match check(ctx, transfer, selector, gate, code.length())
        .and_then(|e| push(ctx, &e).map(|()| e))
    {
        Ok(entry) => {
            let r = &mut *ctx.regs;
            if let Some((ss, esp)) = entry.stack {
                (r.ss, r.rsp) = (ss, esp.into());
            }
            (r.cs, r.rip) = (entry.cs, entry.eip.into());
            completed(ctx, 0)?;
        }
        Err(refusal) => refusal.deliver(ctx)?,
    }
    Ok(true)
}

/// Which transfer, and through which selector. The far pointer may be in memory.
fn decode<P: Platform>(ctx: &mut Ctx<'_, P>, code: &mut Code) -> Option<(Transfer, u16)> {
    let (prefixes, opcode) = code.opcode()?;
    if prefixes.lock {
        return None;
    }
    let offset_bytes = code.operand_bytes(prefixes);
    match opcode {
        Opcode::Short(byte @ (0x9a | 0xea)) => {
            code.number(offset_bytes)?;
            let selector = code.number(2)? as u16;
            Some((if byte == 0x9a { Transfer::Call } else { Transfer::Jump }, selector))
        }
        Opcode::Short(0xff) => {
            let modrm = code.modrm(prefixes)?;
            let transfer = match modrm.reg {
                3 => Transfer::Call,
                5 => Transfer::Jump,
                _ => return None,
            };
            Some((transfer, pointed_to(ctx, prefixes, modrm, offset_bytes)?))
        }
        _ => None,
    }
}

/// The selector of a far pointer in memory, after its offset. If it cannot be read any more
/// the guest has the fault that it has.
fn pointed_to<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    prefixes: Prefixes,
    modrm: ModRm,
    offset_bytes: u8,
) -> Option<u16> {
    if modrm.mode == 3 {
        return None;
    }
    let register = prefixes.segment.unwrap_or(modrm.address.segment());
    let found = memory::segment32(ctx, register, Access::Read).ok()?;
    let offset = modrm.address.offset(ctx.regs).wrapping_add(offset_bytes.into());
    let at = memory::address32(found, register, offset, 2).ok()?;
    let mut selector = [0; 2];
    memory::read(ctx, at, &mut selector).ok()?;
    Some(u16::from_le_bytes(selector))
}

/// An exception that names a selector.
const fn refuse(vector: u8, selector: u16) -> Refusal {
    Refusal::Exception { vector, code: selector as u32 & !3 }
}

/// Whether the transfer may be made, and what it does.
fn check<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    transfer: Transfer,
    selector: u16,
    gate: Gate,
    length: u64,
) -> Result<Entry, Refusal> {
    let cpl = ctx.regs.cs & 3;
    if gate.dpl < cpl || gate.dpl < selector & 3 {
        return Err(refuse(vectors::GENERAL_PROTECTION, selector));
    }
    if !gate.present {
        return Err(refuse(vectors::SEGMENT_NOT_PRESENT, selector));
    }
    let target = segment::find32(ctx, gate.selector);
    let reachable = match transfer {
        Transfer::Jump if !target.is_conforming() => target.dpl() == cpl,
        _ => target.dpl() <= cpl,
    };
    if !target.is_code() || !reachable {
        return Err(refuse(vectors::GENERAL_PROTECTION, gate.selector));
    }
    if !target.is_present() {
        return Err(refuse(vectors::SEGMENT_NOT_PRESENT, gate.selector));
    }
    if gate.offset > target.limit() {
        return Err(Refusal::GENERAL_PROTECTION);
    }
    let inward = !target.is_conforming() && target.dpl() < cpl;
    let ring = if inward { target.dpl() } else { cpl };
    let mut entry = Entry {
        cs: gate.selector | ring,
        eip: gate.offset,
        stack: None,
        at: 0,
        frame: heapless::Vec::new(),
    };
    if transfer == Transfer::Jump {
        return Ok(entry);
    }
    let back = (ctx.regs.rip.wrapping_add(length) as u32, u32::from(ctx.regs.cs));
    // There is always room: a gate names at most 31 parameters.
    let mut push = |word: u32| entry.frame.push(word).map_err(|_| Refusal::GENERAL_PROTECTION);
    push(back.0)?;
    push(back.1)?;
    let (ss, esp, failed) = if inward {
        // The stacks of other rings are known to nobody.
        if ring != kernel_ring(Width::Pv32) {
            return Err(refuse(vectors::GENERAL_PROTECTION, selector));
        }
        let mut words = [0u32; PARAMETERS];
        let parameters = words.get_mut(..gate.parameters.into());
        let parameters = parameters.ok_or(Refusal::GENERAL_PROTECTION)?;
        read_parameters(ctx, selector, parameters)?;
        for word in parameters {
            push(*word)?;
        }
        push(ctx.regs.rsp as u32)?;
        push(ctx.regs.ss.into())?;
        let (ss, esp) = (ctx.state.kernel_ss, ctx.state.kernel_sp as u32);
        (ss, esp, refuse(vectors::STACK_SEGMENT, ss))
    } else {
        let esp = ctx.regs.rsp as u32;
        (ctx.regs.ss, esp, refuse(vectors::STACK_SEGMENT, 0))
    };
    let stack = segment::find32(ctx, ss);
    if inward && (ss & 3 != ring || stack.dpl() != ring || !stack.is_writable()) {
        return Err(refuse(vectors::INVALID_TSS, ss));
    }
    let bytes = 4 * entry.frame.len() as u32;
    let top = esp.wrapping_sub(bytes);
    // A frame of at most 140 bytes that does not come round at the bottom of the segment.
    if top >= esp || !stack.is_present() || !stack.is_writable() || !stack.covers(top, bytes) {
        return Err(failed);
    }
    entry.stack = Some((ss, top));
    entry.at = stack.base().wrapping_add(top).into();
    Ok(entry)
}

/// Reads what a gate copies from the caller's stack.
fn read_parameters<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    gate: u16,
    parameters: &mut [u32],
) -> Result<(), Refusal> {
    if parameters.is_empty() {
        return Ok(());
    }
    let (ss, esp) = (ctx.regs.ss, ctx.regs.rsp as u32);
    let stack = segment::find32(ctx, ss);
    let usable = stack.is_present() && stack.is_writable() && stack.dpl() == ctx.regs.cs & 3;
    if !usable || !stack.covers(esp, 4 * parameters.len() as u32) {
        return Err(refuse(vectors::GENERAL_PROTECTION, gate));
    }
    let at = stack.base().wrapping_add(esp).into();
    memory::read(ctx, at, parameters.as_mut_bytes())
}

/// Writes the frame.
fn push<P: Platform>(ctx: &mut Ctx<'_, P>, entry: &Entry) -> Result<(), Refusal> {
    match entry.stack {
        // The kernel's stack is not its users' to reach.
        Some((ss, _)) if ss & 3 < ctx.regs.cs & 3 => {
            memory::write_as_kernel(ctx, entry.at, entry.frame.as_bytes())
        }
        Some(_) => memory::write(ctx, entry.at, entry.frame.as_bytes()),
        None => Ok(()),
    }
}

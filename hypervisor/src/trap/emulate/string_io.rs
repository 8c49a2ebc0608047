//! `ins` and `outs`: between a port and memory, one element or as many as ecx says.
//!
//! Every element is what the processor would have made of it: the segment's rights and limit
//! (XSA-67 was reading `outs`' operand through the wrong segment), the page, the port. After a
//! number of elements the guest is resumed at the same instruction with its registers where
//! it is, as an interrupt would have found it: the rest traps again, and whatever else is due
//! gets its turn.

use super::code::{Prefixes, Segment, mask, merged};
use super::memory::{self, Access, Refusal};
use super::privileged::Progress;
use super::{completed, ports};
use crate::error::Stop;
use crate::guest::Ctx;
use crate::guest::regs::rflags;
use crate::platform::Platform;
use crate::trap::debug_registers;
use crate::width::Width;

/// Elements at a time: a port may take microseconds.
const BATCH: u32 = 32;

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// `ins`: to es:edi.
    In,
    /// `outs`: from ds:esi, or another segment's.
    Out,
}

/// An `ins` or `outs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StringIo {
    /// Which way.
    pub direction: Direction,
    /// Bytes of an element: 1, 2 or 4.
    pub bytes: u8,
    /// Bytes of ecx, esi and edi that count.
    pub address_bytes: u8,
    /// The operand's segment.
    pub segment: Segment,
    /// Whether ecx counts.
    pub repeat: bool,
}

impl StringIo {
    /// From what was decoded.
    pub fn new(direction: Direction, bytes: u8, address_bytes: u8, prefixes: Prefixes) -> StringIo {
        let segment = match direction {
            // Its segment cannot be overridden.
            Direction::In => Segment::Es,
            Direction::Out => prefixes.segment.unwrap_or(Segment::Ds),
        };
        StringIo { direction, bytes, address_bytes, segment, repeat: prefixes.repeat }
    }
}

/// Moves some elements. The port is permitted.
pub fn carry_out<P: Platform>(ctx: &mut Ctx<'_, P>, io: StringIo) -> Result<Progress, Stop> {
    // A 64-bit guest's operands are for later: its segments have bases of another kind.
    if ctx.width() == Width::Pv64 {
        return Ok(Progress::NotOurs);
    }
    let step = ctx.regs.rflags & rflags::TF != 0;
    let met = debug_registers::io_match(ctx, ctx.regs.rdx as u16, io.bytes);
    let batch = if step || met != 0 { 1 } else { BATCH };
    let done = if met != 0 { Progress::Met(met) } else { Progress::Done };
    for _ in 0..batch {
        if io.repeat && ctx.regs.rcx & mask(io.address_bytes) == 0 {
            return Ok(Progress::Done);
        }
        if let Err(refusal) = element(ctx, io) {
            refusal.deliver(ctx)?;
            return Ok(Progress::Again);
        }
        if !io.repeat {
            return Ok(done);
        }
        let left = ctx.regs.rcx.wrapping_sub(1);
        ctx.regs.rcx = merged(ctx.regs.rcx, left, io.address_bytes);
    }
    if ctx.regs.rcx & mask(io.address_bytes) == 0 {
        return Ok(done);
    }
    // Breakpoints and single steps trap after each element.
    completed(ctx, met)?;
    Ok(Progress::Again)
}

/// Moves one element, and esi or edi past it.
fn element<P: Platform>(ctx: &mut Ctx<'_, P>, io: StringIo) -> Result<(), Refusal> {
    let port = ctx.regs.rdx as u16;
    let access = match io.direction {
        Direction::In => Access::Write,
        Direction::Out => Access::Read,
    };
    let segment = memory::segment32(ctx, io.segment, access)?;
    let offset = mask(io.address_bytes)
        & match io.direction {
            Direction::In => ctx.regs.rdi,
            Direction::Out => ctx.regs.rsi,
        };
    let at = memory::address32(segment, io.segment, offset as u32, io.bytes)?;
    let mut value = [0; 4];
    let buffer = value.get_mut(..io.bytes.into()).ok_or(Refusal::GENERAL_PROTECTION)?;
    match io.direction {
        Direction::In => {
            let read = ports::read(ctx, port, io.bytes).to_le_bytes();
            for (to, from) in buffer.iter_mut().zip(read) {
                *to = from;
            }
            memory::write(ctx, at, buffer)?;
        }
        Direction::Out => {
            memory::read(ctx, at, buffer)?;
            ports::write(ctx, port, io.bytes, u32::from_le_bytes(value));
        }
    }
    let size = u64::from(io.bytes);
    let down = ctx.regs.rflags & rflags::DF != 0;
    let next = if down { offset.wrapping_sub(size) } else { offset.wrapping_add(size) };
    let register = match io.direction {
        Direction::In => &mut ctx.regs.rdi,
        Direction::Out => &mut ctx.regs.rsi,
    };
    *register = merged(*register, next, io.address_bytes);
    Ok(())
}

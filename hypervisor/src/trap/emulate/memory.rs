//! Operands in memory of the instructions that are carried out for a guest.
//!
//! The processor would have checked the segment (rights and limit) and the page. Ring 0
//! reaches pages that a guest's users may not, so for them the page tables are asked first.
//! An operand that cannot be used is an exception of the guest's, and a value here.

use core::sync::atomic::Ordering;

use pv_abi::vectors;

use super::code::Segment;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::mm::pte;
use crate::platform::Platform;
use crate::trap::page_fault::code;
use crate::trap::segment::{self, Descriptor};
use crate::trap::{bounce, page_fault};
use crate::width::Width;

/// An exception of the guest's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// One with this error code.
    Exception {
        /// Its vector.
        vector: u8,
        /// Its error code.
        code: u32,
    },
    /// A page fault.
    PageFault {
        /// Its address.
        address: u64,
        /// Its error code, but for the user bit.
        code: u32,
    },
}

impl Refusal {
    /// #GP(0).
    pub const GENERAL_PROTECTION: Refusal =
        Refusal::Exception { vector: vectors::GENERAL_PROTECTION, code: 0 };

    /// Enters the guest's handler for it.
    pub fn deliver<P: Platform>(self, ctx: &mut Ctx<'_, P>) -> Result<(), Stop> {
        match self {
            Refusal::Exception { vector, code } => bounce::trap(ctx, vector, Some(code)),
            Refusal::PageFault { address, code } => page_fault::deliver(ctx, address, code),
        }
    }
}

/// What an instruction does with its operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reads it.
    Read,
    /// Writes it.
    Write,
}

/// The selector in a segment register.
pub fn selector<P: Platform>(ctx: &Ctx<'_, P>, register: Segment) -> u16 {
    let [ds, es, fs, gs] = ctx.sys.platform.data_segments();
    match register {
        Segment::Es => es,
        Segment::Cs => ctx.regs.cs,
        Segment::Ss => ctx.regs.ss,
        Segment::Ds => ds,
        Segment::Fs => fs,
        Segment::Gs => gs,
    }
}

/// A pv32 segment that may be used so.
pub fn segment32<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    register: Segment,
    access: Access,
) -> Result<Descriptor, Refusal> {
    let selector = selector(ctx, register);
    let found = segment::find32(ctx, selector);
    let permitted = match access {
        Access::Read => found.is_readable(),
        Access::Write => found.is_writable(),
    };
    if permitted && found.is_present() { Ok(found) } else { Err(outside(register)) }
}

/// The address of `bytes` bytes at `offset` of a segment.
pub fn address32(
    found: Descriptor,
    register: Segment,
    offset: u32,
    bytes: u8,
) -> Result<u64, Refusal> {
    if !found.covers(offset, bytes.into()) {
        return Err(outside(register));
    }
    Ok(found.base().wrapping_add(offset).into())
}

/// The exception of a segment that is not good for it.
const fn outside(register: Segment) -> Refusal {
    let vector = match register {
        Segment::Ss => vectors::STACK_SEGMENT,
        _ => vectors::GENERAL_PROTECTION,
    };
    Refusal::Exception { vector, code: 0 }
}

/// Copies from the guest as the running code may: a page at most.
pub fn read<P: Platform>(ctx: &Ctx<'_, P>, at: u64, to: &mut [u8]) -> Result<(), Refusal> {
    check_user(ctx, at, to.len(), Access::Read)?;
    let (first, second) = to.split_at_mut(within_page(at).min(to.len()));
    let beyond = next(ctx, at, first.len());
    for (at, piece) in [(at, first), (beyond, second)] {
        ctx.read_bytes(at, piece).map_err(|_| faulted(ctx, at, Access::Read))?;
    }
    Ok(())
}

/// Copies to the guest as the running code may: a page at most.
pub fn write<P: Platform>(ctx: &Ctx<'_, P>, at: u64, from: &[u8]) -> Result<(), Refusal> {
    check_user(ctx, at, from.len(), Access::Write)?;
    write_as_kernel(ctx, at, from)
}

/// Copies to the guest as its kernel may. What is in a page before the one that faults is written.
pub fn write_as_kernel<P: Platform>(ctx: &Ctx<'_, P>, at: u64, from: &[u8]) -> Result<(), Refusal> {
    let (first, second) = from.split_at(within_page(at).min(from.len()));
    for (at, piece) in [(at, first), (next(ctx, at, first.len()), second)] {
        ctx.write_bytes(at, piece).map_err(|_| faulted(ctx, at, Access::Write))?;
    }
    Ok(())
}

/// Bytes from `at` to the end of its page.
const fn within_page(at: u64) -> usize {
    0x1000 - (at & 0xfff) as usize
}

/// The address `bytes` further on, which comes round at the end of the guest's address space.
fn next<P: Platform>(ctx: &Ctx<'_, P>, at: u64, bytes: usize) -> u64 {
    let next = at.wrapping_add(bytes as u64);
    match ctx.width() {
        Width::Pv32 => u64::from(next as u32),
        Width::Pv64 => next,
    }
}

/// Refuses a guest's users what the page tables do not give them: the pages of the first and
/// the last byte.
fn check_user<P: Platform>(
    ctx: &Ctx<'_, P>,
    at: u64,
    bytes: usize,
    access: Access,
) -> Result<(), Refusal> {
    if bounce::in_kernel(ctx) {
        return Ok(());
    }
    let needed = match access {
        Access::Read => pte::P | pte::US,
        Access::Write => pte::P | pte::US | pte::RW,
    };
    for at in [at, next(ctx, at, bytes.saturating_sub(1))] {
        if permissions(ctx, at) & needed != needed {
            return Err(faulted(ctx, at, access));
        }
    }
    Ok(())
}

/// The page fault of an access.
fn faulted<P: Platform>(ctx: &Ctx<'_, P>, address: u64, access: Access) -> Refusal {
    let present = if permissions(ctx, address) & pte::P != 0 { code::PRESENT } else { 0 };
    let write = if access == Access::Write { code::WRITE } else { 0 };
    Refusal::PageFault { address, code: present | write }
}

/// P, RW and US as all levels of the guest's tables together have them for `address`.
fn permissions<P: Platform>(ctx: &Ctx<'_, P>, address: u64) -> u64 {
    if !ctx.width().range_ok(address, 1) {
        return 0;
    }
    let shifts: &[u32] = match ctx.width() {
        Width::Pv32 => &[30, 21, 12],
        Width::Pv64 => &[39, 30, 21, 12],
    };
    let mut all = pte::P | pte::RW | pte::US;
    let mut table = ctx.state.root;
    for shift in shifts {
        let words = ctx.sys.platform.words(table);
        let index = (address >> shift & 511) as usize;
        let entry = words.get(index).map_or(0, |word| word.load(Ordering::Relaxed));
        all &= entry;
        if entry & pte::P == 0 {
            return 0;
        }
        table = pte::mfn(entry);
    }
    all
}

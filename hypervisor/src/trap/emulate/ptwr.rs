//! Stores to level-1 page tables, which are mapped read-only: done for the guest, checked
//! (`VMASST_TYPE_writable_pagetables`).
//!
//! The fault told the address; the instruction tells what is to be written; the new entry is
//! checked and takes its reference like one of `mmu_update`. A store that is refused, or an
//! instruction that is not understood, is the guest's page fault. What a store does to the
//! registers happens only if the entry is written.
//!
//! An entry is 8 bytes, and a 32-bit kernel may write it in halves. Between the two it is
//! a mixture; as on Xen, an upper half that makes the entry unacceptable is written with
//! the present bit cleared, on the assumption that the lower half is about to follow.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use super::code::{Code, Segment, mask, merged, register};
use super::memory::{self, Access, Refusal};
use super::store::{self, Arithmetic, Operation, Source, Store, StringStore, status};
use super::{completed, retire};
use crate::error::Stop;
use crate::guest::Ctx;
use crate::guest::regs::{UserRegs, rflags};
use crate::mm::pte;
use crate::mm::update_va::find_l1;
use crate::platform::Platform;
use crate::width::Width;

/// The guest's kernel stored to `address`, which is mapped without write permission: whether
/// that is dealt with. If not, the fault is the guest's.
#[inline(never)]
pub fn store<P: Platform>(ctx: &mut Ctx<'_, P>, address: u64) -> Result<bool, Stop> {
    let Some(mapping) = find_l1(ctx.sys, ctx.domain, ctx.state.root, address) else {
        return Ok(false);
    };
    let entry = load(ctx, mapping, address >> 12 & 511);
    if entry & pte::P == 0 {
        return Ok(false);
    }
    if entry & pte::RW != 0 {
        // Changed since the processor looked, if all levels permit it now: it may look again.
        return Ok(writable_above(ctx, address));
    }
    let table = pte::mfn(entry);
    let Some(mut code) = Code::fetch(ctx) else { return Ok(false) };
    let Some(store) = store::decode(&mut code) else { return Ok(false) };
    // Naturally aligned, it lies within one entry and within the page of the fault.
    if address & u64::from(store.bytes - 1) != 0 {
        return Ok(false);
    }
    if let Operation::String(string) = store.operation {
        return string_store(ctx, table, address, store, string, code.length());
    }
    match apply(ctx, table, address, store) {
        Ok(Some(effect)) => {
            effect.finish(ctx.regs, store.bytes);
            retire(ctx, code.length())?;
            Ok(true)
        }
        // The entry changed meanwhile: the instruction runs again.
        Ok(None) => Ok(true),
        Err(Stop::Errno(_)) => Ok(false),
        Err(stop) => Err(stop),
    }
}

/// [`store()`] for one element of a string instruction of `length` bytes.
#[cold]
fn string_store<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    table: Mfn,
    address: u64,
    store: Store,
    string: StringStore,
    length: u64,
) -> Result<bool, Stop> {
    if string.repeat && ctx.regs.rcx & mask(string.address_bytes) == 0 {
        return Ok(false);
    }
    let source = match string.source {
        None => Source::Register(0),
        Some(segment) => match copied(ctx, segment, string, store.bytes) {
            Ok(value) => Source::Immediate(value),
            // What it reads is not there: that is the fault that the guest has.
            Err(refusal) => {
                refusal.deliver(ctx)?;
                return Ok(true);
            }
        },
    };
    match apply(ctx, table, address, Store { operation: Operation::Move(source), ..store }) {
        Ok(Some(_)) => {
            match step(ctx.regs, string, store.bytes) {
                true => completed(ctx, 0)?,
                false => retire(ctx, length)?,
            }
            Ok(true)
        }
        Ok(None) => Ok(true),
        Err(Stop::Errno(_)) => Ok(false),
        Err(stop) => Err(stop),
    }
}

/// The element that `movs` reads.
fn copied<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    segment: Segment,
    string: StringStore,
    bytes: u8,
) -> Result<u64, Refusal> {
    let offset = ctx.regs.rsi & mask(string.address_bytes);
    let at = match ctx.width() {
        Width::Pv32 => {
            let found = memory::segment32(ctx, segment, Access::Read)?;
            memory::address32(found, segment, offset as u32, bytes)?
        }
        // Segments with a base are not used for page tables there.
        Width::Pv64 => offset,
    };
    let mut value = [0; 8];
    let buffer = value.get_mut(..bytes.into()).ok_or(Refusal::GENERAL_PROTECTION)?;
    memory::read(ctx, at, buffer)?;
    Ok(u64::from_le_bytes(value))
}

/// Moves a string instruction's registers past an element; whether there are more.
fn step(regs: &mut UserRegs, string: StringStore, bytes: u8) -> bool {
    let bytes = u64::from(bytes);
    let down = regs.rflags & rflags::DF != 0;
    let next = |register: u64| {
        let moved = if down { register.wrapping_sub(bytes) } else { register.wrapping_add(bytes) };
        merged(register, moved, string.address_bytes)
    };
    regs.rdi = next(regs.rdi);
    if string.source.is_some() {
        regs.rsi = next(regs.rsi);
    }
    if !string.repeat {
        return false;
    }
    regs.rcx = merged(regs.rcx, regs.rcx.wrapping_sub(1), string.address_bytes);
    regs.rcx & mask(string.address_bytes) != 0
}

/// Carries the store out on `table`; returns what it does to the registers, or nothing if the
/// entry was changed by somebody else.
#[inline(always)]
fn apply<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    table: Mfn,
    address: u64,
    store: Store,
) -> Result<Option<Effect>, Stop> {
    let mut types = ctx.sys.page_types(ctx.domain);
    types.finish()?;
    if !ctx.sys.memory.frame(table).ok_or(Errno::EINVAL)?.is_l1_of(ctx.domain.id) {
        return Err(Errno::EINVAL.into());
    }
    let index = (address & 0xfff) >> 3;
    let old = load(ctx, table, index);
    let shift = 8 * (address & 7) as u32;
    let effect = execute(ctx.regs, store, old >> shift & mask(store.bytes));
    let Some(operand) = effect.written else {
        // A comparison failed: that is a result, too.
        return Ok(Some(effect));
    };
    let field = mask(store.bytes) << shift;
    let new = old & !field | (operand & mask(store.bytes)) << shift;
    let mut written = types.replace_page_entry(table, index as u16, old, new);
    let upper_half = shift == 32 && store.bytes == 4;
    if matches!(written, Err(Stop::Errno(_)))
        && ctx.width() == Width::Pv32
        && upper_half
        && matches!(store.operation, Operation::Move(_))
    {
        written = types.replace_page_entry(table, index as u16, old, new & !pte::P);
    }
    Ok(written?.then_some(effect))
}

/// What an instruction does.
struct Effect {
    /// What it writes to memory, if anything.
    written: Option<u64>,
    /// The status flags that it sets, and to what.
    status: (u64, u64),
    /// What it writes to registers.
    result: Written,
}

/// What an instruction writes to registers.
enum Written {
    /// Nothing.
    Nothing,
    /// The operand that is not in memory.
    Operand(Source, u64),
    /// The accumulator.
    Accumulator(u64),
    /// edx:eax.
    Pair(u64),
}

impl Effect {
    const fn write(operand: u64) -> Effect {
        Effect { written: Some(operand), status: (0, 0), result: Written::Nothing }
    }

    /// Brings the registers up to date.
    fn finish(self, regs: &mut UserRegs, bytes: u8) {
        let (which, flags) = self.status;
        regs.rflags = regs.rflags & !which | flags & which;
        match self.result {
            Written::Nothing | Written::Operand(Source::Immediate(_), _) => {}
            Written::Operand(Source::Register(number), value) => {
                let slot = register(regs, number);
                *slot = merged(*slot, value, bytes);
            }
            Written::Operand(Source::High(number), value) => {
                let slot = register(regs, number);
                *slot = *slot & !0xff00 | (value & 0xff) << 8;
            }
            Written::Accumulator(value) => regs.rax = merged(regs.rax, value, bytes),
            Written::Pair(value) => (regs.rdx, regs.rax) = (value >> 32, value & mask(4)),
        }
    }
}

/// What the instruction makes of `operand`, which it finds in memory.
#[inline(always)]
fn execute(regs: &mut UserRegs, store: Store, operand: u64) -> Effect {
    // What kernels use most.
    match store.operation {
        Operation::Move(source) => Effect::write(value(regs, source)),
        _ => execute_other(regs, store, operand),
    }
}

#[inline(never)]
fn execute_other(regs: &mut UserRegs, store: Store, operand: u64) -> Effect {
    let bytes = store.bytes;
    let zero = |equal: bool| if equal { status::ZF } else { 0 };
    match store.operation {
        Operation::Move(source) => Effect::write(value(regs, source)),
        Operation::Exchange(source) => Effect {
            result: Written::Operand(source, operand),
            ..Effect::write(value(regs, source))
        },
        Operation::CompareExchange(source) => {
            let (_, flags) = Arithmetic::Sub.apply(regs.rax, operand, bytes, false);
            let status = (status::ALL, flags);
            if flags & status::ZF != 0 {
                return Effect { status, ..Effect::write(value(regs, source)) };
            }
            Effect { written: None, status, result: Written::Accumulator(operand) }
        }
        Operation::CompareExchange8b => {
            let join = |high: u64, low: u64| high << 32 | low & mask(4);
            let equal = operand == join(regs.rdx, regs.rax);
            let status = (status::ZF, zero(equal));
            if equal {
                return Effect { status, ..Effect::write(join(regs.rcx, regs.rbx)) };
            }
            Effect { written: None, status, result: Written::Pair(operand) }
        }
        Operation::Arithmetic(which, source) => {
            let carry = regs.rflags & status::CF != 0;
            let (result, flags) = which.apply(operand, value(regs, source), bytes, carry);
            Effect { status: (status::ALL, flags), ..Effect::write(result) }
        }
        Operation::Bit(which, source) => {
            let (result, was) = which.apply(operand, value(regs, source), bytes);
            let carry = if was { status::CF } else { 0 };
            Effect { status: (status::CF, carry), ..Effect::write(result) }
        }
        Operation::Unary(which) => {
            let (result, status) = which.apply(operand, bytes);
            Effect { status, ..Effect::write(result) }
        }
        Operation::ExchangeAdd(source) => {
            let sum = Arithmetic::Add.apply(operand, value(regs, source), bytes, false);
            let result = Written::Operand(source, operand);
            Effect { status: (status::ALL, sum.1), result, ..Effect::write(sum.0) }
        }
        Operation::Shift(which, source) => {
            let (result, status) = which.apply(operand, value(regs, source), bytes);
            Effect { status, ..Effect::write(result) }
        }
        Operation::SetCondition(number) => {
            Effect::write(store::condition(number, regs.rflags).into())
        }
        // Their elements are moves by now.
        Operation::String(_) => Effect::write(operand),
    }
}

fn value(regs: &mut UserRegs, source: Source) -> u64 {
    match source {
        Source::Register(number) => *register(regs, number),
        Source::High(number) => *register(regs, number) >> 8,
        Source::Immediate(value) => value,
    }
}

/// Entry `index` of a frame.
fn load<P: Platform>(ctx: &Ctx<'_, P>, frame: Mfn, index: u64) -> u64 {
    let words = ctx.sys.platform.words(frame);
    words.get(index as usize).map_or(0, |word| word.load(Ordering::Relaxed))
}

/// Whether the tables above level 1 permit writes at `address`.
fn writable_above<P: Platform>(ctx: &Ctx<'_, P>, address: u64) -> bool {
    let shifts: &[u32] = match ctx.width() {
        Width::Pv32 => &[30, 21],
        Width::Pv64 => &[39, 30, 21],
    };
    let mut table = ctx.state.root;
    shifts.iter().all(|shift| {
        let entry = load(ctx, table, address >> shift & 511);
        table = pte::mfn(entry);
        entry & (pte::P | pte::RW) == pte::P | pte::RW
    })
}

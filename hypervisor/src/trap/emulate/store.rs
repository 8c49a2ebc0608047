//! Instructions that write memory, as kernels use them on page tables: which they are, and what
//! they do to a value.
//!
//! The operand's address is not computed: it is the address of the page fault that the
//! instruction caused, as each of these has one operand in memory.

use super::code::{Code, ModRm, Opcode, Prefixes, Register, mask};

/// A store: how many bytes, and what becomes of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Store {
    /// Bytes of the operand in memory: 1, 2, 4 or 8.
    pub bytes: u8,
    /// What happens to it.
    pub operation: Operation,
}

/// What a store does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// `mov`: memory becomes the value.
    Move(Source),
    /// `xchg`
    Exchange(Source),
    /// `cmpxchg` with the accumulator.
    CompareExchange(Source),
    /// `cmpxchg8b`: edx:eax with memory, ecx:ebx.
    CompareExchange8b,
    /// Arithmetic.
    Arithmetic(Arithmetic, Source),
    /// `bts`, `btr`, `btc`.
    Bit(Bit, Source),
}

/// Where the other operand is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A register's low bytes.
    Register(Register),
    /// Bits 8 to 15 of a register: ah, ch, dh, bh.
    High(Register),
    /// In the instruction, sign-extended.
    Immediate(u64),
}

/// Arithmetic, by the numbers that opcodes have for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The instructions of these names.
pub enum Arithmetic {
    Add,
    Or,
    And,
    Sub,
    Xor,
}

/// What happens to a bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Bit {
    Set,
    Reset,
    Complement,
}

/// Decodes a store; `None` if it is something else, or its operand is not in memory.
pub fn decode(code: &mut Code) -> Option<Store> {
    let (prefixes, opcode) = code.opcode()?;
    match opcode {
        Opcode::Short(byte) => short(code, prefixes, byte),
        Opcode::Long(byte) => long(code, prefixes, byte),
    }
}

fn short(code: &mut Code, prefixes: Prefixes, byte: u8) -> Option<Store> {
    // Of these opcodes, bit 0 tells one byte from more.
    let bytes = if byte & 1 == 0 { 1 } else { code.operand_bytes(prefixes) };
    let operation = match byte {
        // Accumulator to an address in the instruction.
        0xa2 | 0xa3 => {
            code.number(code.address_bytes(prefixes))?;
            Operation::Move(Source::Register(0))
        }
        0x88 | 0x89 => Operation::Move(in_register(code, prefixes, bytes)?),
        0x86 | 0x87 => Operation::Exchange(in_register(code, prefixes, bytes)?),
        0xc6 | 0xc7 => {
            let modrm = memory(code, prefixes)?;
            let value = immediate(code, bytes)?;
            (modrm.reg & 7 == 0).then_some(Operation::Move(value))?
        }
        0x80 | 0x81 | 0x83 => {
            let which = arithmetic(memory(code, prefixes)?.reg & 7)?;
            let value = immediate(code, if byte == 0x83 { 1 } else { bytes })?;
            Operation::Arithmetic(which, value)
        }
        // Two operands, memory first: bits 3 to 5 say what.
        0x00..=0x3f if byte & 6 == 0 => {
            let which = arithmetic(byte >> 3)?;
            Operation::Arithmetic(which, in_register(code, prefixes, bytes)?)
        }
        _ => return None,
    };
    // Locking a plain move is an invalid instruction.
    if prefixes.lock && matches!(operation, Operation::Move(_)) {
        return None;
    }
    Some(Store { bytes, operation })
}

fn long(code: &mut Code, prefixes: Prefixes, byte: u8) -> Option<Store> {
    let wide = code.operand_bytes(prefixes);
    let bytes = if byte == 0xb0 { 1 } else { wide };
    let operation = match byte {
        0xb0 | 0xb1 => Operation::CompareExchange(in_register(code, prefixes, bytes)?),
        0xab => Operation::Bit(Bit::Set, in_register(code, prefixes, bytes)?),
        0xb3 => Operation::Bit(Bit::Reset, in_register(code, prefixes, bytes)?),
        0xbb => Operation::Bit(Bit::Complement, in_register(code, prefixes, bytes)?),
        0xba => {
            let which = match memory(code, prefixes)?.reg & 7 {
                5 => Bit::Set,
                6 => Bit::Reset,
                7 => Bit::Complement,
                _ => return None,
            };
            Operation::Bit(which, immediate(code, 1)?)
        }
        // `movnti`
        0xc3 if bytes >= 4 && !prefixes.lock => {
            Operation::Move(in_register(code, prefixes, bytes)?)
        }
        // `cmpxchg8b`; with REX.W it would be the 16-byte form.
        0xc7 if bytes != 8 && memory(code, prefixes)?.reg & 7 == 1 => {
            return Some(Store { bytes: 8, operation: Operation::CompareExchange8b });
        }
        _ => return None,
    };
    Some(Store { bytes, operation })
}

/// ModRM with its memory operand passed over; `None` if the operand is a register.
fn memory(code: &mut Code, prefixes: Prefixes) -> Option<ModRm> {
    code.modrm(prefixes).filter(|m| m.mode != 3)
}

/// The register operand of an instruction whose other one is in memory.
fn in_register(code: &mut Code, prefixes: Prefixes, bytes: u8) -> Option<Source> {
    let reg = memory(code, prefixes)?.reg;
    // Without REX, byte registers 4 to 7 are the second bytes of the first four.
    Some(match reg {
        4..=7 if bytes == 1 && prefixes.rex == 0 => Source::High(reg - 4),
        _ => Source::Register(reg),
    })
}

/// An immediate operand: at most 4 bytes, sign-extended.
fn immediate(code: &mut Code, bytes: u8) -> Option<Source> {
    Some(Source::Immediate(code.signed(bytes.min(4))?))
}

fn arithmetic(number: u8) -> Option<Arithmetic> {
    Some(match number {
        0 => Arithmetic::Add,
        1 => Arithmetic::Or,
        4 => Arithmetic::And,
        5 => Arithmetic::Sub,
        6 => Arithmetic::Xor,
        // adc and sbb are not used on page tables; cmp writes nothing.
        _ => return None,
    })
}

/// Status flags of RFLAGS.
pub mod status {
    /// Carry.
    pub const CF: u64 = 1 << 0;
    /// Even parity of the low byte.
    pub const PF: u64 = 1 << 2;
    /// Carry out of bit 3.
    pub const AF: u64 = 1 << 4;
    /// Zero.
    pub const ZF: u64 = 1 << 6;
    /// Sign.
    pub const SF: u64 = 1 << 7;
    /// Signed overflow.
    pub const OF: u64 = 1 << 11;
    /// All of them.
    pub const ALL: u64 = CF | PF | AF | ZF | SF | OF;
}

impl Arithmetic {
    /// `a` op `b` in `bytes` bytes, and the status flags.
    pub fn apply(self, a: u64, b: u64, bytes: u8) -> (u64, u64) {
        let mask = mask(bytes);
        let (a, b) = (a & mask, b & mask);
        let sign = mask ^ mask >> 1;
        let result = match self {
            Arithmetic::Add => a.wrapping_add(b),
            Arithmetic::Sub => a.wrapping_sub(b),
            Arithmetic::Or => a | b,
            Arithmetic::And => a & b,
            Arithmetic::Xor => a ^ b,
        } & mask;
        let (carry, overflow) = match self {
            Arithmetic::Add => (result < a, (a ^ result) & (b ^ result) & sign != 0),
            Arithmetic::Sub => (a < b, (a ^ b) & (a ^ result) & sign != 0),
            _ => (false, false),
        };
        let half = match self {
            Arithmetic::Add | Arithmetic::Sub => (a ^ b ^ result) & 0x10 != 0,
            _ => false,
        };
        let mut flags = 0;
        for (on, flag) in [
            (carry, status::CF),
            ((result as u8).count_ones() & 1 == 0, status::PF),
            (half, status::AF),
            (result == 0, status::ZF),
            (result & sign != 0, status::SF),
            (overflow, status::OF),
        ] {
            if on {
                flags |= flag;
            }
        }
        (result, flags)
    }
}

impl Bit {
    /// The operand with its bit `number` changed, and what the bit was.
    pub const fn apply(self, operand: u64, number: u64, bytes: u8) -> (u64, bool) {
        // A register may name a bit far away; the fault's address is where that led.
        let bit = 1 << (number & (8 * bytes as u64 - 1));
        let changed = match self {
            Bit::Set => operand | bit,
            Bit::Reset => operand & !bit,
            Bit::Complement => operand ^ bit,
        };
        (changed, operand & bit != 0)
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

//! Instructions that write memory, as kernels use them on page tables: which they are, and what
//! they do to a value.
//!
//! The operand's address is not computed: it is the address of the page fault that the
//! instruction caused, as each of these writes one operand in memory. So the bit number of
//! `bts` and its kin counts within the operand there (XSA-195 was reaching outside of it), and
//! `cmpxchg8b` has 8 bytes whatever its prefixes say (XSA-200 was 16 of them for some).
//!
//! Not among them are stores of x87 and SSE registers, of segment registers, `pop` to memory and
//! rotations through the carry: they are the guest's page fault.

use super::code::{Code, ModRm, Opcode, Prefixes, Register, Segment, mask};

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
    /// `inc`, `dec`, `not`, `neg`.
    Unary(Unary),
    /// `xadd`
    ExchangeAdd(Source),
    /// Shifts and rotations by a number of bits.
    Shift(Shift, Source),
    /// `setcc`: 1 if the condition holds, else 0. Conditions have numbers.
    SetCondition(u8),
    /// `stos` and `movs`.
    String(StringStore),
}

/// A string instruction, of which one element is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StringStore {
    /// `movs`: where the element comes from. `stos` has none: the accumulator.
    pub source: Option<Segment>,
    /// Bytes of ecx, esi and edi that count.
    pub address_bytes: u8,
    /// Whether ecx counts.
    pub repeat: bool,
}

/// What happens to one operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The instructions of these names.
pub enum Unary {
    Increment,
    Decrement,
    Not,
    Negate,
}

/// Which way bits move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Shift {
    RotateLeft,
    RotateRight,
    Left,
    Right,
    ArithmeticRight,
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
    AddWithCarry,
    SubWithBorrow,
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
        0xaa | 0xab => Operation::String(string(code, prefixes, None)),
        0xa4 | 0xa5 => {
            let source = prefixes.segment.unwrap_or(Segment::Ds);
            Operation::String(string(code, prefixes, Some(source)))
        }
        0xf6 | 0xf7 => Operation::Unary(match memory(code, prefixes)?.reg & 7 {
            2 => Unary::Not,
            3 => Unary::Negate,
            _ => return None,
        }),
        0xfe | 0xff => Operation::Unary(match memory(code, prefixes)?.reg & 7 {
            0 => Unary::Increment,
            1 => Unary::Decrement,
            _ => return None,
        }),
        0xc0 | 0xc1 | 0xd0..=0xd3 => {
            let which = shift(memory(code, prefixes)?.reg & 7)?;
            Operation::Shift(
                which,
                match byte {
                    0xc0 | 0xc1 => Source::Immediate(code.number(1)?),
                    0xd0 | 0xd1 => Source::Immediate(1),
                    _ => Source::Register(1),
                },
            )
        }
        // Two operands, memory first: bits 3 to 5 say what.
        0x00..=0x3f if byte & 6 == 0 => {
            let which = arithmetic(byte >> 3)?;
            Operation::Arithmetic(which, in_register(code, prefixes, bytes)?)
        }
        _ => return None,
    };
    // Locking these is an invalid instruction.
    let unlockable =
        matches!(operation, Operation::Move(_) | Operation::String(_) | Operation::Shift(..));
    if prefixes.lock && unlockable {
        return None;
    }
    Some(Store { bytes, operation })
}

fn string(code: &Code, prefixes: Prefixes, source: Option<Segment>) -> StringStore {
    let address_bytes = code.address_bytes(prefixes);
    StringStore { source, address_bytes, repeat: prefixes.repeat }
}

/// The shifts' numbers.
const fn shift(number: u8) -> Option<Shift> {
    Some(match number {
        0 => Shift::RotateLeft,
        1 => Shift::RotateRight,
        4 | 6 => Shift::Left,
        5 => Shift::Right,
        7 => Shift::ArithmeticRight,
        _ => return None,
    })
}

fn long(code: &mut Code, prefixes: Prefixes, byte: u8) -> Option<Store> {
    let wide = code.operand_bytes(prefixes);
    let bytes = if matches!(byte, 0xb0 | 0xc0 | 0x90..=0x9f) { 1 } else { wide };
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
        0xc0 | 0xc1 => Operation::ExchangeAdd(in_register(code, prefixes, bytes)?),
        0x90..=0x9f if !prefixes.lock => {
            memory(code, prefixes)?;
            Operation::SetCondition(byte & 15)
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
        2 => Arithmetic::AddWithCarry,
        3 => Arithmetic::SubWithBorrow,
        4 => Arithmetic::And,
        5 => Arithmetic::Sub,
        6 => Arithmetic::Xor,
        // cmp writes nothing.
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
    /// `a` op `b` in `bytes` bytes, and the status flags; `carry` is the flag before.
    pub fn apply(self, a: u64, b: u64, bytes: u8, carry: bool) -> (u64, u64) {
        let mask = mask(bytes);
        let (a, b) = (a & mask, b & mask);
        let sign = mask ^ mask >> 1;
        let extra = match self {
            Arithmetic::AddWithCarry | Arithmetic::SubWithBorrow => u64::from(carry),
            _ => 0,
        };
        // 65 bits: the carry out is in the upper half.
        let wide = match self {
            Arithmetic::Add | Arithmetic::AddWithCarry => {
                u128::from(a) + u128::from(b) + u128::from(extra)
            }
            Arithmetic::Sub | Arithmetic::SubWithBorrow => {
                u128::from(a).wrapping_sub(u128::from(b)).wrapping_sub(u128::from(extra))
            }
            Arithmetic::Or => u128::from(a | b),
            Arithmetic::And => u128::from(a & b),
            Arithmetic::Xor => u128::from(a ^ b),
        };
        let result = wide as u64 & mask;
        let overflow = match self {
            Arithmetic::Add | Arithmetic::AddWithCarry => (a ^ result) & (b ^ result) & sign != 0,
            Arithmetic::Sub | Arithmetic::SubWithBorrow => (a ^ b) & (a ^ result) & sign != 0,
            _ => false,
        };
        let adds = !matches!(self, Arithmetic::Or | Arithmetic::And | Arithmetic::Xor);
        let flags = flag(wide > u128::from(mask), status::CF)
            | flag(adds && (a ^ b ^ result) & 0x10 != 0, status::AF)
            | flag(overflow, status::OF)
            | of_result(result, bytes);
        (result, flags)
    }
}

const fn flag(on: bool, flag: u64) -> u64 {
    if on { flag } else { 0 }
}

/// The flags that depend on the result alone.
const fn of_result(result: u64, bytes: u8) -> u64 {
    let mask = mask(bytes);
    flag((result as u8).count_ones() & 1 == 0, status::PF)
        | flag(result == 0, status::ZF)
        | flag(result & (mask ^ mask >> 1) != 0, status::SF)
}

impl Unary {
    /// What becomes of `a`; which status flags that sets, and to what.
    pub fn apply(self, a: u64, bytes: u8) -> (u64, (u64, u64)) {
        let (which, (result, flags)) = match self {
            Unary::Not => return (!a & mask(bytes), (0, 0)),
            Unary::Negate => (status::ALL, Arithmetic::Sub.apply(0, a, bytes, false)),
            Unary::Increment => {
                (status::ALL & !status::CF, Arithmetic::Add.apply(a, 1, bytes, false))
            }
            Unary::Decrement => {
                (status::ALL & !status::CF, Arithmetic::Sub.apply(a, 1, bytes, false))
            }
        };
        (result, (which, flags & which))
    }
}

impl Shift {
    /// What becomes of `a`; which status flags that sets, and to what. Flags that the processor
    /// leaves undefined stay.
    pub const fn apply(self, a: u64, count: u64, bytes: u8) -> (u64, (u64, u64)) {
        let mask = mask(bytes);
        let (a, bits) = (a & mask, 8 * bytes as u64);
        let count = count & if bytes == 8 { 63 } else { 31 };
        if count == 0 {
            return (a, (0, 0));
        }
        let top = bits - 1;
        let signed = ((a << (64 - bits)) as i64 >> (64 - bits)) as u64;
        let turn = count % bits;
        let (result, carry) = match self {
            Shift::Left => {
                // The last bit that left.
                (a << count & mask, count <= bits && a >> (bits - count) & 1 != 0)
            }
            Shift::Right => (a >> count, a >> (count - 1) & 1 != 0),
            Shift::ArithmeticRight => {
                ((signed as i64 >> count) as u64 & mask, (signed as i64 >> (count - 1)) & 1 != 0)
            }
            Shift::RotateLeft => {
                let result = if turn == 0 { a } else { (a << turn | a >> (bits - turn)) & mask };
                (result, result & 1 != 0)
            }
            Shift::RotateRight => {
                let result = if turn == 0 { a } else { (a >> turn | a << (bits - turn)) & mask };
                (result, result >> top & 1 != 0)
            }
        };
        let overflow = match self {
            Shift::Left | Shift::RotateLeft => (result >> top & 1 != 0) != carry,
            Shift::Right => a >> top & 1 != 0,
            Shift::ArithmeticRight => false,
            Shift::RotateRight => (result >> top ^ result >> (top - 1)) & 1 != 0,
        };
        let mut which = status::CF;
        if count == 1 {
            which |= status::OF;
        }
        let mut flags = flag(carry, status::CF) | flag(overflow, status::OF);
        if !matches!(self, Shift::RotateLeft | Shift::RotateRight) {
            which |= status::ZF | status::SF | status::PF;
            flags |= of_result(result, bytes);
        }
        (result, (which, flags & which))
    }
}

/// Whether condition `number` (the low bits of `jcc` and `setcc`) holds with these flags.
pub const fn condition(number: u8, flags: u64) -> bool {
    let holds = match number >> 1 & 7 {
        0 => flags & status::OF != 0,
        1 => flags & status::CF != 0,
        2 => flags & status::ZF != 0,
        3 => flags & (status::CF | status::ZF) != 0,
        4 => flags & status::SF != 0,
        5 => flags & status::PF != 0,
        6 => (flags & status::SF != 0) != (flags & status::OF != 0),
        _ => flags & status::ZF != 0 || (flags & status::SF != 0) != (flags & status::OF != 0),
    };
    holds != (number & 1 != 0)
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

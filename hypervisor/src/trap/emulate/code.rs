//! The bytes of one instruction, and what all decoders here need of them: prefixes, opcode,
//! ModRM (SDM volume 2, chapter 2).
//!
//! The bytes are copied from the guest once. What is decoded is what is carried out, whatever
//! another vCPU does to the guest's code meanwhile.

use crate::guest::Ctx;
use crate::guest::regs::UserRegs;
use crate::platform::Platform;
use crate::trap::segment::{self, Mode};
use crate::width::Width;

/// The longest instruction.
const MAX_LEN: usize = 15;

/// Bytes that are read for one: what is quickly read.
const READ_LEN: usize = 16;

/// An instruction that is being decoded.
#[derive(Clone, Debug)]
pub struct Code {
    bytes: [u8; READ_LEN],
    /// How many bytes could be read.
    len: usize,
    /// How many are decoded.
    at: usize,
    /// How the processor reads them.
    mode: Mode,
}

/// A value's place among the general registers, as instructions number them.
pub type Register = u8;

/// Which table of opcodes, and the opcode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opcode {
    /// One byte.
    Short(u8),
    /// 0x0f and a byte.
    Long(u8),
}

/// A segment register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The names are the processor's.
pub enum Segment {
    Es,
    Cs,
    Ss,
    Ds,
    Fs,
    Gs,
}

/// Prefixes that matter here.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Prefixes {
    /// 0x66: the other operand size.
    pub operand_size: bool,
    /// 0x67: the other address size.
    pub address_size: bool,
    /// 0xf0.
    pub lock: bool,
    /// 0xf2 or 0xf3.
    pub repeat: bool,
    /// 64-bit mode: 0x40 to 0x4f.
    pub rex: u8,
    /// The segment of an operand in memory, if not the usual one.
    pub segment: Option<Segment>,
}

impl Prefixes {
    /// REX.W: 64-bit operands.
    const W: u8 = 8;
    /// REX.R: bit 3 of `reg`.
    const R: u8 = 4;
    /// REX.X: bit 3 of an index.
    const X: u8 = 2;
    /// REX.B: bit 3 of `rm`.
    const B: u8 = 1;
}

/// How an operand's address in its segment is computed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Address {
    /// A register.
    base: Option<Register>,
    /// Another one, shifted left by so many bits.
    index: Option<(Register, u8)>,
    /// A number; relative to the next instruction in 64-bit mode, where there is no base.
    displacement: u32,
    /// Bytes of the sum that count.
    bytes: u8,
}

impl Address {
    /// The offset in the operand's segment, of at most 32 bits.
    pub fn offset(self, regs: &mut UserRegs) -> u32 {
        let mut sum = self.displacement;
        if let Some(base) = self.base {
            sum = sum.wrapping_add(*register(regs, base) as u32);
        }
        if let Some((index, shift)) = self.index {
            sum = sum.wrapping_add((*register(regs, index) as u32) << (shift & 3));
        }
        sum & mask(self.bytes) as u32
    }

    /// The segment that it is in unless a prefix says otherwise: the stack's, if the base is
    /// the stack or frame pointer.
    pub const fn segment(self) -> Segment {
        match self.base {
            Some(4 | 5) => Segment::Ss,
            _ => Segment::Ds,
        }
    }
}

/// ModRM: which registers, or memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModRm {
    /// 3: `rm` is a register; else an operand in memory.
    pub mode: u8,
    /// A register, or more of the opcode.
    pub reg: Register,
    /// A register, or the form of an address.
    pub rm: Register,
    /// The operand's address, if it is in memory.
    pub address: Address,
}

impl Code {
    /// Bytes to decode.
    pub fn new(bytes: &[u8], mode: Mode) -> Code {
        let mut code = Code { bytes: [0; READ_LEN], len: 0, at: 0, mode };
        for (slot, byte) in code.bytes.iter_mut().take(MAX_LEN).zip(bytes) {
            *slot = *byte;
            code.len += 1;
        }
        code
    }

    /// The instruction that the guest is at; `None` if its code cannot be read.
    pub fn fetch<P: Platform>(ctx: &mut Ctx<'_, P>) -> Option<Code> {
        let (base, mode) = segment::code(ctx)?;
        let at = match ctx.width() {
            Width::Pv32 => u64::from((base as u32).wrapping_add(ctx.regs.rip as u32)),
            Width::Pv64 => base.wrapping_add(ctx.regs.rip),
        };
        let mut code = Code { bytes: [0; READ_LEN], len: MAX_LEN, at: 0, mode };
        if ctx.read_bytes(at, &mut code.bytes).is_ok() {
            return Some(code);
        }
        // The next page may be missing, and the instruction short enough.
        code.len = MAX_LEN.min(0x1000 - (at & 0xfff) as usize);
        ctx.read_bytes(at, code.bytes.get_mut(..code.len)?).ok()?;
        Some(code)
    }

    /// Whether the bytes begin with `prefix`.
    pub fn starts_with(&self, prefix: &[u8]) -> bool {
        self.bytes.get(..self.len).is_some_and(|bytes| bytes.starts_with(prefix))
    }

    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(..self.len)?.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// The next `bytes` bytes, little endian.
    pub fn number(&mut self, bytes: u8) -> Option<u64> {
        let mut value = 0;
        for i in 0..bytes {
            value |= u64::from(self.byte()?) << (8 * i);
        }
        Some(value)
    }

    /// How long the instruction is, once all of it is decoded.
    pub fn length(&self) -> u64 {
        self.at as u64
    }

    /// Prefixes and opcode.
    pub fn opcode(&mut self) -> Option<(Prefixes, Opcode)> {
        let mut prefixes = Prefixes::default();
        loop {
            match self.byte()? {
                0x66 => prefixes.operand_size = true,
                0x67 => prefixes.address_size = true,
                0xf0 => prefixes.lock = true,
                0xf2 | 0xf3 => prefixes.repeat = true,
                0x26 => prefixes.segment = Some(Segment::Es),
                0x2e => prefixes.segment = Some(Segment::Cs),
                0x36 => prefixes.segment = Some(Segment::Ss),
                0x3e => prefixes.segment = Some(Segment::Ds),
                0x64 => prefixes.segment = Some(Segment::Fs),
                0x65 => prefixes.segment = Some(Segment::Gs),
                rex @ 0x40..=0x4f if self.mode == Mode::Bits64 => {
                    // A REX prefix counts only right before the opcode.
                    let opcode = self.byte()?;
                    if is_prefix(opcode) {
                        self.at -= 1;
                        continue;
                    }
                    prefixes.rex = rex;
                    return Some((prefixes, self.long_or_short(opcode)?));
                }
                opcode => return Some((prefixes, self.long_or_short(opcode)?)),
            }
        }
    }

    fn long_or_short(&mut self, byte: u8) -> Option<Opcode> {
        Some(if byte == 0x0f { Opcode::Long(self.byte()?) } else { Opcode::Short(byte) })
    }

    /// Bytes of an operand that is not one byte by its opcode.
    pub fn operand_bytes(&self, prefixes: Prefixes) -> u8 {
        match (self.mode, prefixes.operand_size) {
            (Mode::Bits64, _) if prefixes.rex & Prefixes::W != 0 => 8,
            (Mode::Bits32 | Mode::Bits64, true) | (Mode::Bits16, false) => 2,
            _ => 4,
        }
    }

    /// Bytes of an address within the instruction.
    pub fn address_bytes(&self, prefixes: Prefixes) -> u8 {
        match (self.mode, prefixes.address_size) {
            (Mode::Bits64, false) => 8,
            (Mode::Bits32, true) | (Mode::Bits16, false) => 2,
            _ => 4,
        }
    }

    /// ModRM, and what follows it if it means memory (SIB, displacement).
    pub fn modrm(&mut self, prefixes: Prefixes) -> Option<ModRm> {
        let byte = self.byte()?;
        let (mode, reg, rm) = (byte >> 6, byte >> 3 & 7, byte & 7);
        let high = |bit: u8| if prefixes.rex & bit != 0 { 8 } else { 0 };
        let mut modrm = ModRm {
            mode,
            reg: reg | high(Prefixes::R),
            rm: rm | high(Prefixes::B),
            address: Address::default(),
        };
        if mode != 3 {
            modrm.address = match self.address_bytes(prefixes) {
                2 => self.address_16(mode, rm)?,
                bytes => self.address_32(mode, rm, prefixes, bytes)?,
            };
        }
        Some(modrm)
    }

    fn address_16(&mut self, mode: u8, rm: u8) -> Option<Address> {
        // By numbers: bx 3, bp 5, si 6, di 7.
        let (base, index) = match rm {
            0 => (Some(3), Some((6, 0))),
            1 => (Some(3), Some((7, 0))),
            2 => (Some(5), Some((6, 0))),
            3 => (Some(5), Some((7, 0))),
            4 => (Some(6), None),
            5 => (Some(7), None),
            6 if mode == 0 => (None, None),
            6 => (Some(5), None),
            _ => (Some(3), None),
        };
        let bytes = match (mode, rm) {
            (0, 6) | (2, _) => 2,
            (1, _) => 1,
            _ => 0,
        };
        let displacement = self.signed(bytes)? as u32;
        Some(Address { base, index, displacement, bytes: 2 })
    }

    fn address_32(&mut self, mode: u8, rm: u8, prefixes: Prefixes, bytes: u8) -> Option<Address> {
        let high = |bit: u8| if prefixes.rex & bit != 0 { 8 } else { 0 };
        let (mut base, mut index) = (rm, None);
        if rm == 4 {
            let sib = self.byte()?;
            base = sib & 7;
            let number = sib >> 3 & 7 | high(Prefixes::X);
            // 4 stands for none.
            index = (number != 4).then_some((number, sib >> 6));
        }
        let (displacement, has_base) = match (mode, base) {
            (0, 5) => (4, false),
            (2, _) => (4, true),
            (1, _) => (1, true),
            _ => (0, true),
        };
        Some(Address {
            base: has_base.then_some(base | high(Prefixes::B)),
            index,
            displacement: self.signed(displacement)? as u32,
            bytes,
        })
    }

    /// The next `bytes` bytes (at most 4), sign-extended; 0 if there are none.
    pub fn signed(&mut self, bytes: u8) -> Option<u64> {
        if bytes == 0 {
            return Some(0);
        }
        let unused = 64 - 8 * u32::from(bytes);
        Some(((self.number(bytes)? << unused) as i64 >> unused) as u64)
    }
}

const fn is_prefix(byte: u8) -> bool {
    matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3)
}

/// The general register with number `register`.
pub fn register(regs: &mut UserRegs, register: Register) -> &mut u64 {
    match register & 15 {
        0 => &mut regs.rax,
        1 => &mut regs.rcx,
        2 => &mut regs.rdx,
        3 => &mut regs.rbx,
        4 => &mut regs.rsp,
        5 => &mut regs.rbp,
        6 => &mut regs.rsi,
        7 => &mut regs.rdi,
        8 => &mut regs.r8,
        9 => &mut regs.r9,
        10 => &mut regs.r10,
        11 => &mut regs.r11,
        12 => &mut regs.r12,
        13 => &mut regs.r13,
        14 => &mut regs.r14,
        _ => &mut regs.r15,
    }
}

/// All bits of a value of `bytes` bytes.
#[inline(always)]
pub const fn mask(bytes: u8) -> u64 {
    match bytes {
        1 => 0xff,
        2 => 0xffff,
        4 => 0xffff_ffff,
        _ => u64::MAX,
    }
}

/// A register's value after `bytes` bytes of it were written: 32-bit results clear the high half.
pub const fn merged(old: u64, new: u64, bytes: u8) -> u64 {
    match bytes {
        1 | 2 => old & !mask(bytes) | new & mask(bytes),
        _ => new & mask(bytes),
    }
}

#[cfg(test)]
#[path = "code_tests.rs"]
mod tests;

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

/// Prefixes that matter here. Segments do not: addresses come from elsewhere.
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
}

impl Prefixes {
    /// REX.W: 64-bit operands.
    const W: u8 = 8;
    /// REX.R: bit 3 of `reg`.
    const R: u8 = 4;
    /// REX.B: bit 3 of `rm`.
    const B: u8 = 1;
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
    pub fn fetch<P: Platform>(ctx: &Ctx<'_, P>) -> Option<Code> {
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
                0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 => {}
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

    /// ModRM, and what follows it if it means memory (SIB, displacement), which is passed over.
    pub fn modrm(&mut self, prefixes: Prefixes) -> Option<ModRm> {
        let byte = self.byte()?;
        let (mode, reg, rm) = (byte >> 6, byte >> 3 & 7, byte & 7);
        if mode != 3 {
            self.pass_address(mode, rm, self.address_bytes(prefixes))?;
        }
        let high = |bit: u8| if prefixes.rex & bit != 0 { 8 } else { 0 };
        Some(ModRm { mode, reg: reg | high(Prefixes::R), rm: rm | high(Prefixes::B) })
    }

    fn pass_address(&mut self, mode: u8, rm: u8, address_bytes: u8) -> Option<()> {
        let displacement = if address_bytes == 2 {
            match (mode, rm) {
                (0, 6) | (2, _) => 2,
                (1, _) => 1,
                _ => 0,
            }
        } else {
            let base = if rm == 4 { self.byte()? & 7 } else { rm };
            match (mode, base) {
                (0, 5) | (2, _) => 4,
                (1, _) => 1,
                _ => 0,
            }
        };
        self.number(displacement)?;
        Some(())
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

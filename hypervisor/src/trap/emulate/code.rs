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
mod tests {
    use super::*;

    /// Length of an instruction with a ModRM byte and nothing after its operand.
    fn length(bytes: &[u8], mode: Mode) -> Option<u64> {
        let mut code = Code::new(bytes, mode);
        let (prefixes, _) = code.opcode()?;
        code.modrm(prefixes)?;
        Some(code.length())
    }

    #[test]
    fn addresses_of_32_bit_code_are_passed_over() {
        for (bytes, expected) in [
            (&[0x89, 0x07][..], 2),               // mov %eax,(%edi)
            (&[0x89, 0x47, 0x10], 3),             // 0x10(%edi)
            (&[0x89, 0x87, 1, 2, 3, 4], 6),       // 0x4030201(%edi)
            (&[0x89, 0x05, 1, 2, 3, 4], 6),       // 0x4030201
            (&[0x89, 0x04, 0x24], 3),             // (%esp)
            (&[0x89, 0x44, 0x24, 8], 4),          // 8(%esp)
            (&[0x89, 0x84, 0xb3, 1, 2, 3, 4], 7), // 0x4030201(%ebx,%esi,4)
            (&[0x89, 0x04, 0xb5, 1, 2, 3, 4], 7), // 0x4030201(,%esi,4)
            (&[0x89, 0x44, 0x75, 0], 4),          // 0(%ebp,%esi,2)
            (&[0x64, 0x89, 0x07], 3),             // %fs:(%edi)
            (&[0xf0, 0x0f, 0xb1, 0x0f], 4),       // lock cmpxchg %ecx,(%edi)
            (&[0x67, 0x89, 0x06, 1, 2], 5),       // 16-bit address
            (&[0x67, 0x89, 0x46, 1], 4),          // 1(%bp)
            (&[0x67, 0x89, 0x86, 1, 2], 5),
            (&[0x67, 0x89, 0x07], 3), // (%bx)
        ] {
            assert_eq!(length(bytes, Mode::Bits32), Some(expected), "{bytes:x?}");
        }
    }

    #[test]
    fn truncated_instructions_are_none() {
        let whole = [0x66, 0xf0, 0x89, 0x84, 0xb3, 1, 2, 3, 4];
        for cut in 0..whole.len() {
            assert_eq!(length(&whole[..cut], Mode::Bits32), None, "{cut}");
        }
        assert!(length(&whole, Mode::Bits32).is_some());
        // 15 prefixes leave no room for an opcode.
        assert_eq!(length(&[0x66; 20], Mode::Bits32), None);
    }

    #[test]
    fn rex_extends_registers_and_counts_before_the_opcode_only() {
        let mut code = Code::new(&[0x4d, 0x89, 0xf8], Mode::Bits64);
        let (prefixes, opcode) = code.opcode().unwrap();
        assert_eq!((prefixes.rex, opcode), (0x4d, Opcode::Short(0x89)));
        assert_eq!(code.operand_bytes(prefixes), 8);
        assert_eq!(code.modrm(prefixes), Some(ModRm { mode: 3, reg: 15, rm: 8 }));
        let mut code = Code::new(&[0x48, 0x66, 0x89, 0xc0], Mode::Bits64);
        let (prefixes, _) = code.opcode().unwrap();
        assert_eq!((prefixes.rex, code.operand_bytes(prefixes)), (0, 2));
        // In 32-bit code 0x48 is dec %eax.
        let mut code = Code::new(&[0x48, 0x89], Mode::Bits32);
        assert_eq!(code.opcode().unwrap().1, Opcode::Short(0x48));
    }

    #[test]
    fn sizes_follow_mode_and_prefix() {
        let prefixed = Prefixes { operand_size: true, address_size: true, ..Prefixes::default() };
        for (mode, plain, other, address, other_address) in
            [(Mode::Bits16, 2, 4, 2, 4), (Mode::Bits32, 4, 2, 4, 2), (Mode::Bits64, 4, 2, 8, 4)]
        {
            let code = Code::new(&[], mode);
            assert_eq!(code.operand_bytes(Prefixes::default()), plain);
            assert_eq!(code.operand_bytes(prefixed), other);
            assert_eq!(code.address_bytes(Prefixes::default()), address);
            assert_eq!(code.address_bytes(prefixed), other_address);
        }
    }

    #[test]
    fn partial_writes_keep_the_rest() {
        assert_eq!(merged(0x1122_3344_5566_7788, 0xff, 1), 0x1122_3344_5566_77ff);
        assert_eq!(merged(0x1122_3344_5566_7788, 0xabcd, 2), 0x1122_3344_5566_abcd);
        assert_eq!(merged(0x1122_3344_5566_7788, 0xffff_ffff, 4), 0xffff_ffff);
        assert_eq!(merged(1, u64::MAX, 8), u64::MAX);
    }
}

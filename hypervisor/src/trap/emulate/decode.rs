//! Which privileged instruction it is.
//!
//! The list is Xen's (`arch/x86/pv/emul-priv-op.c`), less what it offers HVM-like guests:
//! everything else stays a #GP.

use super::code::{Code, Opcode, Prefixes, Register};
use super::string_io::{Direction, StringIo};

/// Where the number of an I/O port is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Port {
    /// In the instruction.
    Immediate(u8),
    /// In dx.
    Dx,
}

/// An instruction that the ABI lets a guest kernel execute, or a guest with I/O privilege.
///
/// `number` is a control or debug register's, `register` a general one's; `bytes` is 1, 2 or 4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The fields: above.
pub enum Privileged {
    /// `mov %crN, r`
    FromControl { number: u8, register: Register },
    /// `mov r, %crN`
    ToControl { number: u8, register: Register },
    /// `mov %drN, r`
    FromDebug { number: u8, register: Register },
    /// `mov r, %drN`
    ToDebug { number: u8, register: Register },
    /// `clts`
    ClearTaskSwitched,
    /// `rdmsr`
    ReadMsr,
    /// `wrmsr`
    WriteMsr,
    /// `wbinvd`
    FlushCache,
    /// `xsetbv`
    SetExtended,
    /// `rdtsc`
    ReadTime,
    /// `rdtscp`
    ReadTimeAndAux,
    /// `cli`, `sti`
    InterruptFlag,
    /// `in`
    In { bytes: u8, port: Port },
    /// `out`
    Out { bytes: u8, port: Port },
    /// `ins`, `outs`
    String(StringIo),
}

impl Privileged {
    /// Whether I/O privilege, rather than being the kernel, is what permits it.
    pub const fn is_io(self) -> bool {
        matches!(self, Self::In { .. } | Self::Out { .. } | Self::String(_) | Self::InterruptFlag)
    }
}

/// Decodes a privileged instruction; `None` if it is none of those.
pub fn privileged(code: &mut Code) -> Option<Privileged> {
    let (prefixes, opcode) = code.opcode()?;
    // None of them can be locked.
    if prefixes.lock {
        return None;
    }
    Some(match opcode {
        Opcode::Long(0x06) => Privileged::ClearTaskSwitched,
        Opcode::Long(0x09) => Privileged::FlushCache,
        Opcode::Long(0x01) => match code.byte()? {
            0xd1 => Privileged::SetExtended,
            0xf9 => Privileged::ReadTimeAndAux,
            _ => return None,
        },
        Opcode::Long(0x30) => Privileged::WriteMsr,
        Opcode::Long(0x31) => Privileged::ReadTime,
        Opcode::Long(0x32) => Privileged::ReadMsr,
        Opcode::Long(byte @ 0x20..=0x23) => moved(code, prefixes, byte)?,
        Opcode::Short(0xfa | 0xfb) => Privileged::InterruptFlag,
        Opcode::Short(byte @ 0x6c..=0x6f) => string(code, prefixes, byte),
        Opcode::Short(byte @ (0xe4..=0xe7 | 0xec..=0xef)) => port(code, prefixes, byte)?,
        _ => return None,
    })
}

/// `mov` to and from control and debug registers. Its operands are registers, whatever ModRM's mode says.
fn moved(code: &mut Code, prefixes: Prefixes, byte: u8) -> Option<Privileged> {
    let modrm = code.byte()?;
    let high = |bit: u8| if prefixes.rex & bit != 0 { 8 } else { 0 };
    let number = modrm >> 3 & 7 | high(4);
    let register = modrm & 7 | high(1);
    Some(match byte {
        0x20 => Privileged::FromControl { number, register },
        0x21 => Privileged::FromDebug { number, register },
        0x22 => Privileged::ToControl { number, register },
        _ => Privileged::ToDebug { number, register },
    })
}

/// How many ports, by bit 0 of the opcode. There is no 64-bit I/O.
fn port_bytes(code: &Code, prefixes: Prefixes, byte: u8) -> u8 {
    if byte & 1 == 0 { 1 } else { code.operand_bytes(prefixes).min(4) }
}

/// `ins` and `outs`: bit 0 of the opcode is the size, bit 1 the direction.
fn string(code: &Code, prefixes: Prefixes, byte: u8) -> Privileged {
    let direction = if byte & 2 == 0 { Direction::In } else { Direction::Out };
    let bytes = port_bytes(code, prefixes, byte);
    Privileged::String(StringIo::new(direction, bytes, code.address_bytes(prefixes), prefixes))
}

/// `in` and `out`: bit 0 of the opcode is the size, bit 1 the direction, bit 3 where the port is.
fn port(code: &mut Code, prefixes: Prefixes, byte: u8) -> Option<Privileged> {
    let bytes = port_bytes(code, prefixes, byte);
    let port = if byte & 8 != 0 { Port::Dx } else { Port::Immediate(code.byte()?) };
    Some(match byte & 2 {
        0 => Privileged::In { bytes, port },
        _ => Privileged::Out { bytes, port },
    })
}

/// The vector of an `int $n`; `None` if it is something else.
pub fn software_interrupt(code: &mut Code) -> Option<u8> {
    match code.opcode()? {
        (prefixes, Opcode::Short(0xcd)) if !prefixes.lock => code.byte(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trap::segment::Mode;

    fn decode(bytes: &[u8], mode: Mode) -> Option<(Privileged, u64)> {
        let mut code = Code::new(bytes, mode);
        privileged(&mut code).map(|p| (p, code.length()))
    }

    #[test]
    fn the_list() {
        use Privileged::*;
        let dx = Port::Dx;
        for (bytes, expected, length) in [
            (&[0x0f, 0x20, 0xc0][..], FromControl { number: 0, register: 0 }, 3),
            (&[0x0f, 0x20, 0xdb], FromControl { number: 3, register: 3 }, 3),
            (&[0x0f, 0x22, 0xe6], ToControl { number: 4, register: 6 }, 3),
            (&[0x0f, 0x22, 0x26], ToControl { number: 4, register: 6 }, 3),
            (&[0x0f, 0x21, 0xf8], FromDebug { number: 7, register: 0 }, 3),
            (&[0x0f, 0x23, 0xc1], ToDebug { number: 0, register: 1 }, 3),
            (&[0x0f, 0x06], ClearTaskSwitched, 2),
            (&[0x0f, 0x09], FlushCache, 2),
            (&[0x0f, 0x30], WriteMsr, 2),
            (&[0x0f, 0x32], ReadMsr, 2),
            (&[0x0f, 0x01, 0xd1], SetExtended, 3),
            (&[0x0f, 0x31], ReadTime, 2),
            (&[0x0f, 0x01, 0xf9], ReadTimeAndAux, 3),
            (&[0xfa], InterruptFlag, 1),
            (&[0xfb], InterruptFlag, 1),
            (&[0xe4, 0x61], In { bytes: 1, port: Port::Immediate(0x61) }, 2),
            (&[0xe5, 0x61], In { bytes: 4, port: Port::Immediate(0x61) }, 2),
            (&[0x66, 0xe5, 0x61], In { bytes: 2, port: Port::Immediate(0x61) }, 3),
            (&[0xe6, 0x70], Out { bytes: 1, port: Port::Immediate(0x70) }, 2),
            (&[0xec], In { bytes: 1, port: dx }, 1),
            (&[0xed], In { bytes: 4, port: dx }, 1),
            (&[0xee], Out { bytes: 1, port: dx }, 1),
            (&[0x66, 0xef], Out { bytes: 2, port: dx }, 2),
        ] {
            assert_eq!(decode(bytes, Mode::Bits32), Some((expected, length)), "{bytes:x?}");
        }
        let long = decode(&[0x44, 0x0f, 0x20, 0xc0], Mode::Bits64);
        assert_eq!(long, Some((FromControl { number: 8, register: 0 }, 4)));
        assert_eq!(decode(&[0xed], Mode::Bits16), Some((In { bytes: 2, port: dx }, 1)));
    }

    #[test]
    fn string_instructions() {
        use crate::trap::emulate::code::Segment;
        let string = |direction, bytes, address_bytes, segment, repeat| {
            Privileged::String(StringIo { direction, bytes, address_bytes, segment, repeat })
        };
        let (into, from) = (Direction::In, Direction::Out);
        for (bytes, expected) in [
            (&[0x6c][..], string(into, 1, 4, Segment::Es, false)),
            (&[0x6d], string(into, 4, 4, Segment::Es, false)),
            (&[0x66, 0x6d], string(into, 2, 4, Segment::Es, false)),
            (&[0xf3, 0x67, 0x6c], string(into, 1, 2, Segment::Es, true)),
            // The destination's segment is what it is; the source's may be another.
            (&[0x64, 0x6c], string(into, 1, 4, Segment::Es, false)),
            (&[0xf2, 0x64, 0x6e], string(from, 1, 4, Segment::Fs, true)),
            (&[0x36, 0x6f], string(from, 4, 4, Segment::Ss, false)),
            (&[0x6e], string(from, 1, 4, Segment::Ds, false)),
        ] {
            let length = bytes.len() as u64;
            assert_eq!(decode(bytes, Mode::Bits32), Some((expected, length)), "{bytes:x?}");
        }
    }

    #[test]
    fn everything_else_is_not_on_it() {
        for bytes in [
            &[0xf4][..],               // hlt
            &[0x0f, 0x08],             // invd
            &[0x0f, 0x01, 0x10],       // lgdt
            &[0x0f, 0x01, 0x38],       // invlpg
            &[0x0f, 0x01, 0xf0],       // lmsw
            &[0x0f, 0x01, 0xd0],       // xgetbv
            &[0x0f, 0x01, 0xf8],       // swapgs
            &[0x0f, 0x00, 0xd0],       // lldt
            &[0x0f, 0x33],             // rdpmc
            &[0xf0, 0x0f, 0x20, 0xc0], // lock mov %cr0
            &[0xcd, 0x80],
            &[0x0f],
            &[0xe4],
            &[],
        ] {
            assert_eq!(decode(bytes, Mode::Bits32), None, "{bytes:x?}");
        }
    }

    #[test]
    fn software_interrupts_are_read_from_the_code() {
        let vector = |bytes: &[u8]| software_interrupt(&mut Code::new(bytes, Mode::Bits32));
        assert_eq!(vector(&[0xcd, 0x82]), Some(0x82));
        assert_eq!(vector(&[0x66, 0xcd, 0x10]), Some(0x10));
        assert_eq!(vector(&[0xcc]), None);
        assert_eq!(vector(&[0xcd]), None);
        assert_eq!(vector(&[0x0f, 0xcd]), None);
    }
}

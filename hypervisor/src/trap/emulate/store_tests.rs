//! Tests of [`super`].

use super::*;
use crate::trap::segment::Mode;

fn decoded(bytes: &[u8], mode: Mode) -> Option<(Store, u64)> {
    let mut code = Code::new(bytes, mode);
    decode(&mut code).map(|store| (store, code.length()))
}

fn reg(number: Register) -> Source {
    Source::Register(number)
}

#[test]
fn the_forms_that_kernels_use() {
    use Operation::*;
    let value = Source::Immediate;
    for (bytes, size, operation, length) in [
        (&[0x89, 0x07][..], 4, Move(reg(0)), 2),
        (&[0x66, 0x89, 0x07], 2, Move(reg(0)), 3),
        (&[0x88, 0x07], 1, Move(reg(0)), 2),
        (&[0x88, 0x27], 1, Move(Source::High(0)), 2),
        (&[0x88, 0x3f], 1, Move(Source::High(3)), 2),
        (&[0x89, 0x4c, 0x24, 8], 4, Move(reg(1)), 4),
        (&[0xa3, 1, 2, 3, 4], 4, Move(reg(0)), 5),
        (&[0xa2, 1, 2, 3, 4], 1, Move(reg(0)), 5),
        (&[0xc7, 0x07, 0x63, 0, 0, 0x80], 4, Move(value(0xffff_ffff_8000_0063)), 6),
        (&[0x66, 0xc7, 0x07, 0x63, 0x80], 2, Move(value(0xffff_ffff_ffff_8063)), 5),
        (&[0xc6, 0x47, 1, 0x7f], 1, Move(value(0x7f)), 4),
        (&[0x0f, 0xc3, 0x07], 4, Move(reg(0)), 3),
        (&[0x87, 0x0f], 4, Exchange(reg(1)), 2),
        (&[0xf0, 0x87, 0x0f], 4, Exchange(reg(1)), 3),
        (&[0xf0, 0x0f, 0xb1, 0x0f], 4, CompareExchange(reg(1)), 4),
        (&[0x0f, 0xb0, 0x0f], 1, CompareExchange(reg(1)), 3),
        (&[0xf0, 0x0f, 0xc7, 0x0f], 8, CompareExchange8b, 4),
        (&[0xf0, 0x09, 0x07], 4, Arithmetic(super::Arithmetic::Or, reg(0)), 3),
        (&[0x20, 0x07], 1, Arithmetic(super::Arithmetic::And, reg(0)), 2),
        (&[0x01, 0x07], 4, Arithmetic(super::Arithmetic::Add, reg(0)), 2),
        (&[0x83, 0x27, 0xfd], 4, Arithmetic(super::Arithmetic::And, value(!2)), 3),
        (&[0xf0, 0x81, 0x0f, 0, 1, 0, 0], 4, Arithmetic(super::Arithmetic::Or, value(0x100)), 7),
        (&[0x80, 0x37, 1], 1, Arithmetic(super::Arithmetic::Xor, value(1)), 3),
        (&[0xf0, 0x0f, 0xba, 0x37, 5], 4, Bit(super::Bit::Reset, value(5)), 5),
        (&[0x0f, 0xab, 0x07], 4, Bit(super::Bit::Set, reg(0)), 3),
    ] {
        let expected = Store { bytes: size, operation };
        assert_eq!(decoded(bytes, Mode::Bits32), Some((expected, length)), "{bytes:x?}");
    }
    let wide = decoded(&[0x48, 0xc7, 0x07, 0xff, 0xff, 0xff, 0xff], Mode::Bits64);
    assert_eq!(wide, Some((Store { bytes: 8, operation: Move(value(u64::MAX)) }, 7)));
    let byte = decoded(&[0x40, 0x88, 0x27], Mode::Bits64);
    assert_eq!(byte, Some((Store { bytes: 1, operation: Move(reg(4)) }, 3)));
}

#[test]
fn what_writes_no_memory_is_none() {
    for bytes in [
        &[0x8b, 0x07][..],         // a load
        &[0x89, 0xc7],             // register to register
        &[0x39, 0x07],             // cmp
        &[0x83, 0x3f, 0],          // cmp
        &[0x11, 0x07],             // adc
        &[0xc7, 0x47, 1, 0],       // cut short
        &[0xc7, 0xf8, 0, 0, 0, 0], // xbegin
        &[0xc7, 0x0f, 0, 0, 0, 0], // no such instruction
        &[0xf0, 0x89, 0x07],       // lock mov: invalid
        &[0x0f, 0xba, 0x27, 5],    // bt
        &[0x0f, 0xc7, 0x37],       // rdrand, vmptrld
        &[0xff, 0x37],             // push
        &[0xaa],                   // stos
        &[],
    ] {
        assert_eq!(decoded(bytes, Mode::Bits32), None, "{bytes:x?}");
    }
    assert_eq!(decoded(&[0x48, 0x0f, 0xc7, 0x0f], Mode::Bits64), None, "cmpxchg16b");
}

/// Flags and results as this processor has them.
#[test]
fn arithmetic_is_the_processors() {
    for (op, a, b, bytes, result, flags) in [
        (Arithmetic::Add, 0xff, 1, 1, 0, "cpaz"),
        (Arithmetic::Add, 0x7f, 1, 1, 0x80, "aso"),
        (Arithmetic::Add, u64::MAX, 1, 8, 0, "cpaz"),
        (Arithmetic::Add, 0x1_0000_0001, 1, 4, 2, ""),
        (Arithmetic::Sub, 0, 1, 4, 0xffff_ffff, "cpas"),
        (Arithmetic::Sub, 0x80, 1, 1, 0x7f, "ao"),
        (Arithmetic::Sub, 5, 5, 4, 0, "pz"),
        (Arithmetic::And, 0xf0, 0x0f, 4, 0, "pz"),
        (Arithmetic::Or, 0x8000_0000, 1, 4, 0x8000_0001, "s"),
        (Arithmetic::Xor, 3, 1, 2, 2, ""),
    ] {
        let mut expected = 0;
        for letter in flags.chars() {
            expected |= match letter {
                'c' => status::CF,
                'p' => status::PF,
                'a' => status::AF,
                'z' => status::ZF,
                's' => status::SF,
                _ => status::OF,
            };
        }
        assert_eq!(op.apply(a, b, bytes), (result, expected), "{op:?} {a:#x} {b:#x}");
    }
}

#[test]
fn bit_numbers_wrap_within_the_operand() {
    assert_eq!(Bit::Set.apply(0, 33, 4), (2, false));
    assert_eq!(Bit::Reset.apply(3, 1, 4), (1, true));
    assert_eq!(Bit::Complement.apply(0, 63, 8), (1 << 63, false));
    assert_eq!(Bit::Set.apply(0, u64::MAX, 2), (0x8000, false));
}

//! Tests of [`super`].

// UNSAFETY: asks the processor what it makes of the same operands.
#![allow(unsafe_code)]

use super::*;
use crate::trap::segment::Mode;
use std::arch::asm;

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
        &[0xc7, 0x47, 1, 0],       // cut short
        &[0xc7, 0xf8, 0, 0, 0, 0], // xbegin
        &[0xc7, 0x0f, 0, 0, 0, 0], // no such instruction
        &[0xf0, 0x89, 0x07],       // lock mov: invalid
        &[0x0f, 0xba, 0x27, 5],    // bt
        &[0x0f, 0xc7, 0x37],       // rdrand, vmptrld
        &[0xff, 0x37],             // push
        &[0xf0, 0xaa],             // lock stos
        &[0xf0, 0xd1, 0x27],       // lock shl
        &[0xd1, 0x17],             // rcl
        &[0xd1, 0xe0],             // a register
        &[0xf7, 0x27],             // mul
        &[0xff, 0x17],             // call
        &[0x8f, 0x07],             // pop
        &[0xdd, 0x17],             // fst
        &[0x0f, 0x7f, 0x07],       // movq
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
        assert_eq!(op.apply(a, b, bytes, false), (result, expected), "{op:?} {a:#x} {b:#x}");
    }
}

#[test]
fn bit_numbers_wrap_within_the_operand() {
    assert_eq!(Bit::Set.apply(0, 33, 4), (2, false));
    assert_eq!(Bit::Reset.apply(3, 1, 4), (1, true));
    assert_eq!(Bit::Complement.apply(0, 63, 8), (1 << 63, false));
    assert_eq!(Bit::Set.apply(0, u64::MAX, 2), (0x8000, false));
}

/// The processor's own answer: `$op` of `$a` with `$b` in the second register, and the flags after it.
macro_rules! processor {
    ($op:literal, $a:expr, $b:expr, $flags:expr) => {{
        let (mut a, flags): (u64, u64) = ($a, $flags);
        let after: u64;
        // SAFETY: 1. Arithmetic on registers; the flags are saved and restored through the stack.
        #[allow(unsafe_code)]
        unsafe {
            asm!("push {f}", "popfq", $op, "pushfq", "pop {f}",
                f = inout(reg) flags | 2 => after, a = inout(reg) a, in("rcx") $b);
        }
        (a, after)
    }};
}

/// Everything beside plain arithmetic, for many operands and both carries.
#[test]
fn other_operations_are_the_processors() {
    let values = [0u64, 1, 2, 0x7f, 0x80, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1234_5678];
    for a in values {
        for b in values {
            for flags in [0, status::CF, status::ZF | status::SF, status::OF | status::SF] {
                let carry = flags & status::CF != 0;
                let same = |(value, after): (u64, u64), found: u64, which: u64, set: u64| {
                    assert_eq!(found, value & 0xffff_ffff, "{a:#x} {b:#x}");
                    let expected = after & which | flags & status::ALL & !which;
                    assert_eq!(set & which | flags & !which, expected, "{a:#x} {b:#x} flags");
                };
                let (r, f) = Arithmetic::AddWithCarry.apply(a, b, 4, carry);
                same(processor!("adc {a:e}, ecx", a, b, flags), r, status::ALL, f);
                let (r, f) = Arithmetic::SubWithBorrow.apply(a, b, 4, carry);
                same(processor!("sbb {a:e}, ecx", a, b, flags), r, status::ALL, f);
                let (r, (w, f)) = Unary::Increment.apply(a, 4);
                same(processor!("inc {a:e}", a, b, flags), r, w, f);
                let (r, (w, f)) = Unary::Decrement.apply(a, 4);
                same(processor!("dec {a:e}", a, b, flags), r, w, f);
                let (r, (w, f)) = Unary::Negate.apply(a, 4);
                same(processor!("neg {a:e}", a, b, flags), r, w, f);
                let (r, (w, f)) = Unary::Not.apply(a, 4);
                same(processor!("not {a:e}", a, b, flags), r, w, f);
                let (r, (w, f)) = Shift::Left.apply(a, b, 4);
                same(processor!("shl {a:e}, cl", a, b, flags), r, w, f);
                let (r, (w, f)) = Shift::Right.apply(a, b, 4);
                same(processor!("shr {a:e}, cl", a, b, flags), r, w, f);
                let (r, (w, f)) = Shift::ArithmeticRight.apply(a, b, 4);
                same(processor!("sar {a:e}, cl", a, b, flags), r, w, f);
                let (r, (w, f)) = Shift::RotateLeft.apply(a, b, 4);
                same(processor!("rol {a:e}, cl", a, b, flags), r, w, f);
                let (r, (w, f)) = Shift::RotateRight.apply(a, b, 4);
                same(processor!("ror {a:e}, cl", a, b, flags), r, w, f);
                for (number, set) in [
                    (4, processor!("sete {a:l}", 0, 0u64, flags).0),
                    (5, processor!("setne {a:l}", 0, 0u64, flags).0),
                    (7, processor!("seta {a:l}", 0, 0u64, flags).0),
                    (12, processor!("setl {a:l}", 0, 0u64, flags).0),
                    (15, processor!("setg {a:l}", 0, 0u64, flags).0),
                    (2, processor!("setc {a:l}", 0, 0u64, flags).0),
                    (8, processor!("sets {a:l}", 0, 0u64, flags).0),
                    (10, processor!("setp {a:l}", 0, 0u64, flags).0),
                    (0, processor!("seto {a:l}", 0, 0u64, flags).0),
                ] {
                    assert_eq!(u64::from(condition(number, flags)), set, "{number} {flags:#x}");
                }
            }
        }
    }
}

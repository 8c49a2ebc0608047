//! Tests of [`super`].

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
    assert_eq!(
        code.modrm(prefixes),
        Some(ModRm { mode: 3, reg: 15, rm: 8, address: Address::default() })
    );
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

#[test]
fn addresses_are_computed() {
    let mut regs = UserRegs {
        rax: 0x1000,
        rcx: 0x10,
        rbx: 0x2_0300,
        rsp: 0x8000,
        rbp: 0x9000,
        rsi: 0xffff_fff0,
        rdi: 0x7,
        ..UserRegs::default()
    };
    for (bytes, offset, segment) in [
        (&[0xff, 0x18][..], 0x1000, Segment::Ds),   // (%eax)
        (&[0xff, 0x5d, 0xf8], 0x8ff8, Segment::Ss), // -8(%ebp)
        (&[0xff, 0x1d, 4, 3, 2, 1], 0x0102_0304, Segment::Ds), // 0x1020304
        (&[0xff, 0x1c, 0x24], 0x8000, Segment::Ss), // (%esp)
        (&[0xff, 0x5c, 0x8c, 4], 0x8044, Segment::Ss), // 4(%esp,%ecx,4)
        (&[0xff, 0x1c, 0xcd, 0, 0, 0, 0x80], 0x8000_0080, Segment::Ds), // 0x80000000(,%ecx,8)
        (&[0xff, 0x1c, 0x30], 0xff0, Segment::Ds),  // (%eax,%esi)
        (&[0x67, 0xff, 0x1f], 0x300, Segment::Ds),  // (%bx)
        (&[0x67, 0xff, 0x5a, 0xff], 0x8fef, Segment::Ss), // -1(%bp,%si)
        (&[0x67, 0xff, 0x1e, 0x34, 0x12], 0x1234, Segment::Ds), // 0x1234
        (&[0x67, 0xff, 0x9e, 0xff, 0xff], 0x8fff, Segment::Ss), // -1(%bp)
    ] {
        let mut code = Code::new(bytes, Mode::Bits32);
        let (prefixes, _) = code.opcode().unwrap();
        let address = code.modrm(prefixes).unwrap().address;
        assert_eq!((address.offset(&mut regs), address.segment()), (offset, segment), "{bytes:x?}");
        assert_eq!(code.length(), bytes.len() as u64);
    }
}

//! Privileged instructions that the ABI carries out, and those that it does not.

use pv_abi::physdev::{PHYSDEVOP_SET_IOBITMAP, PHYSDEVOP_SET_IOPL};
use pv_abi::x86_32::{PhysdevSetIobitmap, cr3_to_pfn};
use pv_abi::{hypercall as nr, vectors};
use pv_tests::check;
use pv_tests::guest::Guest;

/// A guest with handlers, in its kernel, on a stack.
fn guest() -> Guest {
    let mut guest = Guest::pv32();
    guest.handlers();
    guest.kernel_stack();
    guest
}

/// Executes an instruction that raises #GP(0); whether it was carried out.
fn execute(guest: &mut Guest, code: &[u8]) -> bool {
    let at = guest.code(code);
    guest.exception(vectors::GENERAL_PROTECTION, 0);
    if guest.at_handler() == Some(vectors::GENERAL_PROTECTION) {
        assert_eq!(guest.stack(), [0, at], "a fault leaves the guest at the instruction");
        return false;
    }
    assert_eq!(guest.regs.rip, u64::from(at) + code.len() as u64);
    true
}

/// `cpuid` with the prefix.
fn cpuid(guest: &mut Guest, leaf: u32, subleaf: u32) -> [u32; 4] {
    let at = guest.code(b"\x0f\x0bxen\x0f\xa2");
    (guest.regs.rax, guest.regs.rcx) = (leaf.into(), subleaf.into());
    guest.exception(vectors::INVALID_OPCODE, 0);
    assert_eq!(guest.regs.rip, u64::from(at) + 7);
    let r = &guest.regs;
    [r.rax, r.rbx, r.rcx, r.rdx].map(|r| u32::try_from(r).unwrap())
}

fn set_iopl(guest: &mut Guest, iopl: u32) {
    let at = guest.arg(&iopl);
    assert_eq!(guest.call(nr::PHYSDEV_OP, &[PHYSDEVOP_SET_IOPL.into(), at]), 0);
}

#[test]
fn control_registers_are_read() {
    let mut guest = guest();
    guest.regs.rbx = 0xffff_ffff_ffff;
    assert!(execute(&mut guest, &[0x0f, 0x20, 0xc3])); // mov %cr0,%ebx
    assert_eq!(guest.regs.rbx, 0x8005_0033);
    assert!(execute(&mut guest, &[0x0f, 0x20, 0xd8])); // mov %cr3,%eax
    assert_eq!(u64::from(cr3_to_pfn(guest.regs.rax as u32)), guest.root.raw());
    assert!(execute(&mut guest, &[0x0f, 0x20, 0xe1])); // mov %cr4,%ecx
    assert_eq!(guest.regs.rcx & 0x20, 0x20, "PAE");
    guest.page_fault(0x1234_5678, 0);
    assert!(execute(&mut guest, &[0x0f, 0x20, 0xd2])); // mov %cr2,%edx
    assert_eq!(guest.regs.rdx, 0x1234_5678);
    for absent in [1, 5, 6, 7] {
        assert!(!execute(&mut guest, &[0x0f, 0x20, 0xc0 | absent << 3]));
    }
}

#[test]
fn of_cr0_only_ts_may_change() {
    let mut guest = guest();
    guest.regs.rax = 0x8005_003b;
    assert!(execute(&mut guest, &[0x0f, 0x22, 0xc0]));
    assert!(guest.machine().this().task_switched);
    assert!(execute(&mut guest, &[0x0f, 0x20, 0xc3]));
    assert_eq!(guest.regs.rbx, 0x8005_003b);
    assert!(execute(&mut guest, &[0x0f, 0x06]));
    assert!(!guest.machine().this().task_switched);
    // Write protection off, paging off, caches off.
    for value in [0x8004_0033, 0x0005_0033, 0xc005_0033, 0] {
        guest.regs.rax = value;
        assert!(!execute(&mut guest, &[0x0f, 0x22, 0xc0]), "{value:#x}");
    }
}

#[test]
fn cr3_takes_valid_roots_only() {
    let mut guest = guest();
    assert!(execute(&mut guest, &[0x0f, 0x20, 0xd8]));
    assert!(execute(&mut guest, &[0x0f, 0x22, 0xd8]), "its own root");
    let page = guest.page();
    for mfn in [page.mfn.raw(), 0, 0xf_ffff] {
        guest.regs.rax = mfn << 12 | mfn >> 20;
        assert!(!execute(&mut guest, &[0x0f, 0x22, 0xd8]), "{mfn:#x}");
    }
    check::invariants(&guest.sys);
}

#[test]
fn cr2_and_cr4_are_the_guests() {
    let mut guest = guest();
    guest.regs.rax = 0xcafe;
    assert!(execute(&mut guest, &[0x0f, 0x22, 0xd0]));
    guest.regs.rax = 0xffff_ffff;
    assert!(execute(&mut guest, &[0x0f, 0x22, 0xe0]));
    assert!(execute(&mut guest, &[0x0f, 0x20, 0xd3]));
    assert_eq!(guest.regs.rbx, 0xcafe);
    assert!(execute(&mut guest, &[0x0f, 0x20, 0xe3]));
    assert_eq!(guest.regs.rbx, 0x4_066c, "PAE, MCE, OSFXSR, OSXMMEXCPT; TSD, DE, OSXSAVE");
    assert!(guest.machine().this().time_stamp_disabled);
    // With DE, DR4 and DR5 are gone: #UD, not #GP.
    guest.kernel_stack();
    guest.code(&[0x0f, 0x21, 0xe0]);
    guest.exception(vectors::GENERAL_PROTECTION, 0);
    assert_eq!(guest.at_handler(), Some(vectors::INVALID_OPCODE));
}

#[test]
fn debug_registers_are_moved() {
    let mut guest = guest();
    guest.regs.rax = 0xc000_1000;
    assert!(execute(&mut guest, &[0x0f, 0x23, 0xc8])); // mov %eax,%db1
    assert!(execute(&mut guest, &[0x0f, 0x21, 0xcb])); // mov %db1,%ebx
    assert_eq!(guest.regs.rbx, 0xc000_1000);
    assert_eq!(guest.machine().this().debug_registers[1], 0xc000_1000);
    assert!(execute(&mut guest, &[0x0f, 0x21, 0xfb]));
    assert_eq!(guest.regs.rbx, 0x400);
    guest.regs.rax = 0x2000;
    assert!(!execute(&mut guest, &[0x0f, 0x23, 0xf8]), "DR7.GD");
}

/// XSA-293: FSGSBASE is nobody's, so no guest can find its GS base changed by its users.
#[test]
fn xsa_293_cr4_fsgsbase_is_off_for_everybody() {
    let mut guest = guest();
    guest.regs.rax = 1 << 16;
    assert!(execute(&mut guest, &[0x0f, 0x22, 0xe0]));
    assert!(execute(&mut guest, &[0x0f, 0x20, 0xe3]));
    assert_eq!(guest.regs.rbx & 1 << 16, 0);
    assert_eq!(cpuid(&mut guest, 7, 0)[1] & 1, 0);
}

#[test]
fn io_needs_the_guests_own_permission() {
    let mut guest = guest();
    let inb = [0xe4, 0x61];
    assert!(!execute(&mut guest, &inb), "IOPL 0");
    set_iopl(&mut guest, 1);
    guest.regs.rax = 0x1122_3344;
    assert!(execute(&mut guest, &inb));
    assert_eq!(guest.regs.rax, 0x1122_3300);
    guest.regs.rdx = 0x20;
    assert!(execute(&mut guest, &[0x66, 0xed]));
    assert_eq!(guest.regs.rax, 0x1122_ffff, "not domain 0's");
    assert!(execute(&mut guest, &[0xed]));
    assert_eq!(guest.regs.rax, 0x0000_ffff, "half of it domain 0's");
    assert!(execute(&mut guest, &[0xef]), "half of it written");
    assert!(execute(&mut guest, &[0xfa]), "cli");
    assert!(execute(&mut guest, &[0xfb]), "sti");
    guest.in_user(0, 0x2000);
    assert!(!execute(&mut guest, &inb), "users need IOPL 3");
    guest.in_user(0, 0x2000);
    assert!(!execute(&mut guest, &[0xfa]));
    set_iopl(&mut guest, 3);
    guest.in_user(0, 0x2000);
    assert!(execute(&mut guest, &inb));
    assert!(execute(&mut guest, &[0xfa]));
}

#[test]
fn io_goes_by_the_guests_bitmap() {
    let mut guest = guest();
    let bitmap = guest.page();
    guest.write(bitmap.va, &[0xff_u8; 4096]);
    // Port 0x61, and 0x67 to 0x68 across a byte.
    guest.write(bitmap.va + 12, &[0x7d_u8, 0xf0]);
    let argument = PhysdevSetIobitmap { bitmap: bitmap.va as u32, nr_ports: 0x69, _pad: [] };
    let at = guest.arg(&argument);
    assert_eq!(guest.call(nr::PHYSDEV_OP, &[PHYSDEVOP_SET_IOBITMAP.into(), at]), 0);
    let mut user = |port: u64, code: &[u8]| {
        guest.in_user(0, 0x2000);
        guest.regs.rdx = port;
        execute(&mut guest, code)
    };
    let (byte, word, long) = (&[0xec][..], &[0x66, 0xed][..], &[0xed][..]);
    assert!(user(0x61, byte));
    assert!(!user(0x61, word), "0x62 is not allowed");
    assert!(!user(0x60, byte));
    assert!(user(0x67, byte));
    assert!(user(0x67, word));
    assert!(user(0x68, byte));
    assert!(!user(0x68, word), "beyond the bitmap's end, whatever the bits there say");
    assert!(!user(0x67, long));
    assert!(!user(0x69, byte));
    assert!(!user(0xffff, long));
    // The flags are no port.
    assert!(!user(0x61, &[0xfa]));
    // The bitmap goes away.
    assert_eq!(guest.call(nr::UPDATE_VA_MAPPING, &[bitmap.va, 0, 0, 2]), 0);
    guest.in_user(0, 0x2000);
    guest.regs.rdx = 0x61;
    assert!(!execute(&mut guest, byte));
}

#[test]
fn architectural_iopl_counts_the_kernel_as_ring_0() {
    let mut guest = guest();
    let bit = u64::from(pv_abi::vm_assist::VMASST_TYPE_ARCHITECTURAL_IOPL);
    assert_eq!(guest.call(nr::VM_ASSIST, &[0, bit]), 0);
    assert!(execute(&mut guest, &[0xe4, 0x61]));
    guest.in_user(0, 0x2000);
    assert!(!execute(&mut guest, &[0xe4, 0x61]));
}

#[test]
fn users_have_no_privileged_instructions() {
    let mut guest = guest();
    for code in [
        &[0x0f, 0x20, 0xc0][..],
        &[0x0f, 0x22, 0xd8],
        &[0x0f, 0x06],
        &[0x0f, 0x09],
        &[0x0f, 0x30],
        &[0x0f, 0x32],
        &[0x0f, 0x21, 0xc0],
        &[0xe4, 0x61],
        &[0xf4],
    ] {
        guest.in_user(0, 0x2000);
        assert!(!execute(&mut guest, code), "{code:x?}");
    }
}

#[test]
fn what_is_not_on_the_list_is_a_fault() {
    let mut guest = guest();
    set_iopl(&mut guest, 3);
    for code in [
        &[0xf4][..],         // hlt
        &[0x0f, 0x01, 0x10], // lgdt
        &[0x0f, 0x01, 0x18], // lidt
        &[0x0f, 0x01, 0xf0], // lmsw
        &[0x0f, 0x01, 0x38], // invlpg
        &[0x0f, 0x00, 0xd0], // lldt
        &[0x0f, 0x00, 0xd8], // ltr
        &[0x0f, 0x08],       // invd
        &[0x0f, 0x33],       // rdpmc
        &[0x66; 15],
        &[0x8e, 0xd8], // a bad selector in a mov
    ] {
        assert!(!execute(&mut guest, code), "{code:x?}");
    }
    assert!(execute(&mut guest, &[0x0f, 0x09]), "wbinvd, for the devices' domain");
    assert_eq!(guest.machine().this().cache_flushes, 1);
}

#[test]
fn code_may_end_with_its_page() {
    let mut guest = guest();
    let page = guest.page();
    let next = guest.page();
    assert_eq!(guest.call(nr::UPDATE_VA_MAPPING, &[next.va, 0, 0, 2]), 0);
    guest.write(page.va + 4094, &[0x0f_u8, 0x06]);
    guest.regs.rip = page.va + 4094;
    guest.exception(vectors::GENERAL_PROTECTION, 0);
    assert_eq!(guest.regs.rip, next.va);
    // Its last byte is missing; its code is missing.
    for rip in [page.va + 4095, next.va, 0xffff_ffff] {
        guest.regs.rip = rip;
        guest.kernel_stack();
        guest.exception(vectors::GENERAL_PROTECTION, 0);
        assert_eq!(guest.at_handler(), Some(13), "{rip:#x}");
    }
}

#[test]
fn a_single_step_traps_after_what_was_carried_out() {
    let mut guest = guest();
    let at = guest.code(&[0x0f, 0x06]);
    guest.regs.rflags |= 0x1_0100;
    guest.exception(vectors::GENERAL_PROTECTION, 0);
    assert_eq!(guest.at_handler(), Some(vectors::DEBUG));
    let [eip, _, eflags]: [u32; 3] = guest.stack();
    assert_eq!((eip, eflags & 0x1_0100), (at + 2, 0x100));
    assert_eq!(guest.enter(|ctx| ctx.state.debug_registers[6]) & 0x4000, 0x4000);
}

#[test]
fn without_the_whole_prefix_it_is_an_invalid_instruction() {
    for code in [&b"\x0f\x0b"[..], b"\x0f\x0bxeN\x0f\xa2", b"\x0f\x0bxen\x0f\x31", b"\x0f\x0bxen"] {
        let mut guest = guest();
        let at = guest.code(code);
        guest.exception(vectors::INVALID_OPCODE, 0);
        assert_eq!(guest.at_handler(), Some(6));
        assert_eq!(guest.stack(), [at]);
    }
}

/// The real interrupt flag stays on, whatever `cli` and `sti` are made of (XSA-202 was a real IF
/// cleared through an instruction that was changed under the emulator).
#[test]
fn xsa_202_the_real_interrupt_flag_stays_on() {
    let mut guest = guest();
    set_iopl(&mut guest, 3);
    for code in [&[0xfa][..], &[0xfb], &[0x66, 0xfa], &[0xf3, 0xfb]] {
        let masked = guest.upcalls_masked();
        assert!(execute(&mut guest, code));
        assert_eq!(guest.regs.rflags & 0x3200, 0x200, "{code:x?}: IF, IOPL");
        assert_eq!(guest.upcalls_masked(), masked);
    }
    // Instructions that change flags are not carried out.
    for code in [&[0x9d][..], &[0xcf], &[0x9c]] {
        assert!(!execute(&mut guest, code), "{code:x?}");
    }
}

/// XSA-186: instructions at the end of the address space are read up to there, not around it.
#[test]
fn xsa_186_no_instruction_comes_round_the_end() {
    let mut guest = guest();
    for back in 1..=16u64 {
        guest.kernel_stack();
        guest.regs.rip = 0x1_0000_0000 - back;
        guest.exception(vectors::GENERAL_PROTECTION, 0);
        assert_eq!(guest.at_handler(), Some(vectors::GENERAL_PROTECTION), "{back}");
        assert_eq!(guest.stack(), [0, 0u32.wrapping_sub(back as u32)]);
    }
}

/// XSA-66, XSA-190: there is no x87 instruction to emulate, so none with a wrong operand, and none
/// that could ignore CR0.TS.
#[test]
fn xsa_66_xsa_190_no_x87_instruction_is_emulated() {
    let mut guest = guest();
    set_iopl(&mut guest, 3);
    let page = guest.page();
    let x87 = (0xd8..=0xdf).flat_map(|first| (0..=0xff).map(move |second| [first, second]));
    let sse = [0x10, 0x11, 0x28, 0x29, 0x6f, 0x7f, 0xae].map(|second| [0x0f, second]);
    for code in x87.chain(sse) {
        guest.write(page.va, &code);
        (guest.regs.rip, guest.regs.rsp) = (page.va, page.va + 4096);
        guest.exception(vectors::GENERAL_PROTECTION, 0);
        assert_eq!(guest.at_handler(), Some(vectors::GENERAL_PROTECTION), "{code:x?}");
    }
}

/// A number that looks random, again the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }

    /// Code that begins like what is emulated, more often than chance would have it.
    fn code(&mut self) -> [u8; 16] {
        let mut code: [u8; 16] = zerocopy::transmute!([self.next(), self.next()]);
        const PREFIXES: [u8; 12] =
            [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66];
        const OPCODES: [&[u8]; 24] = [
            &[0x0f, 0x20],
            &[0x0f, 0x21],
            &[0x0f, 0x22],
            &[0x0f, 0x23],
            &[0x0f, 0x30],
            &[0x0f, 0x32],
            &[0x0f, 0x06],
            &[0x0f, 0x09],
            &[0x0f, 0x01, 0xd1],
            &[0x0f, 0x01, 0xf9],
            &[0x0f, 0x31],
            &[0xfa],
            &[0xfb],
            &[0x6c],
            &[0x6d],
            &[0x6e],
            &[0x6f],
            &[0xe4],
            &[0xe7],
            &[0xec],
            &[0xef],
            &[0x9a],
            &[0xea],
            &[0xff],
        ];
        let mut at = 0;
        while self.next().is_multiple_of(3) && at < 4 {
            code[at] = PREFIXES[self.next() as usize % PREFIXES.len()];
            at += 1;
        }
        if !self.next().is_multiple_of(4) {
            let opcode = OPCODES[self.next() as usize % OPCODES.len()];
            code[at..at + opcode.len()].copy_from_slice(opcode);
        }
        code
    }
}

/// What a guest's user could not have changed by executing anything.
fn privileged_state(guest: &mut Guest) -> impl PartialEq + std::fmt::Debug + use<> {
    let cpu = guest.machine().this();
    let processor = (
        cpu.task_switched,
        cpu.debug_registers,
        cpu.xcr0,
        cpu.tsc_aux,
        cpu.time_stamp_disabled,
        cpu.cache_flushes,
        cpu.root,
    );
    drop(cpu);
    let log = guest.machine().take_port_log();
    let state = guest.enter(|ctx| {
        let s = &ctx.state;
        (s.cr4, s.special, s.root, s.iopl, s.task_switched, s.debug_registers)
    });
    (processor, log, state)
}

/// Random code in Ring 3: it gets its fault or goes on right after it, and nothing that is the
/// kernel's changes.
#[test]
fn random_code_of_users_has_no_privileged_effect() {
    let mut guest = guest();
    let page = guest.page();
    assert_eq!(guest.update_va(page.va, page.maddr() | 0x67, 2), 0);
    guest.machine().this().data_segments = [pv_abi::x86_32::FLAT_USER_DS; 4];
    let mut random = Random(1);
    let before = privileged_state(&mut guest);
    for round in 0..30_000u64 {
        let code = random.code();
        guest.write(page.va, &code);
        guest.in_user(page.va as u32, page.va as u32 + 2048);
        for value in [&mut guest.regs.rax, &mut guest.regs.rcx, &mut guest.regs.rdx] {
            *value = random.next() & 0xffff_ffff;
        }
        let (vector, error) = match round % 3 {
            0 => (vectors::GENERAL_PROTECTION, 0),
            1 => (vectors::GENERAL_PROTECTION, random.next() as u32 & 0xfff8),
            _ => (vectors::INVALID_OPCODE, 0),
        };
        guest.exception(vector, error);
        let went_on = guest.regs.rip.wrapping_sub(page.va) <= 15 && guest.regs.cs & 3 == 3;
        assert!(went_on || guest.at_handler().is_some(), "{code:x?}");
        assert_eq!(privileged_state(&mut guest), before, "{code:x?}");
    }
    check::invariants(&guest.sys);
}

/// No bytes, flags or segments make the decoder panic, and nothing it does breaks an invariant;
/// the guest goes on within the instruction's length, or at a handler.
#[test]
fn no_code_upsets_the_decoder() {
    let mut guest = guest();
    set_iopl(&mut guest, 3);
    guest.call(nr::VM_ASSIST, &[0, 2]);
    let page = guest.page();
    let table = guest.va_of(guest.tables[1]);
    let ds = u64::from(pv_abi::x86_32::FLAT_KERNEL_DS);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..40_000u64 {
        guest.write(page.va, &random.code());
        guest.regs.rip = page.va;
        guest.regs.cs = if round % 7 == 0 { 0xe02b } else { 0xe019 };
        guest.regs.ss = 0xe021;
        guest.regs.rsp = page.va + 2048;
        let segment = if random.next().is_multiple_of(4) { random.next() } else { ds };
        guest.machine().this().data_segments = [segment as u16; 4];
        for value in [
            &mut guest.regs.rax,
            &mut guest.regs.rcx,
            &mut guest.regs.rdx,
            &mut guest.regs.rsi,
            &mut guest.regs.rdi,
        ] {
            *value = random.next() & 0xffff_ffff;
        }
        if random.next().is_multiple_of(2) {
            (guest.regs.rsi, guest.regs.rdi) = (page.va + 512, page.va + 1024);
        }
        match round % 4 {
            0 => guest.exception(vectors::GENERAL_PROTECTION, 0),
            1 => guest.exception(vectors::GENERAL_PROTECTION, random.next() as u32),
            2 => guest.exception(vectors::INVALID_OPCODE, 0),
            _ => guest.page_fault(table + (random.next() & 0xfff), 3),
        }
        let went_on = guest.regs.rip.wrapping_sub(page.va) <= 15;
        assert!(went_on || guest.at_handler().is_some(), "{:#x}", guest.regs.rip);
        assert_eq!(guest.regs.rflags & 0x3200, 0x200, "IF stays on, IOPL 0");
    }
    assert!(!guest.crashed());
    check::invariants(&guest.sys);
}

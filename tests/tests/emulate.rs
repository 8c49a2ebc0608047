//! Privileged instructions that the ABI carries out, and those that it does not.

use pv_abi::cpuid::{XEN_CPUID_FIRST_LEAF, XEN_CPUID_SIGNATURE_EBX};
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
    assert_eq!(guest.regs.rbx, 0x628, "PAE, OSFXSR, OSXMMEXCPT, DE");
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

#[test]
fn few_msrs_exist() {
    let mut guest = guest();
    (guest.regs.rcx, guest.regs.rax, guest.regs.rdx) = (0xc000_0080, !0, !0);
    assert!(execute(&mut guest, &[0x0f, 0x32]));
    assert_eq!((guest.regs.rax, guest.regs.rdx), (0x800, 0), "EFER.NXE, no long mode");
    assert!(execute(&mut guest, &[0x0f, 0x30]), "the same value");
    guest.regs.rax = 0xd01;
    assert!(!execute(&mut guest, &[0x0f, 0x30]));
    // SYSENTER's, the TSC, STAR, FS.base, the hypercall page, none.
    for index in [0x174, 0x10, 0xc000_0081, 0xc000_0100, 0x4000_0000, 0xffff_ffff] {
        guest.regs.rcx = index;
        assert!(!execute(&mut guest, &[0x0f, 0x32]), "{index:#x}");
        assert!(!execute(&mut guest, &[0x0f, 0x30]), "{index:#x}");
    }
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
        &[0x0f, 0x01, 0xd1], // xsetbv
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
fn cpuid_with_the_prefix_knows_the_hypervisor() {
    let mut guest = guest();
    let mut cpuid = |leaf: u32, subleaf: u32| {
        let code = b"\x0f\x0bxen\x0f\xa2";
        let at = guest.code(code);
        (guest.regs.rax, guest.regs.rcx) = (leaf.into(), subleaf.into());
        guest.exception(vectors::INVALID_OPCODE, 0);
        assert_eq!(guest.regs.rip, u64::from(at) + 7);
        let r = &guest.regs;
        [r.rax, r.rbx, r.rcx, r.rdx].map(|r| u32::try_from(r).unwrap())
    };
    let [max, ebx, ecx, edx] = cpuid(XEN_CPUID_FIRST_LEAF, 0);
    assert_eq!((max, ebx), (XEN_CPUID_FIRST_LEAF + 5, XEN_CPUID_SIGNATURE_EBX));
    let name: Vec<u8> = [ebx, ecx, edx].iter().flat_map(|w| w.to_le_bytes()).collect();
    assert_eq!(name, b"XenVMMXenVMM");
    assert_eq!(cpuid(XEN_CPUID_FIRST_LEAF + 1, 0), [4 << 16 | 17, 0, 0, 0]);
    assert_eq!(cpuid(XEN_CPUID_FIRST_LEAF + 2, 0)[2] & 1, 1);
    assert_eq!(cpuid(XEN_CPUID_FIRST_LEAF + 6, 0), [0; 4]);
    let [_, _, ecx, edx] = cpuid(1, 0);
    assert_eq!(ecx >> 31, 1, "a hypervisor");
    assert_eq!(ecx & (1 << 5 | 1 << 27), 0, "neither VMX nor XSAVE");
    assert_eq!(edx & (1 << 9 | 1 << 11), 0, "neither APIC nor SYSENTER");
    assert_eq!(cpuid(7, 0)[1] & (1 << 7 | 1 << 20), 0, "neither SMEP nor SMAP");
    assert_eq!(cpuid(0x8000_0001, 0)[3] & (1 << 29 | 1 << 11), 0, "no long mode");
    assert_eq!(cpuid(0xd, 0), [0; 4]);
    assert_eq!(cpuid(0x1234, 0), [0; 4]);
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

/// No bytes, flags or segments make the decoder panic, and nothing it does breaks an invariant.
#[test]
fn no_code_upsets_the_decoder() {
    let mut guest = guest();
    set_iopl(&mut guest, 3);
    guest.call(nr::VM_ASSIST, &[0, 2]);
    let page = guest.page();
    let table = guest.va_of(guest.tables[1]);
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed ^ seed >> 29
    };
    for round in 0..20_000u64 {
        guest.write(page.va, &[next(), next()]);
        guest.regs.rip = page.va;
        guest.regs.cs = if round % 7 == 0 { 0xe02b } else { 0xe019 };
        guest.regs.ss = 0xe021;
        guest.regs.rsp = page.va + 2048;
        for value in [&mut guest.regs.rax, &mut guest.regs.rcx, &mut guest.regs.rdx] {
            *value = next();
        }
        match round % 4 {
            0 => guest.exception(vectors::GENERAL_PROTECTION, 0),
            1 => guest.exception(vectors::GENERAL_PROTECTION, next() as u32),
            2 => guest.exception(vectors::INVALID_OPCODE, 0),
            _ => guest.page_fault(table + (next() & 0xfff), 3),
        }
    }
    assert!(!guest.crashed());
    check::invariants(&guest.sys);
}

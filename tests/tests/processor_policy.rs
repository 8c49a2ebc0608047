//! What a guest knows of its processor and may set of it: `cpuid`, MSRs, CR4, XCR0, the TSC.

use hypervisor::trap::control;
use hypervisor::trap::emulate::{cpuid, msr};
use pv_abi::cpuid::{XEN_CPUID_FIRST_LEAF, XEN_CPUID_SIGNATURE_EBX};
use pv_abi::x86_32::FLAT_KERNEL_CS;
use pv_abi::{hypercall as nr, vectors};
use pv_tests::guest::{Guest, Spec};

fn guest() -> Guest {
    let mut guest = Guest::pv32();
    guest.handlers();
    guest.kernel_stack();
    guest
}

fn unprivileged() -> Guest {
    let mut guest = Guest::with(Spec { privileged: false, id: 3, ..Spec::default() });
    guest.handlers();
    guest.kernel_stack();
    guest
}

/// A leaf as `cpuid` with the prefix gives it to the kernel.
fn leaf(guest: &mut Guest, leaf: u32, subleaf: u32) -> [u32; 4] {
    guest.regs.entry_vector = vectors::INVALID_OPCODE.into();
    guest.enter(|ctx| cpuid::leaf(ctx, leaf, subleaf))
}

fn read(guest: &mut Guest, index: u32) -> Option<u64> {
    guest.enter(|ctx| msr::read(ctx, index))
}

fn write(guest: &mut Guest, index: u32, value: u64) -> bool {
    guest.enter(|ctx| msr::write(ctx, index, value)).is_ok()
}

/// Executes an instruction that raises #GP(0); whether it was carried out.
fn execute(guest: &mut Guest, code: &[u8]) -> bool {
    let at = guest.code(code);
    guest.exception(vectors::GENERAL_PROTECTION, 0);
    if guest.at_handler().is_some() {
        guest.kernel_stack();
        guest.regs.cs = FLAT_KERNEL_CS;
        return false;
    }
    assert_eq!(guest.regs.rip, u64::from(at) + code.len() as u64);
    true
}

fn vendor(guest: &Guest, name: &[u8; 12]) {
    let word = |n: usize| u32::from_le_bytes(name[4 * n..][..4].try_into().unwrap());
    let leaf = [0x20, word(0), word(2), word(1)];
    guest.machine().this().cpuid.insert((0, 0), leaf);
}

#[test]
fn the_hypervisor_shows_itself() {
    let mut guest = guest();
    let [max, ebx, ecx, edx] = leaf(&mut guest, XEN_CPUID_FIRST_LEAF, 0);
    assert_eq!((max, ebx), (XEN_CPUID_FIRST_LEAF + 5, XEN_CPUID_SIGNATURE_EBX));
    let name: Vec<u8> = [ebx, ecx, edx].iter().flat_map(|w| w.to_le_bytes()).collect();
    assert_eq!(name, b"XenVMMXenVMM");
    assert_eq!(leaf(&mut guest, XEN_CPUID_FIRST_LEAF + 1, 0), [4 << 16 | 17, 0, 0, 0]);
    assert_eq!(leaf(&mut guest, XEN_CPUID_FIRST_LEAF + 2, 0), [1, 0x4000_0000, 1, 0]);
    // A TSC of 1 GHz that is stable, with RDTSCP.
    assert_eq!(leaf(&mut guest, XEN_CPUID_FIRST_LEAF + 3, 0), [6, 0, 1_000_000, 0]);
    assert_eq!(leaf(&mut guest, XEN_CPUID_FIRST_LEAF + 3, 1), [0, 0, 1 << 31, 1]);
    assert_eq!(leaf(&mut guest, XEN_CPUID_FIRST_LEAF + 3, 2), [1_000_000, 0, 0, 0]);
    assert_eq!(leaf(&mut guest, XEN_CPUID_FIRST_LEAF + 4, 0), [0; 4], "HVM's");
    assert_eq!(leaf(&mut guest, XEN_CPUID_FIRST_LEAF + 5, 0), [0, 0x28, 0, 0]);
    assert_eq!(leaf(&mut guest, XEN_CPUID_FIRST_LEAF + 6, 0), [0; 4]);
}

#[test]
fn features_are_those_that_a_pv32_guest_can_use() {
    let mut guest = unprivileged();
    let [_, ebx, ecx, edx] = leaf(&mut guest, 1, 0);
    assert_eq!(ebx >> 24, 0, "no APIC id");
    assert_eq!(ecx, 0xf6d8_1203 & !(1 << 13) | 1 << 27, "no MONITOR, VMX, CX16, PCID, x2APIC");
    assert_eq!(edx, 0x1f89_c3f5, "no VME, PSE, SEP, MTRR, PGE, PSE-36, ACPI");
    let [max, ebx, ecx, edx] = leaf(&mut guest, 7, 0);
    assert_eq!((max, ebx), (1, 0x218c_2368), "no FSGSBASE, SMEP, INVPCID, RTM, SMAP, AVX-512");
    assert_eq!((ecx, edx), (0x0240_0701, 0x4410), "no UMIP, PKU; no IBRS");
    assert_eq!(leaf(&mut guest, 7, 1), [0x1c10, 0, 0, 0]);
    assert_eq!(leaf(&mut guest, 7, 2), [0; 4]);
    let [_, _, ecx, edx] = leaf(&mut guest, 0x8000_0001, 0);
    assert_eq!((ecx, edx), (0x0021_09e2, 0xca50_0000), "no LAHF, SVM; no SYSCALL, LM");
    for hidden in [3, 5, 6, 8, 9, 0xa, 0xb, 0xc, 0xe, 0x1234, 0x2000_0000, 0x8000_0009] {
        assert_eq!(leaf(&mut guest, hidden, 0), [0; 4], "{hidden:#x}");
    }
    assert_eq!(leaf(&mut guest, 0, 0)[0], 0xd);
    assert_eq!(leaf(&mut guest, 0x8000_0000, 0)[0], 0x8000_0008);
    assert_eq!(leaf(&mut guest, 0x8000_0007, 0), [0; 4]);
    assert_eq!(leaf(&mut guest, 0x8000_0008, 0), [0x3028, 5, 0, 0]);
}

#[test]
fn the_hardware_domains_kernel_sees_more() {
    let mut guest = guest();
    let [_, _, ecx, edx] = leaf(&mut guest, 1, 0);
    assert_eq!((ecx >> 7 & 1, edx >> 12 & 1), (1, 1), "EIST, MTRR");
    assert_eq!(leaf(&mut guest, 0x8000_0007, 0), [0, 0, 0, 0x100]);
    guest.in_user(0, 0x2000);
    let [_, _, ecx, edx] = leaf(&mut guest, 1, 0);
    assert_eq!((ecx >> 7 & 1, edx >> 12 & 1), (0, 0));
    assert_eq!(ecx >> 27 & 1, 0, "OSXSAVE, until its kernel sets it");
    guest.enter(|ctx| control::write(ctx, 4, control::CR4_OSXSAVE)).unwrap();
    assert_eq!(leaf(&mut guest, 1, 0)[2] >> 27 & 1, 1);
}

#[test]
fn a_machine_with_less_shows_less() {
    let mut guest = guest();
    // No AVX.
    guest.machine().this().cpuid.insert((0xd, 0), [3, 0x240, 0x240, 0]);
    assert_eq!(leaf(&mut guest, 1, 0)[2] & 0x3000_1000, 0, "AVX, F16C, FMA");
    assert_eq!(leaf(&mut guest, 7, 0)[1] & 0x20, 0, "AVX2");
    assert_eq!(leaf(&mut guest, 7, 0)[2] & 0x600, 0, "VAES, VPCLMULQDQ");
    assert_eq!(leaf(&mut guest, 0xd, 0), [3, 576, 576, 0]);
    assert_eq!(leaf(&mut guest, 0xd, 2), [0; 4]);
    // No XSAVE.
    guest.machine().this().cpuid.insert((1, 0), [!0, !0, !(1 << 26), !0]);
    assert_eq!(leaf(&mut guest, 1, 0)[2] & 0x3c00_1000, 0);
    assert_eq!(leaf(&mut guest, 0xd, 0), [0; 4]);
    guest.enter(|ctx| control::write(ctx, 4, !0)).unwrap();
    assert_eq!(guest.enter(|ctx| control::read(ctx, 4)).unwrap() & control::CR4_OSXSAVE, 0);
    assert!(guest.enter(|ctx| control::set_xcr(ctx, 0, 1)).is_err());
    // An old one.
    guest.machine().this().cpuid.insert((0, 0), [2, 0, 0, 0]);
    assert_eq!(leaf(&mut guest, 4, 0), [0; 4]);
    assert_eq!(leaf(&mut guest, 0, 0), [2, 0, 0, 0]);
}

#[test]
fn amd_repeats_features() {
    let mut guest = unprivileged();
    vendor(&guest, b"AuthenticAMD");
    assert_eq!(leaf(&mut guest, 0x8000_0001, 0)[3] & 0x0183_f3ff, 0x0181_c3f5);
}

/// XSA-54: what reaches the processor's XCR0 is what it accepts.
#[test]
fn xsa_54_xsetbv_checks_its_operands() {
    let mut guest = guest();
    let xsetbv = |guest: &mut Guest, number: u64, value: u64| {
        (guest.regs.rcx, guest.regs.rax, guest.regs.rdx) =
            (number, value & 0xffff_ffff, value >> 32);
        execute(guest, &[0x0f, 0x01, 0xd1])
    };
    assert!(!xsetbv(&mut guest, 0, 7), "without CR4.OSXSAVE");
    guest.enter(|ctx| control::write(ctx, 4, control::CR4_OSXSAVE)).unwrap();
    // Another register; x87 off; AVX without SSE; features that are not offered or do not exist.
    for (number, value) in [
        (1, 7),
        (!0, 7),
        (0, 0),
        (0, 2),
        (0, 6),
        (0, 5),
        (0, 0xe7),
        (0, 0xf),
        (0, 7 | 1 << 62),
        (0, !0),
    ] {
        assert!(!xsetbv(&mut guest, number & 0xffff_ffff, value), "{number:#x} {value:#x}");
        assert_eq!(guest.machine().this().xcr0, None);
    }
    assert_eq!(leaf(&mut guest, 0xd, 0), [7, 576, 832, 0]);
    assert!(xsetbv(&mut guest, 0, 7));
    assert_eq!(guest.machine().this().xcr0, Some((7, 4)), "AVX is new: its state is made initial");
    assert_eq!(leaf(&mut guest, 0xd, 0), [7, 832, 832, 0]);
    assert_eq!(leaf(&mut guest, 0xd, 1)[0], 7, "no XSAVES");
    assert!(xsetbv(&mut guest, 0, 1));
    assert_eq!(guest.machine().this().xcr0, Some((1, 0)));
    // What was on before is saved still, so it comes back as it was.
    assert_eq!(guest.enter(|ctx| ctx.state.special.xcr0_ever), 7);
    assert!(xsetbv(&mut guest, 0, 7));
    assert_eq!(guest.machine().this().xcr0, Some((7, 0)));
    guest.in_user(0, 0x2000);
    assert!(!xsetbv(&mut guest, 0, 1), "in Ring 3");
}

#[test]
fn rdtsc_traps_for_users_under_tsd() {
    let mut guest = guest();
    guest.machine().advance_ns(0x1_2345_6789);
    guest.enter(|ctx| control::write(ctx, 4, control::CR4_TSD)).unwrap();
    assert!(guest.machine().this().time_stamp_disabled);
    assert!(execute(&mut guest, &[0x0f, 0x31]), "the kernel's is carried out");
    assert_eq!((guest.regs.rdx, guest.regs.rax), (1, 0x2345_6789));
    assert!(write(&mut guest, 0xc000_0103, 77));
    assert_eq!(guest.machine().this().tsc_aux, 77);
    assert!(execute(&mut guest, &[0x0f, 0x01, 0xf9]), "rdtscp");
    assert_eq!((guest.regs.rdx, guest.regs.rcx), (1, 77));
    guest.in_user(0, 0x2000);
    assert!(!execute(&mut guest, &[0x0f, 0x31]), "its users' is not");
    guest.enter(|ctx| control::write(ctx, 4, 0)).unwrap();
    assert!(!guest.machine().this().time_stamp_disabled);
}

#[test]
fn msrs_of_every_processor() {
    let mut guest = guest();
    guest.machine().advance_ns(5);
    assert_eq!(read(&mut guest, 0x10), Some(5), "TSC");
    assert_eq!(read(&mut guest, 0x1b), Some(0xfee0_0900), "APIC_BASE of vCPU 0");
    assert_eq!(read(&mut guest, 0x277), Some(0x0007_0406_0007_0406), "PAT");
    assert_eq!(read(&mut guest, 0xc000_0080), Some(0x800), "EFER: NXE");
    for zero in [0, 1, 0xce, 0x140, 0x179, 0x17a, 0x345, 0xc001_001f] {
        assert_eq!(read(&mut guest, zero), Some(0), "{zero:#x}");
    }
    for same in [0x277, 0xc000_0080, 0, 1, 0x140, 0x179, 0x17a, 0x345] {
        let value = read(&mut guest, same).unwrap();
        assert!(write(&mut guest, same, value), "{same:#x}");
        assert!(!write(&mut guest, same, value ^ 0x100), "{same:#x}");
    }
    for refused in [0x10, 0x1b, 0xce, 0x174, 0xc000_0081, 0xc000_0082, 0xffff_ffff] {
        assert!(!write(&mut guest, refused, 0), "{refused:#x}");
    }
    for absent in [0x174, 0x48, 0x49, 0x10b, 0x10a, 0x400, 0x6e0, 0x802, 0xda0, 0xc000_0081] {
        assert_eq!(read(&mut guest, absent), None, "{absent:#x}");
    }
    assert_eq!(read(&mut guest, 0x4000_0000), None);
    assert!(!write(&mut guest, 0xc000_0103, 1 << 32), "TSC_AUX has 32 bits");
    assert_eq!(read(&mut guest, 0xc000_0103), Some(0));
}

/// XSA-193: a 32-bit guest has no segment bases in MSRs, so none that is not canonical.
#[test]
fn xsa_193_a_pv32_guest_has_no_segment_base_registers() {
    let mut guest = guest();
    for index in [0xc000_0100, 0xc000_0101, 0xc000_0102] {
        assert_eq!(read(&mut guest, index), None);
        for value in [0, 0x8000_0000_0000, !0] {
            assert!(!write(&mut guest, index, value), "{index:#x} {value:#x}");
        }
    }
}

/// XSA-333: MISC_ENABLE is Intel's; on another processor it is not touched.
#[test]
fn xsa_333_misc_enable_is_intels() {
    let mut guest = guest();
    guest.machine().this().msrs.insert(0x1a0, 0x0084_0089);
    assert_eq!(read(&mut guest, 0x1a0), Some(0x0080_1809), "no counters, no MONITOR");
    assert!(write(&mut guest, 0x1a0, 0), "to no effect");
    assert_eq!(read(&mut guest, 0x1a0), Some(0x0080_1809));
    vendor(&guest, b"AuthenticAMD");
    assert_eq!(read(&mut guest, 0x1a0), None);
    assert!(!write(&mut guest, 0x1a0, 0));
    // An Intel that has none after all.
    vendor(&guest, b"GenuineIntel");
    guest.machine().this().msrs.clear();
    assert_eq!(read(&mut guest, 0x1a0), None);
    assert!(!write(&mut guest, 0x1a0, 0));
}

#[test]
fn msrs_of_a_vendor() {
    let mut guest = guest();
    guest.machine().this().msrs.extend([(0x8b, 0x12_0000_0000), (0x17, 4)]);
    assert_eq!(read(&mut guest, 0x8b), Some(0x12_0000_0000));
    assert!(write(&mut guest, 0x8b, 0) && !write(&mut guest, 0x8b, 1));
    assert_eq!(read(&mut guest, 0x17), Some(4));
    assert_eq!(read(&mut guest, 0x3a), Some(1));
    assert!(!write(&mut guest, 0x3a, 1) && !write(&mut guest, 0x17, 4));
    for zero in [0x198, 0x199, 0x19c, 0xc1, 0xc8, 0x186, 0x30b, 0x38f] {
        assert_eq!(read(&mut guest, zero), Some(0), "{zero:#x}");
    }
    for ignored in [0x199, 0x19a, 0x1b0, 0xe7, 0xe8, 0xc1, 0x189, 0x390, 0xc001_001f] {
        assert!(write(&mut guest, ignored, 0x1234), "{ignored:#x}");
    }
    for amd in [0xc001_0000, 0xc001_0015, 0xc001_0064, 0xc001_0200, 0xc001_1029] {
        assert_eq!(read(&mut guest, amd), None, "{amd:#x}");
        assert!(!write(&mut guest, amd, 0), "{amd:#x}");
    }
    vendor(&guest, b"AuthenticAMD");
    for (amd, value) in [
        (0xc001_0000, 0),
        (0xc001_0015, 0),
        (0xc001_0064, 0),
        (0xc001_0200, 0),
        (0xc001_1029, 2),
        (0x8b, 0x12_0000_0000),
    ] {
        assert_eq!(read(&mut guest, amd), Some(value), "{amd:#x}");
    }
    assert!(write(&mut guest, 0xc001_1029, 0) && write(&mut guest, 0xc001_0015, 0));
    for intel in [0x17, 0x3a, 0x198, 0x199, 0x19c, 0xc1, 0x186] {
        assert_eq!(read(&mut guest, intel), None, "{intel:#x}");
    }
    assert!(!write(&mut guest, 0x8b, 0), "the microcode's revision is read only");
    // XSA-444's masks.
    for mask in [0xc001_1019, 0xc001_101a, 0xc001_101b, 0xc001_1027] {
        assert_eq!(read(&mut guest, mask), None);
        assert!(!write(&mut guest, mask, 0xfff));
    }
}

#[test]
fn a_kernel_without_a_handler_may_probe() {
    let mut guest = Guest::pv32();
    guest.machine().this().msrs.extend([(0x123, 9), (0x4000_0001, 9)]);
    assert_eq!(read(&mut guest, 0x123), Some(0), "it exists");
    assert_eq!(read(&mut guest, 0x124), None);
    assert_eq!(read(&mut guest, 0x4000_0001), None);
    guest.handlers();
    assert_eq!(read(&mut guest, 0x123), None);
}

#[test]
fn a_hypercall_page_is_made_where_it_may_be_written() {
    let mut guest = guest();
    let page = guest.page();
    assert!(!write(&mut guest, 0x4000_0000, page.maddr() + 1), "there is one");
    assert!(write(&mut guest, 0x4000_0000, page.maddr()));
    // mov $29, %eax; int $0x82; ret
    assert_eq!(guest.read::<[u8; 8]>(page.va + 29 * 32), [0xb8, 29, 0, 0, 0, 0xcd, 0x82, 0xc3]);
    assert_eq!(guest.read::<u8>(page.va + 23 * 32), 0x50, "iret pushes eax");
    assert_eq!(guest.read::<u8>(page.va + 127 * 32), 0xb8);
    for bad in [guest.tables[0].raw() << 12, 0, 0xf_ffff_f000] {
        assert!(!write(&mut guest, 0x4000_0000, bad), "{bad:#x}");
    }
    let mut other =
        Guest::on(guest.sys.clone(), Spec { privileged: false, id: 5, ..Spec::default() });
    assert!(!write(&mut other, 0x4000_0000, page.maddr()), "another domain's");
    pv_tests::check::invariants(&guest.sys);
}

#[test]
fn breakpoints_on_ports_are_met_by_the_emulation() {
    let mut guest = guest();
    let at = guest.arg(&1u32);
    assert_eq!(guest.call(nr::PHYSDEV_OP, &[pv_abi::physdev::PHYSDEVOP_SET_IOPL.into(), at]), 0);
    let set = |guest: &mut Guest, register: u64, value: u64| {
        guest.call(nr::SET_DEBUGREG, &[register, value])
    };
    // DR1 at ports 0x300 to 0x303, enabled.
    assert_eq!(set(&mut guest, 1, 0x301), 0);
    let dr7 = 0x00e0_0008;
    assert_eq!(set(&mut guest, 7, dr7), -1, "EPERM without CR4.DE");
    guest.enter(|ctx| control::write(ctx, 4, control::CR4_DE)).unwrap();
    assert_eq!(set(&mut guest, 7, dr7), 0);
    assert_eq!(guest.machine().this().debug_registers[7], 0x00e0_0400, "not in the processor");
    assert_eq!(guest.call(nr::GET_DEBUGREG, &[7]), 0x00e0_0408);
    guest.kernel_stack();
    for (port, bytes, meets) in
        [(0x2ff, 1, false), (0x2ff, 4, true), (0x300, 1, true), (0x303, 1, true), (0x304, 4, false)]
    {
        let code: &[u8] = if bytes == 1 { &[0xee] } else { &[0xef] };
        let at = guest.code(code);
        guest.regs.rdx = port;
        guest.exception(vectors::GENERAL_PROTECTION, 0);
        let met = guest.at_handler() == Some(vectors::DEBUG);
        assert_eq!(met, meets, "{port:#x}");
        if met {
            assert_eq!(guest.stack::<1>(), [at + 1], "after the instruction");
            assert_eq!(guest.enter(|ctx| ctx.state.debug_registers[6]) & 0xf, 2);
            assert_eq!(set(&mut guest, 6, 0), 0);
            guest.kernel_stack();
        }
    }
    assert_eq!(set(&mut guest, 7, 0), 0);
    assert_eq!(guest.call(nr::GET_DEBUGREG, &[7]), 0x400);
}

/// XSA-12: the upper halves of DR6 and DR7 are reserved, and no guest gets bits into them.
#[test]
fn xsa_12_upper_halves_of_dr6_and_dr7_are_refused() {
    let spec = Spec {
        width: hypervisor::width::Width::Pv64,
        base: 0xffff_ffff_8000_0000,
        ..Spec::default()
    };
    let mut guest = Guest::with(spec);
    for register in [6, 7] {
        for bit in 32..64 {
            assert_eq!(guest.call(nr::SET_DEBUGREG, &[register, 1 << bit]), -22);
        }
        assert_eq!(
            guest.call(nr::SET_DEBUGREG, &[register, 0xffff_ffff & !0x2000 & !0xffff_0000]),
            0
        );
    }
    let real = guest.machine().this().debug_registers;
    assert_eq!((real[6], real[7]), (0xffff_ffff & !0x1000 & !0x2000 | 0xff0, 0x7ff));
}

/// XSA-444: no breakpoint lies where the hypervisor is.
#[test]
fn xsa_444_breakpoints_are_at_the_guests_own_addresses() {
    let mut guest = guest();
    for register in 0..4u64 {
        assert_eq!(guest.call(nr::SET_DEBUGREG, &[register, 0xffff_ffff]), 0);
    }
    let spec = Spec {
        width: hypervisor::width::Width::Pv64,
        base: 0xffff_ffff_8000_0000,
        ..Spec::default()
    };
    let mut guest = Guest::with(spec);
    for address in [0xffff_8000_0000_0000, 0xffff_87ff_ffff_ffff, 0xffff_8200_0000_0000] {
        for register in 0..4 {
            assert_eq!(guest.call(nr::SET_DEBUGREG, &[register, address]), -1);
        }
    }
}

/// XSA-265: a cause of a #DB is told once.
#[test]
fn xsa_265_causes_of_debug_exceptions_do_not_stick() {
    let mut guest = guest();
    guest.machine().this().debug_status = 0xffff_0ff1;
    guest.exception(vectors::DEBUG, 0);
    assert_eq!(guest.enter(|ctx| ctx.state.debug_registers[6]), 0xffff_0ff1);
    assert_eq!(guest.machine().this().debug_status, 0, "the processor's is reset");
    assert_eq!(guest.call(nr::SET_DEBUGREG, &[6, 0]), 0);
    guest.kernel_stack();
    guest.exception(vectors::DEBUG, 0);
    assert_eq!(guest.enter(|ctx| ctx.state.debug_registers[6]), 0xffff_0ff0);
}

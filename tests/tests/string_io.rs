//! `ins` and `outs`: operands as the processor would check them, and long ones in parts.

use pv_abi::x86_32::FLAT_KERNEL_DS;
use pv_abi::{hypercall as nr, vectors};
use pv_tests::guest::Guest;
use pv_tests::machine::PortAccess::Write;

const PORT: u64 = 0x300;
const INSB: [u8; 1] = [0x6c];
const REP_INSB: [u8; 2] = [0xf3, 0x6c];
const REP_OUTSB: [u8; 2] = [0xf3, 0x6e];
const REP_OUTSL: [u8; 2] = [0xf3, 0x6f];

/// Data for the kernel's ring: 16 bytes at `base`, growing up; code that may not be read.
fn small(base: u64) -> u64 {
    0x0040_b300_0000_000f | (base & 0xff_ffff) << 16 | (base >> 24) << 56
}
const READ_ONLY: u64 = 0x00cf_b100_0000_ffff;
const EXECUTE_ONLY: u64 = 0x00cf_b900_0000_ffff;
const READABLE_CODE: u64 = 0x00cf_bb00_0000_ffff;
const ABSENT: u64 = 0x00cf_3300_0000_ffff;

fn guest() -> Guest {
    let mut guest = Guest::pv32();
    guest.handlers();
    guest.kernel_stack();
    guest.machine().this().data_segments = [FLAT_KERNEL_DS; 4];
    let at = guest.arg(&1u32);
    assert_eq!(guest.call(nr::PHYSDEV_OP, &[pv_abi::physdev::PHYSDEVOP_SET_IOPL.into(), at]), 0);
    guest.regs.rdx = PORT;
    guest
}

fn cr2(guest: &mut Guest) -> u64 {
    guest.enter(|ctx| hypervisor::trap::control::read(ctx, 2)).expect("CR2 exists")
}

/// Executes the instruction until it is done or has caused an exception, which is returned with
/// its error code. The second number says how often it trapped.
fn execute(guest: &mut Guest, code: &[u8]) -> (Option<(u8, u32)>, u32) {
    let at = u64::from(guest.code(code));
    for traps in 1..1000 {
        guest.exception(vectors::GENERAL_PROTECTION, 0);
        if guest.regs.rip == at + code.len() as u64 {
            return (None, traps);
        }
        if guest.regs.rip != at {
            let vector = guest.at_handler().expect("an exception's handler");
            let [code, eip]: [u32; 2] = guest.stack();
            assert_eq!(u64::from(eip), at, "a fault leaves the guest at the instruction");
            guest.kernel_stack();
            return (Some((vector, code)), traps);
        }
    }
    panic!("it never ends");
}

#[test]
fn one_element() {
    let mut guest = guest();
    let page = guest.page();
    guest.machine().devices().ports.insert(0x300, 0xab);
    guest.regs.rdi = page.va + 5;
    guest.regs.rcx = 77;
    assert_eq!(execute(&mut guest, &INSB), (None, 1));
    assert_eq!(guest.read::<u8>(page.va + 5), 0xab);
    assert_eq!((guest.regs.rdi, guest.regs.rcx), (page.va + 6, 77));
    guest.machine().take_port_log();
    guest.write(page.va, &0x1122_3344u32);
    guest.regs.rsi = page.va;
    guest.regs.rflags |= 0x400;
    assert_eq!(execute(&mut guest, &[0x66, 0x6f]), (None, 1), "outsw, downwards");
    assert_eq!(guest.machine().take_port_log(), [Write(0x300, 2, 0x3344)]);
    assert_eq!(guest.regs.rsi, page.va - 2);
}

#[test]
fn many_elements_come_in_parts() {
    let mut guest = guest();
    let page = guest.page();
    for i in 0..100u64 {
        guest.write(page.va + 4 * i, &(i as u32));
    }
    (guest.regs.rsi, guest.regs.rcx) = (page.va, 100);
    assert_eq!(execute(&mut guest, &REP_OUTSL), (None, 4));
    let expected: Vec<_> = (0..100).map(|i| Write(0x300, 4, i)).collect();
    assert_eq!(guest.machine().take_port_log(), expected);
    assert_eq!((guest.regs.rsi, guest.regs.rcx), (page.va + 400, 0));
    // An upcall that is due comes between.
    guest.regs.rcx = 0;
    assert_eq!(execute(&mut guest, &REP_INSB), (None, 1), "none at all");
    assert_eq!(guest.machine().take_port_log(), []);
}

#[test]
fn sixteen_bit_addresses_wrap() {
    let mut guest = guest();
    (guest.regs.rdi, guest.regs.rcx) = (0x1234_fffe, 0x5678_0001);
    // 16 bits of each count: one element at 0xfffe, where nothing is mapped.
    assert_eq!(execute(&mut guest, &[0xf3, 0x67, 0x6c]), (Some((14, 2)), 1));
    assert_eq!(cr2(&mut guest), 0xfffe);
}

/// XSA-67: the operand of `outs` is read through its own segment, with that segment's base,
/// limit and rights.
#[test]
fn xsa_67_outs_reads_through_the_segment_that_it_names() {
    let mut guest = guest();
    let (mine, other) = (guest.page(), guest.page());
    guest.set_gdt(&[0, small(mine.va), READ_ONLY, EXECUTE_ONLY, READABLE_CODE, ABSENT]);
    guest.regs.rdx = PORT;
    guest.write(mine.va, &[1u8, 2, 3, 4]);
    guest.write(other.va, &[9u8; 16]);
    guest.machine().this().data_segments = [FLAT_KERNEL_DS, FLAT_KERNEL_DS, 0x09, 0x21];
    // fs:1, where fs begins at the page.
    guest.regs.rsi = 1;
    assert_eq!(execute(&mut guest, &[0x64, 0x6e]), (None, 1));
    assert_eq!(guest.machine().take_port_log(), [Write(0x300, 1, 2)]);
    // The limit is kept to the byte: the last four, and one further.
    guest.regs.rsi = 12;
    assert_eq!(execute(&mut guest, &[0x64, 0x6f]), (None, 1));
    guest.regs.rsi = 13;
    assert_eq!(execute(&mut guest, &[0x64, 0x6f]), (Some((13, 0)), 1));
    // A repeated one stops at the limit, with what was done done.
    (guest.regs.rsi, guest.regs.rcx) = (10, 20);
    guest.machine().take_port_log();
    assert_eq!(execute(&mut guest, &[0xf3, 0x64, 0x6e]), (Some((13, 0)), 1));
    assert_eq!(guest.machine().take_port_log().len(), 6);
    assert_eq!((guest.regs.rsi, guest.regs.rcx), (16, 14));
    // gs: code that may be read.
    guest.regs.rsi = other.va;
    assert_eq!(execute(&mut guest, &[0x65, 0x6e]), (None, 1));
    guest.machine().take_port_log();
    // Null, execute-only, absent, stale, past the table; ss is #SS.
    for selector in [0, 3, 0x19, 0x29, 0x31, 0x1009, 0xffff] {
        guest.machine().this().data_segments[0] = selector;
        guest.regs.rsi = other.va;
        assert_eq!(execute(&mut guest, &[0x6e]), (Some((13, 0)), 1), "{selector:#x}");
    }
    guest.regs.rsi = other.va;
    let (ss, esp) = (guest.regs.ss, guest.regs.rsp);
    guest.regs.ss = 0x19;
    let at = guest.code(&[0x36, 0x6e]);
    guest.regs.cs = pv_abi::x86_32::FLAT_KERNEL_CS;
    guest.exception(vectors::GENERAL_PROTECTION, 0);
    // Its frame is pushed on that very segment, whose base is 0.
    assert_eq!(guest.at_handler(), Some(vectors::STACK_SEGMENT));
    assert_eq!(guest.stack::<2>(), [0, at]);
    (guest.regs.ss, guest.regs.rsp) = (ss, esp);
    assert_eq!(guest.machine().take_port_log(), [], "nothing was written");
}

#[test]
fn ins_writes_what_may_be_written_only() {
    let mut guest = guest();
    let page = guest.page();
    guest.set_gdt(&[0, small(page.va), READ_ONLY, EXECUTE_ONLY, READABLE_CODE, ABSENT]);
    guest.regs.rdx = PORT;
    // Its segment is es, whatever the prefix.
    guest.machine().this().data_segments = [0, 0x09, 0, 0];
    guest.regs.rdi = 15;
    assert_eq!(execute(&mut guest, &[0x65, 0x6c]), (None, 1));
    guest.regs.rdi = 16;
    assert_eq!(execute(&mut guest, &INSB), (Some((13, 0)), 1));
    for selector in [0x11, 0x19, 0x21, 0x29, 0] {
        guest.machine().this().data_segments[1] = selector;
        guest.regs.rdi = page.va;
        assert_eq!(execute(&mut guest, &INSB), (Some((13, 0)), 1), "{selector:#x}");
    }
}

#[test]
fn a_page_that_is_missing_is_a_page_fault_there() {
    let mut guest = guest();
    let (_page, next) = (guest.page(), guest.page());
    assert_eq!(guest.call(nr::UPDATE_VA_MAPPING, &[next.va, 0, 0, 2]), 0);
    (guest.regs.rdi, guest.regs.rcx) = (next.va - 3, 8);
    assert_eq!(execute(&mut guest, &REP_INSB), (Some((14, 2)), 1));
    assert_eq!((guest.regs.rdi, guest.regs.rcx), (next.va, 5));
    assert_eq!(cr2(&mut guest), next.va);
    (guest.regs.rsi, guest.regs.rcx) = (next.va - 2, 1);
    assert_eq!(execute(&mut guest, &REP_OUTSL), (Some((14, 0)), 1), "across two pages");
    assert_eq!(cr2(&mut guest), next.va);
    // A page table is mapped read-only.
    guest.regs.rdi = guest.va_of(guest.tables[1]);
    guest.regs.rcx = 1;
    assert_eq!(execute(&mut guest, &REP_INSB), (Some((14, 3)), 1));
}

#[test]
fn users_reach_their_own_pages_only() {
    let mut guest = guest();
    let (kernels, users) = (guest.page(), guest.page());
    let entry = users.maddr() | 0x67;
    assert_eq!(guest.update_va(users.va, entry, 2), 0);
    let at = guest.arg(&3u32);
    assert_eq!(guest.call(nr::PHYSDEV_OP, &[pv_abi::physdev::PHYSDEVOP_SET_IOPL.into(), at]), 0);
    let segments = [pv_abi::x86_32::FLAT_USER_DS; 4];
    guest.machine().this().data_segments = segments;
    let mut user = |code: &[u8], at: u64| {
        let eip = guest.code(code);
        guest.in_user(eip, 0x2000);
        (guest.regs.rdx, guest.regs.rsi, guest.regs.rdi) = (PORT, at, at);
        guest.exception(vectors::GENERAL_PROTECTION, 0);
        let vector = guest.at_handler();
        (vector, vector.map(|_| guest.stack::<1>()[0]))
    };
    assert_eq!(user(&INSB, users.va), (None, None));
    assert_eq!(user(&[0x6e], users.va), (None, None));
    assert_eq!(user(&INSB, kernels.va), (Some(14), Some(7)));
    assert_eq!(user(&[0x6e], kernels.va), (Some(14), Some(5)));
    assert_eq!(user(&[0x6f], kernels.va - 2), (Some(14), Some(5)), "across into the kernel's");
}

#[test]
fn without_permission_nothing_moves() {
    let mut guest = guest();
    let page = guest.page();
    let at = guest.arg(&0u32);
    assert_eq!(guest.call(nr::PHYSDEV_OP, &[pv_abi::physdev::PHYSDEVOP_SET_IOPL.into(), at]), 0);
    (guest.regs.rdx, guest.regs.rdi, guest.regs.rcx) = (PORT, page.va, 3);
    assert_eq!(execute(&mut guest, &REP_INSB), (Some((13, 0)), 1));
    assert_eq!((guest.regs.rdi, guest.regs.rcx), (page.va, 3));
    assert_eq!(guest.machine().take_port_log(), []);
}

#[test]
fn a_single_step_traps_after_each_element() {
    let mut guest = guest();
    let page = guest.page();
    let at = guest.code(&REP_OUTSB);
    (guest.regs.rsi, guest.regs.rcx) = (page.va, 2);
    guest.regs.rflags |= 0x100;
    guest.exception(vectors::GENERAL_PROTECTION, 0);
    assert_eq!(guest.at_handler(), Some(vectors::DEBUG));
    assert_eq!(guest.stack::<1>(), [at], "the same instruction follows");
    (guest.regs.rip, guest.regs.rflags) = (at.into(), guest.regs.rflags | 0x100);
    guest.exception(vectors::GENERAL_PROTECTION, 0);
    assert_eq!(guest.at_handler(), Some(vectors::DEBUG));
    assert_eq!(guest.stack::<1>(), [at + 2]);
    assert_eq!(guest.machine().take_port_log().len(), 2);
}

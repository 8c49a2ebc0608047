//! The `iret` hypercall.

use pv_abi::hypercall as nr;
use pv_abi::vm_assist::{VMASST_CMD_ENABLE, VMASST_TYPE_ARCHITECTURAL_IOPL};
use pv_abi::x86_32::{FLAT_KERNEL_CS, FLAT_KERNEL_SS, FLAT_USER_CS, FLAT_USER_SS};
use pv_tests::guest::Guest;

/// Makes the hypercall with the given frame (eax, eip, ...) on top of a new stack; returns the
/// frame's address.
fn iret(guest: &mut Guest, frame: &[u32]) -> u64 {
    let at = guest.page().va + 0x800;
    guest.write(at, frame);
    guest.regs.cs = FLAT_KERNEL_CS;
    guest.regs.ss = FLAT_KERNEL_SS;
    guest.regs.rsp = at;
    guest.call(nr::IRET, &[]);
    at
}

#[test]
fn to_ring_1_pops_four_words() {
    let mut guest = Guest::pv32();
    guest.mask_upcalls(true);
    let at = iret(&mut guest, &[0xeeee_eeee, 0xc000_1234, 0xe019, 0x246, 1, 2]);
    assert_eq!(guest.regs.rax as u32, 0xeeee_eeee);
    assert_eq!((guest.regs.rip, guest.regs.cs), (0xc000_1234, FLAT_KERNEL_CS));
    assert_eq!((guest.regs.rsp, guest.regs.ss), (at + 16, FLAT_KERNEL_SS));
    assert_eq!(guest.regs.rflags, 0x246);
    assert!(!guest.upcalls_masked());
}

#[test]
fn to_ring_3_pops_stack_and_segment_as_well() {
    let mut guest = Guest::pv32();
    guest.mask_upcalls(false);
    iret(&mut guest, &[7, 0x0804_8000, 0xe02b, 0x002, 0xbfff_0000, 0xe033]);
    assert_eq!(guest.regs.rax, 7);
    assert_eq!((guest.regs.rip, guest.regs.cs), (0x0804_8000, FLAT_USER_CS));
    assert_eq!((guest.regs.rsp, guest.regs.ss), (0xbfff_0000, FLAT_USER_SS));
    assert_eq!(guest.regs.rflags, 0x202, "interrupts stay on");
    assert!(guest.upcalls_masked(), "IF was clear");
}

#[test]
fn the_saved_mask_in_the_selectors_word_is_no_part_of_it() {
    let mut guest = Guest::pv32();
    iret(&mut guest, &[0, 0x1000, 0x1_e02b, 0x202, 0x2000, 0xffff_e033]);
    assert_eq!((guest.regs.cs, guest.regs.ss), (FLAT_USER_CS, FLAT_USER_SS));
    assert!(!guest.upcalls_masked());
}

#[test]
fn only_harmless_flags_are_taken() {
    let mut guest = Guest::pv32();
    iret(&mut guest, &[0, 0x1000, 0xe019, !(1 << 17)]);
    // ID AC RF OF DF IF TF SF ZF AF PF CF; neither VIP, VIF, NT nor IOPL.
    assert_eq!(guest.regs.rflags, 0x25_0fd7);
    iret(&mut guest, &[0, 0x1000, 0xe019, 0]);
    assert_eq!(guest.regs.rflags, 0x202);
}

#[test]
fn architectural_iopl_is_taken_from_the_frame() {
    let mut guest = Guest::pv32();
    iret(&mut guest, &[0, 0x1000, 0xe019, 0x3202]);
    assert_eq!(guest.enter(|ctx| ctx.state.iopl), 0);
    let bit = u64::from(VMASST_TYPE_ARCHITECTURAL_IOPL);
    assert_eq!(guest.call(nr::VM_ASSIST, &[VMASST_CMD_ENABLE.into(), bit]), 0);
    iret(&mut guest, &[0, 0x1000, 0xe019, 0x2202]);
    assert_eq!(guest.enter(|ctx| ctx.state.iopl), 2);
    assert_eq!(guest.regs.rflags & 0x3000, 0, "never the real one");
}

#[test]
fn neither_ring_0_nor_virtual_8086_mode() {
    for (cs, eflags) in
        [(0xe008, 0x202), (0xe018, 0x202), (0, 0x202), (0x8, 0x202), (0xe019, 0x2_0202)]
    {
        let mut guest = Guest::pv32();
        iret(&mut guest, &[0, 0x1000, cs, eflags, 0x2000, 0xe033]);
        assert!(guest.crashed(), "{cs:#x} {eflags:#x}");
    }
}

#[test]
fn an_unreadable_frame_ends_the_domain() {
    // How many words are readable: too few in each case.
    for (words, cs) in [(0, 0xe019), (3, 0xe019), (4, 0xe02b), (5, 0xe02b)] {
        let mut guest = Guest::pv32();
        let end = guest.base + 4096 * guest.frames.len() as u64;
        // The last frames are page tables; the page before them goes.
        let hole = end - 4096 * (1 + guest.tables.len() as u64);
        let at = hole - 4 * words;
        let frame = [0, 0x1000, cs, 0x202, 0x2000];
        for (i, word) in (0..words).zip(frame) {
            guest.write(at + 4 * i, &word);
        }
        assert_eq!(guest.call(nr::UPDATE_VA_MAPPING, &[hole, 0, 0, 2]), 0);
        guest.regs.rsp = at;
        guest.call(nr::IRET, &[]);
        assert!(guest.crashed(), "{words} words");
    }
    for at in [0xffff_fff8u64, 0] {
        let mut guest = Guest::pv32();
        guest.regs.rsp = at;
        guest.call(nr::IRET, &[]);
        assert!(guest.crashed(), "stack at {at:#x}");
    }
}

#[test]
fn what_was_bounced_comes_back_as_it_was() {
    let mut guest = Guest::pv32();
    guest.handlers();
    guest.in_user(0x0804_8123, 0xbfff_1230);
    guest.regs.rflags = 0xad7;
    guest.regs.rax = 0x1234_5678;
    guest.mask_upcalls(false);
    let before = guest.regs;
    guest.exception(0x80, 0);
    guest.mask_upcalls(true);
    // The hypercall page's slot pushes eax.
    guest.regs.rsp -= 4;
    guest.write(guest.regs.rsp, &0x1234_5678u32);
    guest.call(nr::IRET, &[]);
    let after = guest.regs;
    assert_eq!((after.rip, after.cs, after.rflags), (before.rip, before.cs, before.rflags));
    assert_eq!((after.rsp, after.ss, after.rax), (before.rsp, before.ss, before.rax));
    assert!(!guest.upcalls_masked());
}

#[test]
fn iret_in_a_multicall_is_refused() {
    let mut guest = Guest::pv32();
    let mut list = [0u32; 8];
    list[0] = nr::IRET;
    let at = guest.arg(&list);
    let before = guest.regs.rsp;
    assert_eq!(guest.call(nr::MULTICALL, &[at, 1]), 0);
    assert_eq!(guest.read::<u32>(at + 4) as i32, -22);
    assert_eq!(guest.regs.rsp, before);
}

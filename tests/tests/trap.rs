//! Traps: where a guest wants them, and the frames in which it gets them.

use hypervisor::exit::Next;
use hypervisor::trap::{Target, Trap, bounce};
use pv_abi::callback::{
    CALLBACKF_MASK_EVENTS, CALLBACKOP_REGISTER, CALLBACKOP_UNREGISTER, CALLBACKTYPE_EVENT,
    CALLBACKTYPE_FAILSAFE, CALLBACKTYPE_NMI, CALLBACKTYPE_SYSCALL, CALLBACKTYPE_SYSCALL32,
    CALLBACKTYPE_SYSENTER, CallbackUnregister,
};
use pv_abi::x86_32::{self, Callback, CallbackRegister, FLAT_KERNEL_CS, FLAT_KERNEL_SS, TrapInfo};
use pv_abi::{hypercall as nr, vectors, vm_assist};
use pv_tests::guest::Guest;
use pv_tests::guest::traps::handler;
use zerocopy::FromZeros;

const EFAULT: i64 = -14;
const EINVAL: i64 = -22;
const ENOSYS: i64 = -38;
/// An address where nothing is mapped.
const NOWHERE: u64 = 0x1_0000;

fn entry(vector: u8, flags: u8, cs: u16, address: u32) -> TrapInfo {
    TrapInfo { vector, flags, cs, address }
}

fn trap(guest: &mut Guest, vector: u8) -> Trap {
    guest.enter(|ctx| *ctx.state.traps.get(vector))
}

#[test]
fn a_trap_table_is_taken_up_to_its_end() {
    let mut guest = Guest::pv32();
    let table = [
        entry(14, 4, FLAT_KERNEL_CS, 0x1000),
        entry(3, 3, 0x8, 0x2000),
        entry(0x80, 0xff, 0x1b, 0x3000),
        entry(5, 0, FLAT_KERNEL_CS, 0),
        entry(6, 0, FLAT_KERNEL_CS, 0x4000),
    ];
    let at = guest.arg(&table);
    assert_eq!(guest.call(nr::SET_TRAP_TABLE, &[at]), 0);
    let target = |cs, address| Target { cs, address };
    let expected = Trap { target: target(FLAT_KERNEL_CS, 0x1000), dpl: 0, masks: true };
    assert_eq!(trap(&mut guest, 14), expected);
    // No handler runs in Ring 0.
    assert_eq!(trap(&mut guest, 3).target, target(0x9, 0x2000));
    assert_eq!((trap(&mut guest, 3).dpl, trap(&mut guest, 3).masks), (3, false));
    assert_eq!(trap(&mut guest, 0x80).target, target(0x1b, 0x3000));
    assert_eq!(trap(&mut guest, 5), Trap::NONE);
    assert_eq!(trap(&mut guest, 6), Trap::NONE, "after the end");
}

#[test]
fn a_null_trap_table_removes_all_handlers() {
    let mut guest = Guest::pv32();
    guest.handlers();
    assert_eq!(guest.call(nr::SET_TRAP_TABLE, &[0]), 0);
    for vector in 0..=255 {
        assert_eq!(trap(&mut guest, vector), Trap::NONE);
    }
}

#[test]
fn a_trap_table_without_end_faults_where_memory_ends() {
    let mut guest = Guest::pv32();
    let last = guest.base + 4096 * guest.frames.len() as u64;
    let table = entry(1, 0, FLAT_KERNEL_CS, 0x1000);
    let page = guest.page();
    assert_eq!(guest.call(nr::SET_TRAP_TABLE, &[last - 8]), 0, "zeros: the end");
    for i in 0..512 {
        guest.write(page.va + 8 * i, &table);
    }
    // It goes on into the next page, which is zero.
    assert_eq!(guest.call(nr::SET_TRAP_TABLE, &[page.va]), 0);
    assert!(guest.continuations > 0, "long tables are taken in parts");
    assert_eq!(guest.call(nr::SET_TRAP_TABLE, &[NOWHERE]), EFAULT);
    assert_eq!(guest.call(nr::SET_TRAP_TABLE, &[0xffff_fffc]), EFAULT);
}

#[test]
fn callbacks_are_registered_one_by_one_or_together() {
    let mut guest = Guest::pv32();
    assert_eq!(guest.call(nr::SET_CALLBACKS, &[0x10, 0x1000, 0x1b, 0x2000]), 0);
    let c = guest.enter(|ctx| ctx.state.callbacks);
    assert_eq!(c.event, Target { cs: 0x11, address: 0x1000 });
    assert_eq!(c.failsafe, Target { cs: 0x1b, address: 0x2000 });

    let register = |guest: &mut Guest, r#type, flags| {
        let address = Callback { cs: 0xe019, eip: 0x3000 };
        let at = guest.arg(&CallbackRegister {
            r#type,
            flags,
            address,
            ..CallbackRegister::new_zeroed()
        });
        guest.call(nr::CALLBACK_OP, &[CALLBACKOP_REGISTER.into(), at])
    };
    assert_eq!(register(&mut guest, CALLBACKTYPE_EVENT, 0), 0);
    assert_eq!(register(&mut guest, CALLBACKTYPE_FAILSAFE, CALLBACKF_MASK_EVENTS), 0);
    assert_eq!(register(&mut guest, CALLBACKTYPE_NMI, 0), 0);
    for absent in [CALLBACKTYPE_SYSCALL, CALLBACKTYPE_SYSCALL32, CALLBACKTYPE_SYSENTER, 6, 8, 999] {
        assert_eq!(register(&mut guest, absent, 0), ENOSYS);
    }
    let c = guest.enter(|ctx| ctx.state.callbacks);
    assert_eq!(c.event, Target { cs: 0xe019, address: 0x3000 });
    assert_eq!(c.failsafe, Target { cs: 0xe019, address: 0x3000 });
    assert!(c.failsafe_masks);
    let nmi = trap(&mut guest, vectors::NMI);
    assert_eq!((nmi.target.address, nmi.masks), (0x3000, true));

    let unregister = |guest: &mut Guest, r#type| {
        let at = guest.arg(&CallbackUnregister { r#type, ..CallbackUnregister::new_zeroed() });
        guest.call(nr::CALLBACK_OP, &[CALLBACKOP_UNREGISTER.into(), at])
    };
    assert_eq!(unregister(&mut guest, CALLBACKTYPE_EVENT), EINVAL);
    assert_eq!(unregister(&mut guest, CALLBACKTYPE_FAILSAFE), EINVAL);
    assert_eq!(unregister(&mut guest, CALLBACKTYPE_NMI), 0);
    assert_eq!(unregister(&mut guest, 77), ENOSYS);
    assert_eq!(trap(&mut guest, vectors::NMI), Trap::NONE);
    for op in [CALLBACKOP_REGISTER, CALLBACKOP_UNREGISTER] {
        assert_eq!(guest.call(nr::CALLBACK_OP, &[op.into(), NOWHERE]), EFAULT);
    }
    assert_eq!(guest.call(nr::CALLBACK_OP, &[2, NOWHERE]), ENOSYS);
}

#[test]
fn the_kernel_stack_never_is_ring_0s() {
    let mut guest = Guest::pv32();
    for (given, kept) in
        [(0x10, 0x11), (0x11, 0x11), (0x13, 0x13), (0xe021, 0xe021), (0x1_0010, 0x11)]
    {
        assert_eq!(guest.call(nr::STACK_SWITCH, &[given, 0xc000_1000]), 0);
        assert_eq!(
            guest.enter(|ctx| (ctx.state.kernel_ss, ctx.state.kernel_sp)),
            (kept, 0xc000_1000)
        );
    }
}

#[test]
fn a_trap_in_the_kernel_pushes_three_words_on_its_stack() {
    let mut guest = Guest::pv32();
    guest.handlers();
    let top = guest.kernel_stack();
    guest.mask_upcalls(false);
    guest.regs.rip = 0xc000_1234;
    // IOPL, TF, NT, RF and AC are set, too.
    guest.regs.rflags = 0x5_7347;
    guest.exception(vectors::DIVIDE_ERROR, 0);
    assert_eq!(guest.at_handler(), Some(0));
    assert_eq!(guest.regs.rsp, u64::from(top) - 12);
    assert_eq!(guest.stack(), [0xc000_1234, 0xe019, 0x5_4347]);
    assert_eq!((guest.regs.cs, guest.regs.ss), (FLAT_KERNEL_CS, FLAT_KERNEL_SS));
    assert_eq!(guest.regs.rflags, 0x4_3247, "TF, RF and NT are clear");
    assert!(!guest.upcalls_masked());
}

#[test]
fn a_trap_in_a_user_pushes_five_words_on_the_kernels_stack() {
    let mut guest = Guest::pv32();
    let top = guest.handlers();
    guest.mask_upcalls(true);
    guest.in_user(0x0804_8000, 0xbfff_0000);
    guest.regs.rflags = 0x202;
    guest.exception(0x80, 0);
    assert_eq!(guest.at_handler(), Some(0x80));
    assert_eq!(guest.regs.rsp, u64::from(top) - 20);
    assert_eq!(guest.stack(), [0x0804_8000, 0x1_e02b, 0x002, 0xbfff_0000, 0xe033]);
    assert_eq!((guest.regs.cs, guest.regs.ss), (FLAT_KERNEL_CS, FLAT_KERNEL_SS));
}

#[test]
fn error_codes_lie_below_eip() {
    for vector in [10, 11, 12, 13, 14, 17] {
        let mut guest = Guest::pv32();
        let top = guest.handlers();
        guest.in_user(0x1000, 0x2000);
        guest.page_fault(0xbfff_f000, 0);
        assert_eq!(guest.regs.rsp, u64::from(top) - 24);
        let stack = guest.kernel_stack();
        guest.exception(vector, 0x1238);
        assert_eq!(guest.at_handler(), Some(vector));
        assert_eq!(guest.regs.rsp, u64::from(stack) - 16, "vector {vector}");
        let [error, eip]: [u32; 2] = guest.stack();
        assert_eq!(eip, handler(14));
        if vector != 14 {
            assert_eq!(error, 0x1238);
        }
    }
}

#[test]
fn a_handler_may_ask_for_events_to_be_masked() {
    let mut guest = Guest::pv32();
    guest.handlers();
    guest.in_user(0x1000, 0x2000);
    // `int $0x85` has no gate of its own.
    guest.mask_upcalls(false);
    let eip = guest.code(&[0xcd, 0x85]);
    guest.exception(vectors::GENERAL_PROTECTION, 0x85 * 8 + 2);
    assert_eq!(guest.at_handler(), Some(0x85));
    let [at, _, eflags]: [u32; 3] = guest.stack();
    assert_eq!(at, eip + 2);
    assert_eq!(eflags & 0x200, 0x200, "they were not masked before");
    assert!(guest.upcalls_masked());
}

#[test]
fn architectural_iopl_shows_in_frames() {
    let mut guest = Guest::pv32();
    guest.handlers();
    guest.kernel_stack();
    let bit = u64::from(vm_assist::VMASST_TYPE_ARCHITECTURAL_IOPL);
    assert_eq!(guest.call(nr::VM_ASSIST, &[vm_assist::VMASST_CMD_ENABLE.into(), bit]), 0);
    guest.enter(|ctx| ctx.state.iopl = 2);
    guest.exception(vectors::DIVIDE_ERROR, 0);
    let [_, _, eflags]: [u32; 3] = guest.stack();
    assert_eq!(eflags >> 12 & 3, 2);
}

#[test]
fn page_faults_tell_their_address_and_who_it_was() {
    let mut guest = Guest::pv32();
    let top = guest.handlers();
    let cr2 = |guest: &Guest| {
        use hypervisor::platform::FrameAccess;
        let words = guest.machine().half_words(guest.domain().shared_info);
        words[2].load(std::sync::atomic::Ordering::Relaxed)
    };
    // A user that reached a kernel's page.
    guest.in_user(0x1000, 0x2000);
    guest.page_fault(0xc000_0123, 5);
    assert_eq!((cr2(&guest), guest.stack::<1>()), (0xc000_0123, [5]));
    // The kernel in Ring 1: not a user, whatever the processor said.
    guest.page_fault(0x5678, 7);
    assert_eq!((cr2(&guest), guest.stack::<1>()), (0x5678, [3]));
    // Ring 2 counts as a user.
    guest.in_user(0x1000, 0x2000);
    (guest.regs.cs, guest.regs.ss) = (0xe01a, 0xe022);
    guest.page_fault(0x9abc, 0);
    assert_eq!((cr2(&guest), guest.stack::<1>()), (0x9abc, [4]));
    assert_eq!(guest.regs.rsp, u64::from(top) - 24);
}

#[test]
fn a_trap_without_handler_ends_the_domain() {
    for vector in [0, 6, 13, 14, 19, 0x80] {
        let mut guest = Guest::pv32();
        guest.kernel_stack();
        guest.exception(vector, 0);
        assert!(guest.crashed(), "vector {vector}");
        assert_eq!(guest.resume(), Next::Switch);
    }
}

#[test]
fn a_stack_that_takes_no_frame_ends_the_domain() {
    let nowhere = |guest: &mut Guest| guest.regs.rsp = NOWHERE;
    let below_zero = |guest: &mut Guest| guest.regs.rsp = 4;
    let table = |guest: &mut Guest| guest.regs.rsp = guest.va_of(guest.root) + 64;
    let window = |guest: &mut Guest| guest.regs.rsp = 0xf580_0100;
    let null_segment = |guest: &mut Guest| guest.regs.ss = 1;
    let no_segment = |guest: &mut Guest| guest.regs.ss = 0x51;
    let reserved_segment = |guest: &mut Guest| guest.regs.ss = 0xe009;
    for spoil in [nowhere, below_zero, table, window, null_segment, no_segment, reserved_segment] {
        let mut guest = Guest::pv32();
        guest.handlers();
        guest.kernel_stack();
        spoil(&mut guest);
        guest.exception(vectors::DIVIDE_ERROR, 0);
        assert!(guest.crashed(), "{:#x?}", guest.regs);
        pv_tests::check::invariants(&guest.sys);
    }
}

#[test]
fn a_frame_that_straddles_the_end_of_a_mapping_ends_the_domain() {
    let mut guest = Guest::pv32();
    guest.handlers();
    guest.in_user(0x1000, 0x2000);
    // The first page of its memory: what lies below is not mapped.
    let ss = u64::from(FLAT_KERNEL_SS);
    assert_eq!(guest.call(nr::STACK_SWITCH, &[ss, guest.base + 8]), 0);
    guest.in_user(0x1000, 0x2000);
    guest.exception(0x80, 0);
    assert!(guest.crashed());
}

#[test]
fn stack_pointers_are_32_bits() {
    let mut guest = Guest::pv32();
    guest.handlers();
    let top = guest.kernel_stack();
    guest.regs.rsp = 0xffff_ffff_0000_0000 | u64::from(top);
    guest.exception(vectors::DIVIDE_ERROR, 0);
    assert_eq!(guest.regs.rsp, u64::from(top) - 12);
}

#[test]
fn int_0x80_goes_by_the_trap_tables_dpl() {
    let mut guest = Guest::pv32();
    guest.handlers();
    let at = guest.arg(&[entry(0x80, 1, FLAT_KERNEL_CS, handler(0x80)), entry(0, 0, 0, 0)]);
    assert_eq!(guest.call(nr::SET_TRAP_TABLE, &[at]), 0);
    guest.in_user(0x1002, 0x2000);
    guest.exception(0x80, 0);
    assert_eq!(guest.at_handler(), Some(13), "users may not");
    assert_eq!(guest.stack(), [0x402, 0x1000], "the fault is at the instruction");
    guest.kernel_stack();
    guest.exception(0x80, 0);
    assert_eq!(guest.at_handler(), Some(0x80), "the kernel may");
}

#[test]
fn other_software_interrupts_are_read_from_the_code() {
    for (ring3, code, error_code, expected) in [
        // As QEMU 7.2 has it: twice the gate's number.
        (true, &[0xcd, 0x85][..], 0x85 * 16 + 2, (0x85, None)),
        (false, &[0xcd, 0x81], 0x81 * 8 + 2, (0x81, None)),
        (true, &[0xcd, 0x81], 0x81 * 8 + 2, (13, Some(0x81 * 8 + 2))),
        (false, &[0xcd, 0x20], 0x20 * 16 + 2, (13, Some(0x20 * 8 + 2))),
        // The hypercall gate, from Ring 3.
        (true, &[0xcd, 0x82], 0x82 * 16 + 2, (13, Some(0x412))),
        // No `int n` there: the guest gets what the processor said.
        (true, &[0x90, 0x90], 0x1012, (13, Some(0x1012))),
        // From outside of the program.
        (true, &[0xcd, 0x85], 0x85 * 8 + 3, (13, Some(0x85 * 8 + 3))),
        // A selector.
        (true, &[0xcd, 0x85], 0x28, (13, Some(0x28))),
    ] {
        let mut guest = Guest::pv32();
        guest.handlers();
        guest.kernel_stack();
        if ring3 {
            guest.in_user(0, 0x2000);
        }
        let eip = guest.code(code);
        guest.exception(13, error_code);
        assert_eq!(guest.at_handler(), Some(expected.0), "{code:x?} {error_code:#x}");
        match expected.1 {
            Some(code) => assert_eq!(guest.stack(), [code, eip]),
            None => assert_eq!(guest.stack(), [eip + 2]),
        }
    }
}

#[test]
fn a_device_not_available_fault_clears_ts() {
    let mut guest = Guest::pv32();
    guest.handlers();
    guest.kernel_stack();
    assert_eq!(guest.call(nr::FPU_TASKSWITCH, &[1]), 0);
    assert!(guest.machine().this().task_switched);
    guest.exception(vectors::DEVICE_NOT_AVAILABLE, 0);
    assert_eq!(guest.at_handler(), Some(7));
    assert!(!guest.machine().this().task_switched);
    assert_eq!(guest.call(nr::FPU_TASKSWITCH, &[1]), 0);
    assert_eq!(guest.call(nr::FPU_TASKSWITCH, &[0]), 0);
    assert!(!guest.machine().this().task_switched);
}

#[test]
fn debug_exceptions_leave_their_cause_in_dr6() {
    let mut guest = Guest::pv32();
    guest.handlers();
    guest.kernel_stack();
    guest.machine().this().debug_status = 0xffff_4ff2;
    guest.exception(vectors::DEBUG, 0);
    assert_eq!(guest.at_handler(), Some(1));
    assert_eq!(guest.call(nr::GET_DEBUGREG, &[6]), 0xffff_4ff2u32 as i32 as i64);
}

#[test]
fn an_upcall_comes_before_the_guest_goes_on() {
    let mut guest = Guest::pv32();
    let top = guest.handlers();
    assert_eq!(guest.call(nr::SET_CALLBACKS, &[0xe019, 0xc200_0000, 0xe019, 0xc200_1000]), 0);
    guest.in_user(0x1000, 0x2000);
    guest.mask_upcalls(false);
    assert_eq!(guest.resume(), Next::Resume);
    assert_eq!(guest.regs.rip, 0x1000, "nothing is pending");
    guest.vcpu().set_upcall_pending(guest.machine());
    guest.mask_upcalls(true);
    assert_eq!(guest.resume(), Next::Resume);
    assert_eq!(guest.regs.rip, 0x1000, "masked");
    guest.mask_upcalls(false);
    assert_eq!(guest.resume(), Next::Resume);
    assert_eq!(guest.regs.rip, 0xc200_0000);
    assert_eq!(guest.regs.rsp, u64::from(top) - 20);
    assert_eq!(guest.stack(), [0x1000, 0xe02b, 0x202, 0x2000, 0xe033]);
    assert!(guest.upcalls_masked());
    assert_eq!(guest.resume(), Next::Resume);
    assert_eq!(guest.regs.rip, 0xc200_0000, "once");
}

#[test]
fn an_upcall_without_callback_or_stack_ends_the_domain() {
    for callback in [0, 0xc200_0000] {
        let mut guest = Guest::pv32();
        if callback != 0 {
            assert_eq!(guest.call(nr::SET_CALLBACKS, &[0xe019, callback, 0xe019, callback]), 0);
        }
        guest.regs.rsp = NOWHERE;
        guest.mask_upcalls(false);
        guest.vcpu().set_upcall_pending(guest.machine());
        assert_eq!(guest.resume(), Next::Switch);
        assert!(guest.crashed());
    }
}

#[test]
fn failsafe_finds_the_selectors_below_the_frame() {
    let mut guest = Guest::pv32();
    let top = guest.handlers();
    assert_eq!(guest.call(nr::SET_CALLBACKS, &[0xe019, 0xc200_0000, 0xe019, 0xc200_1000]), 0);
    guest.in_user(0x1000, 0x2000);
    guest.mask_upcalls(false);
    guest.enter(|ctx| bounce::failsafe(ctx, [1, 2, 3, 4])).unwrap();
    assert_eq!(guest.regs.rip, 0xc200_1000);
    assert_eq!(guest.regs.rsp, u64::from(top) - 36);
    assert_eq!(guest.stack(), [1, 2, 3, 4, 0x1000, 0xe02b, 0x202, 0x2000, 0xe033]);
    assert!(!guest.upcalls_masked(), "it did not ask for that");
    // The callback itself cannot be entered: no second try.
    assert!(guest.enter(|ctx| bounce::failsafe(ctx, [0; 4])).is_err());
}

#[test]
fn a_stack_segment_may_have_a_base() {
    let mut guest = Guest::pv32();
    guest.handlers();
    let stack = guest.page();
    let gdt = guest.page();
    let base = stack.va;
    let descriptor = 0x00cf_b300_0000_ffff | (base & 0xff_ffff) << 16 | (base >> 24) << 56;
    guest.write(gdt.va + 8, &descriptor);
    let (table, index) = guest.l1_entry_of(gdt.va).unwrap();
    let read_only = guest.entry(table, index) & !2;
    let low_high = [read_only & 0xffff_ffff, read_only >> 32];
    assert_eq!(guest.call(nr::UPDATE_VA_MAPPING, &[gdt.va, low_high[0], low_high[1], 2]), 0);
    let list = guest.arg(&[gdt.mfn.raw() as u32]);
    assert_eq!(guest.call(nr::SET_GDT, &[list, 2]), 0);
    (guest.regs.ss, guest.regs.rsp) = (0x9, 0x800);
    guest.regs.rip = 0x42;
    guest.exception(vectors::DIVIDE_ERROR, 0);
    assert_eq!((guest.regs.ss, guest.regs.rsp), (0x9, 0x7f4));
    assert_eq!(guest.read::<u32>(base + 0x7f4), 0x42);
    assert!(!guest.crashed());
}

#[test]
fn the_trap_table_of_a_vcpu_is_its_own() {
    let spec = pv_tests::guest::Spec { vcpus: 2, ..Default::default() };
    let mut guest = Guest::with(spec);
    guest.handlers();
    guest.start_vcpu(1);
    guest.run_as(1);
    assert_eq!(trap(&mut guest, 14), Trap::NONE);
    guest.kernel_stack();
    guest.regs.cs = x86_32::FLAT_KERNEL_CS;
    guest.exception(14, 0);
    assert!(guest.crashed());
}

//! What a 64-bit guest can already say about its traps, and that it is refused clearly where
//! nothing can be delivered to it yet.

use hypervisor::width::Width;
use pv_abi::callback::{
    CALLBACKF_MASK_EVENTS, CALLBACKOP_REGISTER, CALLBACKOP_UNREGISTER, CALLBACKTYPE_SYSCALL,
    CallbackUnregister,
};
use pv_abi::x86_64::{CallbackRegister, FLAT_KERNEL_CS, TrapInfo};
use pv_abi::{hypercall as nr, vectors, version, vm_assist};
use pv_tests::check;
use pv_tests::guest::{Guest, Spec};
use zerocopy::FromZeros;

const EINVAL: i64 = -22;
const ENOSYS: i64 = -38;
const NOT_CANONICAL: u64 = 0x0000_8000_0000_0000;

fn guest() -> Guest {
    Guest::with(Spec { width: Width::Pv64, base: 0xffff_ffff_8000_0000, ..Spec::default() })
}

#[test]
fn handlers_are_at_canonical_addresses() {
    let mut guest = guest();
    let entry = |vector, address| TrapInfo { vector, cs: 0x33, address, ..TrapInfo::new_zeroed() };
    let table = [entry(3, 0xffff_ffff_8000_1000), entry(4, NOT_CANONICAL), entry(0, 0)];
    let at = guest.arg(&table);
    assert_eq!(guest.call(nr::SET_TRAP_TABLE, &[at]), EINVAL);
    let trap = guest.enter(|ctx| *ctx.state.traps.get(3));
    assert_eq!((trap.target.cs, trap.target.address), (0x33, 0xffff_ffff_8000_1000));
    assert!(!guest.enter(|ctx| ctx.state.traps.get(4).target.is_set()));
}

#[test]
fn callbacks_are_addresses() {
    let mut guest = guest();
    let good = 0xffff_ffff_8000_1000;
    assert_eq!(guest.call(nr::SET_CALLBACKS, &[good, good + 1, good + 2]), 0);
    let c = guest.enter(|ctx| ctx.state.callbacks);
    assert_eq!((c.event.cs, c.syscall.address), (FLAT_KERNEL_CS, good + 2));
    for bad in 0..3 {
        let mut args = [good; 3];
        args[bad] = NOT_CANONICAL;
        assert_eq!(guest.call(nr::SET_CALLBACKS, &args), EINVAL);
    }
    let argument = CallbackRegister {
        r#type: CALLBACKTYPE_SYSCALL,
        flags: CALLBACKF_MASK_EVENTS,
        address: good + 5,
        ..CallbackRegister::new_zeroed()
    };
    let at = guest.arg(&argument);
    assert_eq!(guest.call(nr::CALLBACK_OP, &[CALLBACKOP_REGISTER.into(), at]), 0);
    let c = guest.enter(|ctx| ctx.state.callbacks);
    assert_eq!((c.syscall.address, c.syscall_masks), (good + 5, true));
    let argument = CallbackUnregister { r#type: CALLBACKTYPE_SYSCALL, ..FromZeros::new_zeroed() };
    let at = guest.arg(&argument);
    assert_eq!(guest.call(nr::CALLBACK_OP, &[CALLBACKOP_UNREGISTER.into(), at]), EINVAL);
}

#[test]
fn descriptors_come_in_one_word_and_may_be_64_bit_code() {
    let mut guest = guest();
    let page = guest.page();
    let long = 0x00af_9b00_0000_ffff;
    assert_eq!(guest.call(nr::UPDATE_DESCRIPTOR, &[page.maddr() + 8, long]), 0);
    assert_eq!(guest.read::<u64>(page.va + 8), long | 3 << 45, "for Ring 3");
    assert_eq!(guest.call(nr::UPDATE_DESCRIPTOR, &[page.maddr() + 4, long]), EINVAL);
    check::invariants(&guest.sys);
}

#[test]
fn its_version_and_assists_are_of_its_width() {
    let mut guest = guest();
    let at = guest.arg(&[0u64; 2]);
    let command = u64::from(version::XENVER_PLATFORM_PARAMETERS);
    assert_eq!(guest.call(nr::XEN_VERSION, &[command, at]), 0);
    assert_eq!(guest.read::<[u64; 2]>(at), [0xffff_8000_0000_0000, 0]);
    let strict = u64::from(vm_assist::VMASST_TYPE_M2P_STRICT);
    assert_eq!(guest.call(nr::VM_ASSIST, &[0, strict]), 0);
    assert_eq!(guest.call(nr::VM_ASSIST, &[0, 33]), EINVAL);
}

#[test]
fn nothing_is_delivered_yet() {
    let mut guest = guest();
    assert_eq!(guest.call(nr::IRET, &[]), ENOSYS);
    let table = [
        TrapInfo { vector: 14, cs: 0x33, address: 0x1000, ..TrapInfo::new_zeroed() },
        TrapInfo::new_zeroed(),
    ];
    let at = guest.arg(&table);
    assert_eq!(guest.call(nr::SET_TRAP_TABLE, &[at]), 0);
    guest.page_fault(0x1000, 4);
    assert!(guest.crashed(), "with a sentence");
    for vector in [vectors::GENERAL_PROTECTION, vectors::INVALID_OPCODE, 0x80] {
        let mut guest = self::guest();
        guest.regs.rip = guest.base;
        guest.exception(vector, 0);
        assert!(guest.crashed());
    }
}

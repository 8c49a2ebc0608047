//! The simulated machine and the guest on it are what the other tests take them for.

use hypervisor::mm::frame::Type;
use hypervisor::width::Width;
use pv_abi::hypercall as nr;
use pv_tests::check;
use pv_tests::guest::{Guest, Spec};

#[test]
fn a_new_guest_satisfies_the_invariants_at_both_bases() {
    for base in [0xc000_0000, 0x8000_0000] {
        let mut guest = Guest::with(Spec { base, vcpus: 3, ..Spec::default() });
        check::invariants(&guest.sys);
        guest.start_vcpu(1);
        guest.start_vcpu(2);
        check::invariants(&guest.sys);
        let root = guest.sys.memory.frame(guest.root).unwrap().load();
        assert_eq!((root.kind(), root.pinned(), root.type_count()), (Type::L3, true, 4));
    }
}

#[test]
fn memory_is_writable_but_page_tables_are_not() {
    let mut guest = Guest::pv32();
    let page = guest.page();
    guest.write(page.va + 8, &0x1234_5678_u32);
    assert_eq!(guest.read::<u32>(page.va + 8), 0x1234_5678);
    for table in guest.tables.clone() {
        let va = guest.va_of(table);
        guest.read::<u64>(va);
        assert!(guest.try_write(va, &[0]).is_err());
    }
    assert!(guest.try_read(0x1000, &mut [0]).is_err(), "nothing is mapped there");
}

#[test]
fn the_m2p_window_is_read_only_and_knows_every_frame() {
    let guest = Guest::pv32();
    for (pfn, mfn) in guest.frames.iter().enumerate() {
        assert_eq!(guest.read::<u32>(0xf580_0000 + 4 * mfn.raw()), pfn as u32);
    }
    assert!(guest.try_write(0xf580_0000, &[0; 4]).is_err());
}

#[test]
fn an_unknown_hypercall_does_not_exist() {
    let mut guest = Guest::pv32();
    assert_eq!(guest.call(63, &[]), -38);
    assert_eq!(guest.call(nr::HVM_OP, &[]), -38);
    assert_eq!(guest.continuations, 0);
}

#[test]
fn two_guests_share_a_machine() {
    let one = Guest::pv32();
    let spec = Spec { id: 1, privileged: false, width: Width::Pv32, ..Spec::default() };
    let two = Guest::on(one.sys.clone(), spec);
    check::invariants(&two.sys);
    assert!(two.frames.iter().all(|mfn| !one.frames.contains(mfn)));
}

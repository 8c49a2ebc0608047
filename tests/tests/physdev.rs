//! `physdev_op`: each operation through the real dispatch, for guests of both widths; and what
//! its interrupts do.

use std::sync::Arc;

use hypervisor::irq::arrive::arrived;
use hypervisor::irq::{NR_PIRQS, invariants, pirq, storm};
use hypervisor::platform::Route;
use hypervisor::width::Width;
use pv_abi::errno::Errno;
use pv_abi::event_channel::*;
use pv_abi::hypercall::{EVENT_CHANNEL_OP, PHYSDEV_OP};
use pv_abi::physdev::*;
use pv_abi::types::{DomId, Port, VcpuId};
use pv_abi::{x86_32, x86_64};
use pv_tests::check;
use pv_tests::guest::{Guest, Spec};
use pv_tests::machine::{INPUTS, Input};
use zerocopy::{FromZeros, Immutable, IntoBytes};

const EPERM: i64 = Errno::EPERM.to_ret();
const ESRCH: i64 = Errno::ESRCH.to_ret();
const ENXIO: i64 = Errno::ENXIO.to_ret();
const EFAULT: i64 = Errno::EFAULT.to_ret();
const EBUSY: i64 = Errno::EBUSY.to_ret();
const EEXIST: i64 = Errno::EEXIST.to_ret();
const ENODEV: i64 = Errno::ENODEV.to_ret();
const EINVAL: i64 = Errno::EINVAL.to_ret();
const ENOSPC: i64 = Errno::ENOSPC.to_ret();
const EDOM: i64 = Errno::EDOM.to_ret();
const ENOSYS: i64 = Errno::ENOSYS.to_ret();
const EOPNOTSUPP: i64 = Errno::EOPNOTSUPP.to_ret();

/// An address where nothing is mapped.
const NOWHERE: u64 = 0x10_0000;
/// A level of PCI's, by the board's overrides.
const WIRE: u32 = 11;
/// An edge.
const EDGE: u32 = 12;

fn both() -> impl Iterator<Item = Guest> {
    [Width::Pv32, Width::Pv64]
        .into_iter()
        .map(|width| Guest::with(Spec { width, vcpus: 2, ..Spec::default() }))
}

/// Domain 0, and domain 1 without privilege.
fn two() -> (Guest, Guest) {
    let zero = Guest::pv32();
    let spec = Spec { id: 1, privileged: false, ..Spec::default() };
    let one = Guest::on(Arc::clone(&zero.sys), spec);
    (zero, one)
}

fn op<T: IntoBytes + Immutable + zerocopy::FromBytes>(
    guest: &mut Guest,
    command: u32,
    argument: &T,
) -> (i64, T) {
    guest.load();
    let outcome = guest.op(PHYSDEV_OP, command, argument);
    check::invariants(&guest.sys);
    outcome
}

/// What is asked of `map_pirq`.
#[derive(Clone, Copy)]
struct Map {
    domid: DomId,
    kind: i32,
    index: i32,
    pirq: i32,
    bus: i32,
    devfn: i32,
    entry_nr: i32,
    table_base: u64,
}

const GSI: Map = Map {
    domid: DomId::SELF,
    kind: MAP_PIRQ_TYPE_GSI,
    index: WIRE as i32,
    pirq: -1,
    bus: 0,
    devfn: 0,
    entry_nr: 0,
    table_base: 0,
};

/// Result, and the pirq that came back.
fn map(guest: &mut Guest, m: Map) -> (i64, i32) {
    let Map { domid, kind, index, pirq, bus, devfn, entry_nr, table_base } = m;
    match guest.domain().width() {
        Width::Pv32 => {
            let a = x86_32::PhysdevMapPirq {
                domid,
                r#type: kind,
                index,
                pirq,
                bus,
                devfn,
                entry_nr,
                table_base: table_base.into(),
                ..x86_32::PhysdevMapPirq::new_zeroed()
            };
            let (result, a) = op(guest, PHYSDEVOP_MAP_PIRQ, &a);
            (result, a.pirq)
        }
        Width::Pv64 => {
            let a = x86_64::PhysdevMapPirq {
                domid,
                r#type: kind,
                index,
                pirq,
                bus,
                devfn,
                entry_nr,
                table_base,
                ..x86_64::PhysdevMapPirq::new_zeroed()
            };
            let (result, a) = op(guest, PHYSDEVOP_MAP_PIRQ, &a);
            (result, a.pirq)
        }
    }
}

fn map_gsi(guest: &mut Guest, irq: u32) -> i64 {
    map(guest, Map { index: irq as i32, pirq: irq as i32, ..GSI }).0
}

fn unmap(guest: &mut Guest, domid: DomId, pirq: i32) -> i64 {
    let a = PhysdevUnmapPirq { domid, pirq, ..PhysdevUnmapPirq::new_zeroed() };
    op(guest, PHYSDEVOP_UNMAP_PIRQ, &a).0
}

fn eoi(guest: &mut Guest, irq: u32) -> i64 {
    op(guest, PHYSDEVOP_EOI, &PhysdevEoi { irq }).0
}

fn bind(guest: &mut Guest, pirq: u32) -> Result<Port, i64> {
    guest.load();
    let a = EvtchnBindPirq { pirq, flags: 0, port: Port::new(0) };
    let (result, a) = guest.op(EVENT_CHANNEL_OP, EVTCHNOP_BIND_PIRQ, &a);
    check::invariants(&guest.sys);
    if result == 0 { Ok(a.port) } else { Err(result) }
}

fn close(guest: &mut Guest, port: Port) -> i64 {
    guest.load();
    let result = guest.op(EVENT_CHANNEL_OP, EVTCHNOP_CLOSE, &EvtchnClose { port }).0;
    check::invariants(&guest.sys);
    result
}

fn input(guest: &Guest, gsi: u32) -> Option<Input> {
    guest.machine().devices().inputs.get(&gsi).copied()
}

/// The wire `gsi` says "interrupt": whether that reaches a CPU.
fn raise(guest: &Guest, gsi: u32) -> bool {
    match input(guest, gsi) {
        Some(Input { route, masked: false }) => {
            arrived(&guest.sys, route.vector);
            check::invariants(&guest.sys);
            true
        }
        _ => false,
    }
}

/// Whether the port is pending; it is not afterwards.
fn take(guest: &mut Guest, port: Port) -> bool {
    guest.load();
    let pending = guest.pending(port.raw());
    guest.clear_pending(port.raw());
    pending
}

#[test]
fn a_level_interrupts_once_for_each_end() {
    for mut guest in both() {
        assert_eq!(map_gsi(&mut guest, WIRE), 0);
        let port = bind(&mut guest, WIRE).unwrap();
        let Some(Input { route, masked }) = input(&guest, WIRE) else { panic!("not routed") };
        assert_eq!(route, Route { vector: 0x30, cpu: 0, active_low: false, level: true });
        assert!(!masked);
        assert!(raise(&guest, WIRE) && take(&mut guest, port));
        assert!(!raise(&guest, WIRE), "it is masked until the guest ends it");
        assert_eq!(eoi(&mut guest, WIRE), 0);
        assert!(raise(&guest, WIRE) && take(&mut guest, port));
        assert_eq!((eoi(&mut guest, WIRE), eoi(&mut guest, WIRE)), (0, 0), "once more is no harm");
        assert_eq!(close(&mut guest, port), 0);
        assert!(input(&guest, WIRE).unwrap().masked);
        assert_eq!(eoi(&mut guest, WIRE), 0);
        assert!(input(&guest, WIRE).unwrap().masked, "an end opens nothing that is not bound");
    }
}

#[test]
fn an_edge_needs_no_end() {
    let mut guest = Guest::pv32();
    assert_eq!(map_gsi(&mut guest, EDGE), 0);
    let port = bind(&mut guest, EDGE).unwrap();
    assert!(!input(&guest, EDGE).unwrap().route.level);
    for _ in 0..3 {
        assert!(raise(&guest, EDGE) && take(&mut guest, port));
    }
}

#[test]
fn an_interrupt_that_was_on_its_way_is_nobodys() {
    let mut guest = Guest::pv32();
    assert_eq!(map_gsi(&mut guest, WIRE), 0);
    let port = bind(&mut guest, WIRE).unwrap();
    let vector = input(&guest, WIRE).unwrap().route.vector;
    assert_eq!(close(&mut guest, port), 0);
    for vector in [vector, 0x31, 0xef, 0x80, 0xff, 0] {
        assert_eq!(arrived(&guest.sys, vector), None);
    }
    assert!(!guest.pending(port.raw()));
    let port = bind(&mut guest, WIRE).unwrap();
    assert_eq!(input(&guest, WIRE).unwrap().route.vector, vector, "it keeps its vector");
    assert!(raise(&guest, WIRE) && take(&mut guest, port));
}

/// XSA-21: numbers of interrupts that no domain has.
#[test]
fn numbers_out_of_range_are_refused() {
    for mut guest in both() {
        for irq in [NR_PIRQS, NR_PIRQS + 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            assert_eq!(eoi(&mut guest, irq), EINVAL);
            assert_eq!(bind(&mut guest, irq), Err(EINVAL));
            assert_eq!(unmap(&mut guest, DomId::SELF, irq as i32), EINVAL);
            let query = PhysdevIrqStatusQuery { irq, flags: 0 };
            assert_eq!(op(&mut guest, PHYSDEVOP_IRQ_STATUS_QUERY, &query).0, EINVAL);
            let gsi = PhysdevSetupGsi { gsi: irq as i32, ..PhysdevSetupGsi::new_zeroed() };
            assert_eq!(op(&mut guest, PHYSDEVOP_SETUP_GSI, &gsi).0, EINVAL);
            assert_eq!(map(&mut guest, Map { index: irq as i32, ..GSI }).0, EINVAL);
        }
        assert_eq!(map(&mut guest, Map { pirq: NR_PIRQS as i32, ..GSI }).0, EINVAL);
        for irq in [2, INPUTS] {
            assert_eq!(map(&mut guest, Map { index: irq as i32, ..GSI }).0, EINVAL, "{irq}");
        }
        assert_eq!(map(&mut guest, Map { index: 0, ..GSI }).0, EPERM, "the timer's");
    }
}

#[test]
fn unmapped_numbers_are_nobodys() {
    let mut guest = Guest::pv32();
    assert_eq!(eoi(&mut guest, WIRE), EINVAL);
    assert_eq!(bind(&mut guest, WIRE), Err(EPERM));
    assert_eq!(unmap(&mut guest, DomId::SELF, WIRE as i32), EINVAL);
    assert_eq!(map_gsi(&mut guest, WIRE), 0);
    let port = bind(&mut guest, WIRE).unwrap();
    assert_eq!(bind(&mut guest, WIRE), Err(EEXIST));
    assert_eq!(unmap(&mut guest, DomId::SELF, WIRE as i32), 0);
    assert!(input(&guest, WIRE).unwrap().masked, "the source is stopped");
    // The port is still there, and rings no more.
    assert_eq!(map_gsi(&mut guest, WIRE), 0);
    assert_eq!(bind(&mut guest, WIRE), Err(EEXIST));
    assert_eq!(close(&mut guest, port), 0);
    assert!(bind(&mut guest, WIRE).is_ok());
}

#[test]
fn mapping_finds_the_number() {
    for mut guest in both() {
        assert_eq!(map(&mut guest, GSI), (0, 16), "the first that is not ISA's");
        assert_eq!(map(&mut guest, GSI), (0, 16), "it has one");
        assert_eq!(map(&mut guest, Map { pirq: 17, ..GSI }).0, EEXIST);
        assert_eq!(map(&mut guest, Map { pirq: 16, index: 10, ..GSI }).0, EEXIST);
        assert_eq!(map(&mut guest, Map { pirq: 16, ..GSI }), (0, 16));
        assert_eq!(map(&mut guest, Map { kind: 7, ..GSI }).0, EINVAL);
        assert_eq!(map(&mut guest, Map { kind: MAP_PIRQ_TYPE_UNKNOWN, ..GSI }).0, EINVAL);
        assert_eq!(map(&mut guest, Map { domid: DomId::new(5), ..GSI }).0, ESRCH);
        let a = [PHYSDEVOP_MAP_PIRQ.into(), NOWHERE];
        assert_eq!(guest.call(PHYSDEV_OP, &a), EFAULT);
    }
}

#[test]
fn free_numbers_are_taken_once() {
    for mut guest in both() {
        let mut take = |r#type| {
            let a = PhysdevGetFreePirq { r#type, pirq: 0xdead };
            op(&mut guest, PHYSDEVOP_GET_FREE_PIRQ, &a)
        };
        assert_eq!(take(MAP_PIRQ_TYPE_GSI).1.pirq, 16);
        assert_eq!(take(MAP_PIRQ_TYPE_GSI).1.pirq, 17);
        for pirq in (INPUTS..NR_PIRQS).rev() {
            let (result, a) = take(MAP_PIRQ_TYPE_MSI);
            assert_eq!((result, a.pirq), (0, pirq));
        }
        assert_eq!(take(MAP_PIRQ_TYPE_MSI).0, ENOSPC);
        assert_eq!(take(MAP_PIRQ_TYPE_GSI).1.pirq, 18);
        assert_eq!(eoi(&mut guest, 17), 0, "it is taken, if for nothing");
        assert_eq!(bind(&mut guest, 17), Err(EPERM));
        assert_eq!(map(&mut guest, Map { pirq: 17, ..GSI }), (0, 17));
        assert_eq!(guest.call(PHYSDEV_OP, &[PHYSDEVOP_GET_FREE_PIRQ.into(), NOWHERE]), EFAULT);
    }
}

#[test]
fn the_console_is_not_to_be_had() {
    let mut guest = Guest::pv32();
    assert_eq!(map_gsi(&mut guest, 4), 0);
    assert_eq!(bind(&mut guest, 4), Err(EBUSY));
    let gsi = PhysdevSetupGsi { gsi: 4, ..PhysdevSetupGsi::new_zeroed() };
    assert_eq!(op(&mut guest, PHYSDEVOP_SETUP_GSI, &gsi).0, EEXIST);
}

#[test]
fn one_domain_has_an_interrupt_at_a_time() {
    let (mut zero, mut one) = two();
    // Not without privilege.
    assert_eq!(map_gsi(&mut one, WIRE), EPERM);
    assert_eq!(unmap(&mut one, DomId::SELF, WIRE as i32), EPERM);
    assert_eq!(unmap(&mut zero, DomId::new(9), WIRE as i32), ESRCH);
    let gsi = PhysdevSetupGsi { gsi: WIRE as i32, ..PhysdevSetupGsi::new_zeroed() };
    assert_eq!(op(&mut one, PHYSDEVOP_SETUP_GSI, &gsi).0, EPERM);
    // Domain 0 gives it.
    let theirs = Map { domid: DomId::new(1), pirq: WIRE as i32, ..GSI };
    assert_eq!(map(&mut zero, theirs), (0, WIRE as i32));
    assert!(one.domain().permissions.has_irq(WIRE));
    assert_eq!(map_gsi(&mut zero, WIRE), 0);
    let port = bind(&mut one, WIRE).unwrap();
    assert_eq!(bind(&mut zero, WIRE), Err(EBUSY));
    assert!(raise(&one, WIRE) && take(&mut one, port));
    assert_eq!(eoi(&mut zero, WIRE), 0);
    assert!(!raise(&one, WIRE), "another's end is none");
    assert_eq!(eoi(&mut one, WIRE), 0);
    assert!(raise(&one, WIRE));
    // And takes it back: the permission goes with the mapping, but not domain 0's own.
    assert_eq!(unmap(&mut zero, DomId::new(1), WIRE as i32), 0);
    assert!(!one.domain().permissions.has_irq(WIRE));
    assert_eq!(unmap(&mut zero, DomId::SELF, WIRE as i32), 0);
    assert!(zero.domain().permissions.has_irq(WIRE));
    assert_eq!(map_gsi(&mut zero, WIRE), 0);
    assert!(bind(&mut zero, WIRE).is_ok());
}

#[test]
fn a_domain_that_goes_leaves_nothing_behind() {
    let (mut zero, mut one) = two();
    assert_eq!(map(&mut zero, Map { domid: DomId::new(1), pirq: 20, ..GSI }), (0, 20));
    let port = bind(&mut one, 20).unwrap();
    let page = one.page();
    let frame = page.mfn.raw() as u32;
    assert_eq!(op(&mut one, PHYSDEVOP_PIRQ_EOI_GMFN_V1, &frame).0, 0);
    pirq::release_all(&one.sys, one.domain());
    assert!(input(&one, WIRE).unwrap().masked);
    assert_eq!(close(&mut one, port), 0);
    check::invariants(&one.sys);
    assert_eq!(one.domain().pirqs.eoi_page(), None);
    assert_eq!(map_gsi(&mut zero, WIRE), 0);
    assert!(bind(&mut zero, WIRE).is_ok());
}

#[test]
fn a_revoked_interrupt_cannot_be_bound_or_given() {
    let mut guest = Guest::pv32();
    assert_eq!(map_gsi(&mut guest, WIRE), 0);
    guest.domain().permissions.deny_irq(WIRE);
    assert_eq!(bind(&mut guest, WIRE), Err(EPERM));
    guest.domain().permissions.deny_irq(10);
    assert_eq!(map_gsi(&mut guest, 10), EPERM);
}

#[test]
fn another_vcpu_is_told_on_its_cpu() {
    let mut guest = Guest::with(Spec { vcpus: 2, ..Spec::default() });
    guest.start_vcpu(1);
    guest.run_as(0);
    assert_eq!(map_gsi(&mut guest, WIRE), 0);
    let port = bind(&mut guest, WIRE).unwrap();
    assert!(raise(&guest, WIRE));
    let vcpu = VcpuId::new(1);
    guest.load();
    let a = EvtchnBindVcpu { port, vcpu };
    assert_eq!(guest.op(EVENT_CHANNEL_OP, EVTCHNOP_BIND_VCPU, &a).0, 0);
    let cpu = guest.domain().vcpu(vcpu).and_then(|vcpu| vcpu.run.cpu());
    assert_eq!(Some(input(&guest, WIRE).unwrap().route.cpu), cpu);
    assert!(!raise(&guest, WIRE), "it still waits for an end");
    assert_eq!(eoi(&mut guest, WIRE), 0);
    assert!(raise(&guest, WIRE));
}

#[test]
fn inputs_are_set_up_once_and_before_use() {
    for mut guest in both() {
        let mut set_up = |gsi, triggering, polarity| {
            let a = PhysdevSetupGsi { gsi, triggering, polarity, ..PhysdevSetupGsi::new_zeroed() };
            op(&mut guest, PHYSDEVOP_SETUP_GSI, &a).0
        };
        assert_eq!(set_up(20, 0, 1), 0);
        assert_eq!(set_up(20, 1, 0), EEXIST);
        assert_eq!(set_up(2, 1, 0), EINVAL);
        assert_eq!(map_gsi(&mut guest, 20), 0);
        assert_eq!(map_gsi(&mut guest, 21), 0);
        assert!(bind(&mut guest, 20).is_ok() && bind(&mut guest, 21).is_ok());
        let route = |gsi| input(&guest, gsi).unwrap().route;
        assert!(!route(20).level && route(20).active_low);
        assert!(
            route(21).level && route(21).active_low,
            "PCI's are so unless somebody knows better"
        );
        let a = PhysdevSetupGsi { gsi: 21, ..PhysdevSetupGsi::new_zeroed() };
        assert_eq!(op(&mut guest, PHYSDEVOP_SETUP_GSI, &a).0, EEXIST);
    }
}

fn apic(guest: &mut Guest, command: u32, physical: u64, reg: u32, value: u32) -> (i64, u32) {
    match guest.domain().width() {
        Width::Pv32 => {
            let a = x86_32::PhysdevApic { apic_physbase: physical as u32, reg, value };
            let (result, a) = op(guest, command, &a);
            (result, a.value)
        }
        Width::Pv64 => {
            let a = x86_64::PhysdevApic { apic_physbase: physical, reg, value };
            let (result, a) = op(guest, command, &a);
            (result, a.value)
        }
    }
}

/// The I/O APIC's registers.
const BASE: u64 = 0xfec0_0000;

#[test]
fn old_kernels_write_to_the_io_apic() {
    for mut guest in both() {
        assert_eq!(apic(&mut guest, PHYSDEVOP_APIC_READ, BASE, 1, 0), (0, 0x1001));
        assert_eq!(apic(&mut guest, PHYSDEVOP_APIC_READ, BASE + 0x1000, 1, 7), (EINVAL, 7));
        let a = PhysdevIrq { irq: 11, vector: 0 };
        assert_eq!(op(&mut guest, PHYSDEVOP_ALLOC_IRQ_VECTOR, &a).1.vector, 11);
        let write =
            |guest: &mut Guest, reg, value| apic(guest, PHYSDEVOP_APIC_WRITE, BASE, reg, value).0;
        // Other registers: nothing.
        assert_eq!(write(&mut guest, 0, !0), 0);
        assert_eq!(write(&mut guest, 0x10 + 2 * 11 + 1, !0), 0);
        assert_eq!(write(&mut guest, 0x10 + 2 * 24, 0), EINVAL);
        assert_eq!(write(&mut guest, 0x10 + 2 * 11, 4 << 8), EINVAL, "NMIs are not for devices");
        // Masked, active low, edge: only how.
        assert_eq!(write(&mut guest, 0x10 + 2 * 11, 1 << 16 | 1 << 13 | 11), 0);
        assert_eq!(bind(&mut guest, 11), Err(EPERM));
        // Not masked: mapped, too.
        assert_eq!(write(&mut guest, 0x10 + 2 * 11, 1 << 15 | 11), 0);
        assert!(bind(&mut guest, 11).is_ok());
        assert_eq!(input(&guest, 11).unwrap().route.vector, 0x30, "not what the guest wrote");
        assert!(input(&guest, 11).unwrap().route.level);
        // In use: left alone.
        assert_eq!(write(&mut guest, 0x10 + 2 * 11, 0xff), 0);
        assert!(input(&guest, 11).unwrap().route.level && !input(&guest, 11).unwrap().masked);
    }
    let (_, mut one) = two();
    assert_eq!(apic(&mut one, PHYSDEVOP_APIC_READ, BASE, 1, 0).0, EPERM);
    assert_eq!(apic(&mut one, PHYSDEVOP_APIC_WRITE, BASE, 1, 0).0, EPERM);
    assert_eq!(
        op(&mut one, PHYSDEVOP_ALLOC_IRQ_VECTOR, &PhysdevIrq { irq: 11, vector: 0 }).0,
        EPERM
    );
}

#[test]
fn the_page_says_what_needs_an_end() {
    for (mut guest, version) in both().zip([PHYSDEVOP_PIRQ_EOI_GMFN_V1, PHYSDEVOP_PIRQ_EOI_GMFN_V2])
    {
        let page = guest.page();
        let table = guest.tables[0].raw();
        let register = |guest: &mut Guest, mfn: u64| match guest.domain().width() {
            Width::Pv32 => op(guest, version, &(mfn as u32)).0,
            Width::Pv64 => op(guest, version, &mfn).0,
        };
        for bad in [table, 0xfee00, 1] {
            assert_eq!(register(&mut guest, bad), EINVAL, "{bad:#x}");
        }
        assert_eq!(register(&mut guest, page.mfn.raw()), 0);
        assert_eq!(register(&mut guest, page.mfn.raw()), EBUSY);
        guest.write(page.va, &[!0u64; 4]);
        for irq in [WIRE, EDGE] {
            assert_eq!(map_gsi(&mut guest, irq), 0);
            bind(&mut guest, irq).unwrap();
        }
        assert_eq!(guest.read::<u64>(page.va), !(1 << EDGE));
        // An end of the first version unmasks the port.
        let port = guest.domain().events.pirq_port(WIRE).unwrap();
        guest.set_masked(port.raw(), true);
        assert!(raise(&guest, WIRE));
        assert_eq!(eoi(&mut guest, WIRE), 0);
        assert_eq!(guest.masked(port.raw()), version == PHYSDEVOP_PIRQ_EOI_GMFN_V2);
        assert_eq!(guest.call(PHYSDEV_OP, &[version.into(), NOWHERE]), EFAULT);
    }
}

#[test]
fn every_status_says_that_an_end_is_needed() {
    let (_, mut one) = two();
    let (result, a) =
        op(&mut one, PHYSDEVOP_IRQ_STATUS_QUERY, &PhysdevIrqStatusQuery { irq: 3, flags: !0 });
    assert_eq!((result, a.flags), (0, XENIRQSTAT_NEEDS_EOI));
    assert_eq!(one.call(PHYSDEV_OP, &[PHYSDEVOP_IRQ_STATUS_QUERY.into(), NOWHERE]), EFAULT);
}

#[test]
fn unmasking_is_an_end_for_kernels_that_say_so() {
    let mut guest = Guest::pv32();
    assert_eq!(map_gsi(&mut guest, WIRE), 0);
    let port = bind(&mut guest, WIRE).unwrap();
    guest.set_masked(port.raw(), true);
    assert!(raise(&guest, WIRE));
    let mut notify = || guest.call(PHYSDEV_OP, &[PHYSDEVOP_IRQ_UNMASK_NOTIFY.into(), NOWHERE]);
    assert_eq!(notify(), 0);
    assert!(!raise(&guest, WIRE), "it is masked");
    guest.set_masked(port.raw(), false);
    assert_eq!(guest.call(PHYSDEV_OP, &[PHYSDEVOP_IRQ_UNMASK_NOTIFY.into(), NOWHERE]), 0);
    assert!(raise(&guest, WIRE));
}

/// A device that interrupts without end costs the hypervisor a bounded part of its time.
#[test]
fn a_storm_is_silenced_for_a_while() {
    let mut guest = Guest::pv32();
    assert_eq!(map_gsi(&mut guest, EDGE), 0);
    let port = bind(&mut guest, EDGE).unwrap();
    let vector = input(&guest, EDGE).unwrap().route.vector;
    guest.machine().advance_ns(1_000_000_000);
    let mut came = 0;
    let until = loop {
        came += 1;
        if let Some(until) = arrived(&guest.sys, vector) {
            break until;
        }
    };
    assert_eq!((came, until), (storm::MOST + 1, 1_010_000_000));
    assert!(take(&mut guest, port) && input(&guest, EDGE).unwrap().masked);
    // An end does not open it.
    assert_eq!(eoi(&mut guest, EDGE), 0);
    assert!(input(&guest, EDGE).unwrap().masked);
    assert_eq!(storm::let_go(&guest.sys, until - 1), until);
    assert!(input(&guest, EDGE).unwrap().masked);
    assert_eq!(storm::let_go(&guest.sys, until), u64::MAX);
    assert!(!input(&guest, EDGE).unwrap().masked);
    assert!(take(&mut guest, port), "the guest looks at what it may have missed");
}

/// A function with MSI at 0x50 and MSI-X at 0x70: the table at 0x1000 of BAR 1, its pending bits
/// in the page after that.
fn plug(guest: &Guest, devfn: u8, msi_control: u16) {
    let mut space = [0u8; 256];
    let mut put = |at: usize, bytes: &[u8]| space[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x00, &[0x34, 0x12, 0xe8, 0x11]);
    put(0x04, &2u16.to_le_bytes());
    put(0x06, &(1u16 << 4).to_le_bytes());
    put(0x14, &BAR.to_le_bytes());
    put(0x34, &[0x50]);
    put(0x50, &[0x05, 0x70]);
    put(0x52, &msi_control.to_le_bytes());
    put(0x70, &[0x11, 0]);
    put(0x72, &3u16.to_le_bytes());
    put(0x74, &(0x1000u32 | 1).to_le_bytes());
    put(0x78, &(0x2000u32 | 1).to_le_bytes());
    guest.machine().devices().pci.insert(devfn.into(), space);
}

/// 64 bits wide, with a mask; 64 bits wide; neither.
const WIDE_MASKABLE: u16 = 1 << 7 | 1 << 8;
const WIDE: u16 = 1 << 7;
const NARROW: u16 = 0;
const BAR: u32 = 0xfeb0_0000;
const TABLE: u64 = 0xfeb0_1000;
const DEVFN: u8 = 0x20;

const MSI: Map = Map {
    domid: DomId::SELF,
    kind: MAP_PIRQ_TYPE_MSI,
    index: -1,
    pirq: -1,
    bus: 0,
    devfn: DEVFN as i32,
    entry_nr: 0,
    table_base: 0,
};
const MSIX: Map = Map { table_base: BAR as u64, ..MSI };

fn config(guest: &Guest, at: usize, bytes: usize) -> u32 {
    let devices = guest.machine().devices();
    let space = &devices.pci[&DEVFN.into()];
    (0..bytes).fold(0, |value, i| value | u32::from(space[at + i]) << (8 * i))
}

fn register(guest: &Guest, at: u64) -> u32 {
    guest.machine().devices().registers.get(&at).copied().unwrap_or(0xdead)
}

#[test]
fn msi_messages_are_filled_in() {
    for (control, data, mask) in
        [(WIDE_MASKABLE, 0x5c, Some(0x60)), (WIDE, 0x5c, None), (NARROW, 0x58, None)]
    {
        for mut guest in both() {
            plug(&guest, DEVFN, control | 1);
            let (result, pirq) = map(&mut guest, MSI);
            assert_eq!((result, pirq), (0, NR_PIRQS as i32 - 1));
            assert_eq!(config(&guest, 0x54, 4), 0xfee0_0000);
            assert_eq!(config(&guest, data, 2), 0x30);
            assert_eq!(config(&guest, 0x52, 2), u32::from(control | 1), "enabling is domain 0's");
            if let Some(mask) = mask {
                assert_eq!(config(&guest, mask, 4) & 1, 1, "masked until it is bound");
            }
            assert_eq!(arrived(&guest.sys, 0x30), None);
            let port = bind(&mut guest, pirq as u32).unwrap();
            if let Some(mask) = mask {
                assert_eq!(config(&guest, mask, 4) & 1, 0);
            }
            arrived(&guest.sys, 0x30);
            assert!(take(&mut guest, port));
            arrived(&guest.sys, 0x30);
            assert!(take(&mut guest, port), "no end is needed");
            assert_eq!(map(&mut guest, MSI).0, EEXIST);
            assert_eq!(unmap(&mut guest, DomId::SELF, pirq), 0);
            assert_eq!(config(&guest, 0x52, 2) & 1, 0, "off");
            assert_eq!(close(&mut guest, port), 0);
            assert_eq!(map(&mut guest, MSI), (0, pirq));
        }
    }
}

#[test]
fn msix_entries_are_filled_in() {
    for mut guest in both() {
        plug(&guest, DEVFN, WIDE);
        let (result, pirq) = map(&mut guest, Map { entry_nr: 2, ..MSIX });
        assert_eq!((result, pirq), (0, NR_PIRQS as i32 - 1));
        let entry = TABLE + 2 * 16;
        assert_eq!(register(&guest, entry), 0xfee0_0000);
        assert_eq!((register(&guest, entry + 4), register(&guest, entry + 8)), (0, 0x30));
        assert_eq!(register(&guest, entry + 12), 1, "masked until it is bound");
        assert_eq!(config(&guest, 0x72, 2), 3, "enabling is domain 0's");
        for mfn in [TABLE >> 12, (TABLE >> 12) + 1] {
            assert!(guest.sys.io_memory.is_read_only(mfn));
        }
        assert!(!guest.sys.io_memory.is_read_only(u64::from(BAR) >> 12));
        let port = bind(&mut guest, pirq as u32).unwrap();
        assert_eq!(register(&guest, entry + 12), 0);
        arrived(&guest.sys, 0x30);
        assert!(take(&mut guest, port));
        let (result, other) = map(&mut guest, MSIX);
        assert_eq!((result, other), (0, pirq - 1));
        assert_eq!(map(&mut guest, Map { entry_nr: 2, ..MSIX }).0, EEXIST);
        assert_eq!(map(&mut guest, Map { entry_nr: 4, ..MSIX }).0, EINVAL);
        assert_eq!(map(&mut guest, Map { entry_nr: -1, ..MSIX }).0, EINVAL);
        assert_eq!(unmap(&mut guest, DomId::SELF, pirq), 0);
        assert_eq!(register(&guest, entry + 12), 1);
        assert!(guest.sys.io_memory.is_read_only(TABLE >> 12), "the other entry is in use");
        assert_eq!(unmap(&mut guest, DomId::SELF, other), 0);
        assert!(!guest.sys.io_memory.is_read_only(TABLE >> 12));
    }
}

#[test]
fn messages_of_nobody_are_refused() {
    let (mut zero, mut one) = two();
    assert_eq!(map(&mut one, MSI).0, EPERM);
    plug(&zero, DEVFN, WIDE);
    assert_eq!(map(&mut zero, Map { devfn: 0x28, ..MSI }).0, ENODEV, "nobody is there");
    assert_eq!(map(&mut zero, Map { domid: DomId::new(1), ..MSI }).0, ENODEV, "not its device");
    let seg = Map { kind: MAP_PIRQ_TYPE_MSI_SEG, ..MSI };
    assert_eq!(map(&mut zero, Map { bus: 1 << 16, ..seg }).0, ENODEV);
    assert_eq!(map(&mut zero, seg).0, 0);
    assert_eq!(map(&mut zero, Map { index: 3, ..MSI }).0, EINVAL);
    assert_eq!(map(&mut zero, Map { index: 100, ..MSI }).0, EPERM);
    assert_eq!(map(&mut zero, Map { index: -2, ..MSI }).0, EINVAL);
    assert_eq!(map(&mut zero, Map { pirq: 256, entry_nr: 0, ..MSIX }).0, EINVAL);
    let multi = Map { kind: MAP_PIRQ_TYPE_MULTI_MSI, ..MSI };
    assert_eq!(map(&mut zero, Map { table_base: 1, ..multi }).0, EINVAL);
    assert_eq!(map(&mut zero, Map { entry_nr: 0, ..multi }).0, EDOM);
    assert_eq!(map(&mut zero, Map { entry_nr: 33, ..multi }).0, EDOM);
    assert_eq!(map(&mut zero, Map { entry_nr: 2, ..multi }).0, EOPNOTSUPP);
    assert_eq!(map(&mut zero, Map { entry_nr: 1, ..multi }).0, EEXIST);
}

/// What a function says of itself may be anything: the hypervisor writes to no memory that it
/// should not, and follows no list for ever.
#[test]
fn a_lying_function_is_refused() {
    let mut guest = Guest::pv32();
    let try_with = |guest: &mut Guest, at: usize, bytes: &[u8]| {
        plug(guest, DEVFN, WIDE);
        if let Some(space) = guest.machine().devices().pci.get_mut(&DEVFN.into()) {
            space[at..at + bytes.len()].copy_from_slice(bytes);
        }
        map(guest, MSIX).0
    };
    for address in [guest.page().maddr(), guest.frames.last().unwrap().raw() << 12, 0x40_0000] {
        let ram = (address as u32).to_le_bytes();
        assert_eq!(try_with(&mut guest, 0x14, &ram), ENXIO, "a table in RAM, at {address:#x}");
    }
    for address in [0xfee0_0000u32, 0xfedf_f000, 0, 0xfff0_0001] {
        assert_eq!(try_with(&mut guest, 0x14, &address.to_le_bytes()), ENXIO, "{address:#x}");
    }
    assert_eq!(try_with(&mut guest, 0x14, &[4, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff]), ENXIO);
    assert_eq!(try_with(&mut guest, 0x74, &[6]), ENXIO, "a BAR that there is not");
    assert_eq!(try_with(&mut guest, 0x04, &[0]), ENXIO, "it does not answer");
    assert_eq!(try_with(&mut guest, 0x0e, &[2]), ENXIO);
    assert_eq!(try_with(&mut guest, 0x06, &[0]), ENODEV, "no capabilities");
    assert_eq!(try_with(&mut guest, 0x34, &[0x3c]), ENODEV, "a list in the header");
    assert_eq!(try_with(&mut guest, 0x51, &[0x50]), ENODEV, "a list without end");
    assert!(!guest.sys.io_memory.is_read_only(0xfee00));
    assert!(guest.machine().devices().registers.is_empty(), "something was written");
}

#[test]
fn what_was_filled_in_stays() {
    use hypervisor::trap::emulate::ports;
    let mut guest = Guest::pv32();
    plug(&guest, DEVFN, WIDE_MASKABLE);
    let write = |guest: &mut Guest, register: u8, bytes, value| {
        let address = 1 << 31 | u32::from(DEVFN) << 8 | u32::from(register & !3);
        guest.enter(|ctx| ports::write(ctx, 0xcf8, 4, address));
        guest.enter(|ctx| ports::write(ctx, 0xcfc + u16::from(register & 3), bytes, value));
        config(guest, register.into(), bytes.into())
    };
    assert_eq!(write(&mut guest, 0x54, 4, 0x1234), 0x1234, "nobody's yet");
    assert_eq!(map(&mut guest, MSI).0, 0);
    assert_eq!(write(&mut guest, 0x54, 4, 0x1234), 0xfee0_0000);
    assert_eq!(write(&mut guest, 0x5c, 1, 0x80), 0x30);
    assert_eq!(write(&mut guest, 0x60, 4, 0), 1, "the mask");
    assert_eq!(write(&mut guest, 0x52, 2, 0x181), 0x181, "domain 0 enables it");
    assert_eq!(write(&mut guest, 0x3c, 1, 9), 9);
    assert_eq!(write(&mut guest, 0x74, 4, 0x77), 0x77, "MSI-X is not in use");
}

#[test]
fn restored_messages_are_as_before() {
    let mut guest = Guest::pv32();
    plug(&guest, DEVFN, WIDE_MASKABLE);
    let (_, pirq) = map(&mut guest, MSI);
    bind(&mut guest, pirq as u32).unwrap();
    plug(&guest, DEVFN, WIDE_MASKABLE);
    let restore = PhysdevRestoreMsi { bus: 0, devfn: DEVFN };
    assert_eq!(op(&mut guest, PHYSDEVOP_RESTORE_MSI, &restore).0, 0);
    assert_eq!((config(&guest, 0x54, 4), config(&guest, 0x5c, 2)), (0xfee0_0000, 0x30));
    assert_eq!((config(&guest, 0x52, 2) & 1, config(&guest, 0x60, 4) & 1), (1, 0));
    let nobody = PhysdevRestoreMsi { bus: 0, devfn: 8 };
    assert_eq!(op(&mut guest, PHYSDEVOP_RESTORE_MSI, &nobody).0, ENODEV);
    let ext = PhysdevPciDevice { seg: 0, bus: 0, devfn: DEVFN };
    assert_eq!(op(&mut guest, PHYSDEVOP_RESTORE_MSI_EXT, &ext).0, 0);
    let far = PhysdevPciDevice { seg: 1, ..ext };
    assert_eq!(op(&mut guest, PHYSDEVOP_RESTORE_MSI_EXT, &far).0, ENODEV);
}

#[test]
fn prepared_tables_are_protected() {
    let (mut zero, mut one) = two();
    plug(&zero, DEVFN, WIDE);
    let device = PhysdevPciDevice { seg: 0, bus: 0, devfn: DEVFN };
    let (prepare, release) = (PHYSDEVOP_PREPARE_MSIX, PHYSDEVOP_RELEASE_MSIX);
    assert_eq!(op(&mut zero, release, &device).0, EBUSY);
    assert_eq!(op(&mut zero, prepare, &device).0, 0);
    assert!(zero.sys.io_memory.is_read_only(TABLE >> 12));
    assert_eq!(op(&mut zero, prepare, &device).0, EBUSY);
    assert_eq!(op(&mut zero, release, &device).0, 0);
    assert!(!zero.sys.io_memory.is_read_only(TABLE >> 12));
    assert_eq!(map(&mut zero, MSIX).0, 0);
    assert_eq!(op(&mut zero, prepare, &device).0, EBUSY);
    for command in [prepare, release, PHYSDEVOP_RESTORE_MSI_EXT, PHYSDEVOP_PCI_DEVICE_REMOVE] {
        assert_eq!(op(&mut one, command, &device).0, EPERM);
        let nobody = PhysdevPciDevice { devfn: 0, ..device };
        assert_eq!(op(&mut zero, command, &nobody).0, ENODEV);
        assert_eq!(zero.call(PHYSDEV_OP, &[command.into(), NOWHERE]), EFAULT);
    }
}

#[test]
fn devices_come_and_go() {
    let (mut zero, mut one) = two();
    plug(&zero, DEVFN, WIDE);
    let device = PhysdevManagePci { bus: 0, devfn: DEVFN };
    let ext = PhysdevManagePciExt { bus: 0, devfn: DEVFN, ..PhysdevManagePciExt::new_zeroed() };
    let any = PhysdevPciDeviceAdd { devfn: DEVFN, ..PhysdevPciDeviceAdd::new_zeroed() };
    assert_eq!(op(&mut zero, PHYSDEVOP_MANAGE_PCI_ADD, &device).0, 0);
    assert_eq!(op(&mut zero, PHYSDEVOP_MANAGE_PCI_ADD_EXT, &ext).0, 0);
    let wrong = PhysdevManagePciExt { is_extfn: 2, ..ext };
    assert_eq!(op(&mut zero, PHYSDEVOP_MANAGE_PCI_ADD_EXT, &wrong).0, EINVAL);
    assert_eq!(op(&mut zero, PHYSDEVOP_PCI_DEVICE_ADD, &any).0, 0);
    let far = PhysdevPciDeviceAdd { seg: 1, ..any };
    assert_eq!(op(&mut zero, PHYSDEVOP_PCI_DEVICE_ADD, &far).0, ENODEV);
    assert_eq!(op(&mut one, PHYSDEVOP_MANAGE_PCI_ADD, &device).0, EPERM);
    assert_eq!(op(&mut one, PHYSDEVOP_MANAGE_PCI_ADD_EXT, &ext).0, EPERM);
    assert_eq!(op(&mut one, PHYSDEVOP_PCI_DEVICE_ADD, &any).0, EPERM);
    assert_eq!(op(&mut one, PHYSDEVOP_MANAGE_PCI_REMOVE, &device).0, EPERM);
    // Its messages go with it, even if it is gone already.
    let (_, pirq) = map(&mut zero, MSI);
    bind(&mut zero, pirq as u32).unwrap();
    zero.machine().devices().pci.insert(0x38, [0; 256]);
    zero.machine().devices().pci.remove(&DEVFN.into());
    assert_eq!(op(&mut zero, PHYSDEVOP_MANAGE_PCI_REMOVE, &device).0, 0);
    assert_eq!(eoi(&mut zero, pirq as u32), EINVAL);
    assert_eq!(op(&mut zero, PHYSDEVOP_MANAGE_PCI_REMOVE, &device).0, ENODEV);
}

#[test]
fn what_the_machine_lacks_is_refused() {
    let (mut zero, mut one) = two();
    let a = PhysdevPciMmcfgReserved { flags: 1, ..PhysdevPciMmcfgReserved::new_zeroed() };
    assert_eq!(op(&mut zero, PHYSDEVOP_PCI_MMCFG_RESERVED, &a).0, ENODEV);
    assert_eq!(op(&mut one, PHYSDEVOP_PCI_MMCFG_RESERVED, &a).0, EPERM);
    let wrong = PhysdevPciMmcfgReserved { flags: 2, ..a };
    assert_eq!(op(&mut zero, PHYSDEVOP_PCI_MMCFG_RESERVED, &wrong).0, EINVAL);
    let a = PhysdevDbgpOp::new_zeroed();
    assert_eq!(op(&mut zero, PHYSDEVOP_DBGP_OP, &a).0, 0);
    assert_eq!(op(&mut one, PHYSDEVOP_DBGP_OP, &a).0, EPERM);
    for command in [PHYSDEVOP_FREE_IRQ_VECTOR, 0, 18, 32, u32::MAX] {
        assert_eq!(zero.call(PHYSDEV_OP, &[command.into(), NOWHERE]), ENOSYS);
    }
}

/// Vectors are a machine's, not a domain's; when they run out nothing is left half-done.
#[test]
fn irqs_and_vectors_run_out() {
    let mut guest = Guest::pv32();
    let mut mapped = Vec::new();
    let last = (0..=u8::MAX).find_map(|devfn| {
        plug(&guest, devfn, NARROW);
        match map(&mut guest, Map { devfn: devfn.into(), ..MSI }) {
            (0, pirq) => {
                mapped.push(pirq);
                None
            }
            (errno, _) => Some(errno),
        }
    });
    assert_eq!((last, mapped.len()), (Some(ENOSPC), 190));
    assert_eq!(map_gsi(&mut guest, WIRE), 0);
    assert_eq!(bind(&mut guest, WIRE), Err(ENOSPC));
    assert_eq!(unmap(&mut guest, DomId::SELF, mapped[7]), 0);
    assert!(bind(&mut guest, WIRE).is_ok());
    for pirq in mapped
        .into_iter()
        .filter(|pirq| guest.domain().pirqs.get(*pirq as u32).unwrap().irq().is_some())
        .collect::<Vec<_>>()
    {
        assert_eq!(unmap(&mut guest, DomId::SELF, pirq), 0);
    }
    assert_eq!(invariants::check(&guest.sys), Ok(()));
}

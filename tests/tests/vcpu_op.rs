//! `vcpu_op`: what is left of it beside the timers (`time.rs`).

use std::sync::atomic::Ordering;

use hypervisor::exit::Next;
use hypervisor::sched;
use hypervisor::width::Width;
use pv_abi::errno::Errno;
use pv_abi::event_channel::*;
use pv_abi::hypercall::{EVENT_CHANNEL_OP, SCHED_OP, VCPU_OP, VM_ASSIST};
use pv_abi::sched::SCHEDOP_BLOCK;
use pv_abi::time::VcpuTimeInfo;
use pv_abi::types::{Port, VcpuId};
use pv_abi::vcpu::*;
use pv_abi::vm_assist::{VMASST_CMD_ENABLE, VMASST_TYPE_RUNSTATE_UPDATE_FLAG};
use pv_abi::{x86_32, x86_64};
use pv_tests::check;
use pv_tests::guest::{Guest, Page, Spec};

const EFAULT: i64 = Errno::EFAULT.to_ret();
const EINVAL: i64 = Errno::EINVAL.to_ret();
const ENOENT: i64 = Errno::ENOENT.to_ret();
const ENOSYS: i64 = Errno::ENOSYS.to_ret();
const ENXIO: i64 = Errno::ENXIO.to_ret();

/// An address where nothing is mapped.
const NOWHERE: u64 = 0x10_0000;

fn both() -> impl Iterator<Item = Guest> {
    [Width::Pv32, Width::Pv64]
        .into_iter()
        .map(|width| Guest::with(Spec { width, vcpus: 3, ..Spec::default() }))
}

fn call(guest: &mut Guest, cmd: u32, vcpu: u32, arg: u64) -> i64 {
    guest.call(VCPU_OP, &[cmd.into(), vcpu.into(), arg])
}

fn register_info(guest: &mut Guest, vcpu: u32, mfn: u64, offset: u32) -> i64 {
    let arg = VcpuRegisterVcpuInfo { mfn, offset, rsvd: 0 };
    guest.vcpu_op(VCPUOP_REGISTER_VCPU_INFO, vcpu, &arg)
}

fn bind_ipi(guest: &mut Guest, vcpu: u32) -> u32 {
    let arg = EvtchnBindIpi { vcpu: VcpuId::new(vcpu), port: Port::new(0) };
    let (result, out) = guest.op(EVENT_CHANNEL_OP, EVTCHNOP_BIND_IPI, &arg);
    assert_eq!(result, 0);
    out.port.raw()
}

fn send(guest: &mut Guest, port: u32) {
    assert_eq!(guest.op(EVENT_CHANNEL_OP, EVTCHNOP_SEND, &port).0, 0);
}

// ---- in general -------------------------------------------------------------------------

#[test]
fn a_vcpu_that_is_not_there_is_enoent_whatever_is_asked() {
    for mut guest in both() {
        for cmd in (0..20).chain([u32::MAX]) {
            for vcpu in [3, 31, 32, 33, 0x8000_0000, u32::MAX] {
                assert_eq!(call(&mut guest, cmd, vcpu, NOWHERE), ENOENT, "{cmd} {vcpu}");
            }
        }
    }
}

#[test]
fn commands_that_are_not_there_are_enosys() {
    for mut guest in both() {
        for cmd in [14, 99, u32::MAX] {
            assert_eq!(call(&mut guest, cmd, 0, NOWHERE), ENOSYS, "{cmd}");
        }
    }
}

#[test]
fn is_up_tells_who_was_started() {
    for mut guest in both() {
        assert_eq!(call(&mut guest, VCPUOP_IS_UP, 0, 0), 1);
        assert_eq!(call(&mut guest, VCPUOP_IS_UP, 1, 0), 0);
        guest.start_vcpu(1);
        assert_eq!(call(&mut guest, VCPUOP_IS_UP, 1, 0), 1);
    }
}

// ---- vcpu_info --------------------------------------------------------------------------

#[test]
fn vcpu_info_moves_with_all_that_is_in_it() {
    for mut guest in both() {
        let page = guest.page();
        let port = bind_ipi(&mut guest, 0);
        guest.info_words(0)[6].store(0x1234_5678, Ordering::SeqCst);
        let old = guest.vcpu().info_address();
        assert_eq!(register_info(&mut guest, 0, page.mfn.raw(), 64), 0);
        assert_eq!(guest.vcpu().info_address(), page.maddr() + 64);
        check::invariants(&guest.sys);
        assert!(guest.upcalls_masked(), "the mask went along");
        assert_eq!(guest.info_words(0)[6].load(Ordering::SeqCst), 0x1234_5678);
        // Everything looks pending, once.
        let all = if guest.domain().width() == Width::Pv32 { u32::MAX.into() } else { u64::MAX };
        assert!(guest.upcall_pending(0));
        assert_eq!(guest.selector(0), all);
        guest.forget_events(0);
        // Events come to the new place, and the guest sees them there.
        send(&mut guest, port);
        assert_eq!(guest.selector(0), 1);
        assert_eq!(guest.read::<u8>(page.va + 64), 1);
        let time: VcpuTimeInfo = guest.read(page.va + 64 + 32);
        assert_eq!(time.version % 2, 0);
        assert_ne!(time.tsc_to_system_mul, 0, "the clock went along");
        assert_eq!(register_info(&mut guest, 0, page.mfn.raw(), 128), EINVAL, "once only");
        assert_ne!(guest.vcpu().info_address(), old);
    }
}

#[test]
fn vcpu_info_lies_within_a_frame_and_aligned() {
    for mut guest in both() {
        let Page { mfn, .. } = guest.page();
        let align = if guest.domain().width() == Width::Pv32 { 4 } else { 8 };
        for offset in [4096 - 63, 4096, 1 << 31, u32::MAX, 1, 2, 3, align / 2, align + 1] {
            assert_eq!(register_info(&mut guest, 0, mfn.raw(), offset), ENXIO, "{offset}");
        }
        for nothing in [0, guest.sys.memory.frame_count(), 1 << 40, 1 << 52, u64::MAX] {
            assert_eq!(register_info(&mut guest, 0, nothing, 0), EINVAL, "{nothing:#x}");
        }
        assert_eq!(call(&mut guest, VCPUOP_REGISTER_VCPU_INFO, 0, NOWHERE), EFAULT);
        // A frame of the hypervisor's, and one that is a page table.
        let frame = guest.sys.memory.allocate(hypervisor::mm::frame::Owner::Hypervisor, 0).unwrap();
        assert_eq!(register_info(&mut guest, 0, frame.raw(), 0), EINVAL);
        let table = guest.tables[1].raw();
        assert_eq!(register_info(&mut guest, 0, table, 0), EINVAL);
        guest.sys.memory.release(frame, 0);
        check::invariants(&guest.sys);
        assert!(guest.vcpu().registered_info().is_none());
        assert_eq!(register_info(&mut guest, 0, mfn.raw(), 4096 - 64), 0, "the last place");
    }
}

#[test]
fn vcpu_info_of_another_vcpu_moves_while_it_is_down() {
    for mut guest in both() {
        let Page { mfn, .. } = guest.page();
        assert_eq!(register_info(&mut guest, 1, mfn.raw(), 0), 0);
        assert_eq!(register_info(&mut guest, 1, mfn.raw(), 64), EINVAL);
        guest.start_vcpu(2);
        guest.run_as(0);
        assert_eq!(register_info(&mut guest, 2, mfn.raw(), 64), EINVAL, "it is up");
        guest.run_as(2);
        assert_eq!(register_info(&mut guest, 2, mfn.raw(), 64), 0, "itself");
        check::invariants(&guest.sys);
    }
}

#[test]
fn the_frame_of_vcpu_info_becomes_no_page_table() {
    let mut guest = Guest::pv32();
    let page = guest.page();
    assert_eq!(register_info(&mut guest, 0, page.mfn.raw(), 0), 0);
    guest.enter(|ctx| {
        let mut types = ctx.sys.page_types(ctx.domain);
        assert!(types.get(page.mfn, hypervisor::mm::frame::Type::L1).is_err());
    });
    check::invariants(&guest.sys);
}

// ---- runstate ---------------------------------------------------------------------------

/// A record, as a guest of either width reads it: state, since, times.
fn runstate(guest: &Guest, at: u64) -> (i32, u64, [u64; 4]) {
    match guest.domain().width() {
        Width::Pv32 => {
            let r: x86_32::VcpuRunstateInfo = guest.read(at);
            (r.state, r.state_entry_time.get(), r.time.map(|t| t.get()))
        }
        Width::Pv64 => {
            let r: x86_64::VcpuRunstateInfo = guest.read(at);
            (r.state, r.state_entry_time, r.time)
        }
    }
}

/// Sleeps for `ns`.
fn sleep(guest: &mut Guest, ns: u64) {
    assert_eq!(guest.call(SCHED_OP, &[SCHEDOP_BLOCK.into(), 0]), 0);
    assert_eq!(guest.leave(), Next::Switch);
    assert_eq!(guest.pick(), None);
    guest.machine().advance_ns(ns);
    sched::wake(&guest.sys, guest.domain(), guest.vcpu());
    assert_eq!(guest.pick(), Some((0, 0)));
    guest.enter(|ctx| sched::resumed(ctx));
}

#[test]
fn time_is_accounted_for() {
    for mut guest in both() {
        let at = guest.page().va;
        guest.machine().advance_ns(100);
        sleep(&mut guest, 1000);
        guest.machine().advance_ns(10);
        assert_eq!(call(&mut guest, VCPUOP_GET_RUNSTATE_INFO, 0, at), 0);
        assert_eq!(runstate(&guest, at), (RUNSTATE_RUNNING, 1100, [110, 0, 1000, 0]));
        assert_eq!(call(&mut guest, VCPUOP_GET_RUNSTATE_INFO, 1, at), 0);
        assert_eq!(runstate(&guest, at), (RUNSTATE_OFFLINE, 0, [0, 0, 0, 1110]));
        assert_eq!(call(&mut guest, VCPUOP_GET_RUNSTATE_INFO, 0, NOWHERE), EFAULT);
    }
}

fn register_area(guest: &mut Guest, cmd: u32, vcpu: u32, at: u64) -> i64 {
    match guest.domain().width() {
        // Four bytes are the argument; what follows is not read.
        Width::Pv32 => guest.vcpu_op(cmd, vcpu, &[at as u32, 0xffff_ffff]),
        Width::Pv64 => guest.vcpu_op(cmd, vcpu, &at),
    }
}

#[test]
fn a_registered_area_shows_the_state_at_each_change() {
    for mut guest in both() {
        // Not aligned to anything.
        let at = guest.page().va + 4093;
        guest.page();
        guest.machine().advance_ns(100);
        let cmd = VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA;
        assert_eq!(register_area(&mut guest, cmd, 0, at), 0);
        assert_eq!(runstate(&guest, at), (RUNSTATE_RUNNING, 0, [0; 4]), "at once");
        assert_eq!(guest.call(SCHED_OP, &[SCHEDOP_BLOCK.into(), 0]), 0);
        assert_eq!(guest.leave(), Next::Switch);
        assert_eq!(runstate(&guest, at), (RUNSTATE_BLOCKED, 100, [100, 0, 0, 0]));
        guest.machine().advance_ns(50);
        sched::wake(&guest.sys, guest.domain(), guest.vcpu());
        guest.machine().advance_ns(5);
        guest.pick();
        guest.enter(|ctx| sched::resumed(ctx));
        assert_eq!(runstate(&guest, at), (RUNSTATE_RUNNING, 155, [100, 5, 50, 0]));
        // With the flag on it is the same in the end.
        let flag = u64::from(VMASST_TYPE_RUNSTATE_UPDATE_FLAG);
        assert_eq!(guest.call(VM_ASSIST, &[VMASST_CMD_ENABLE.into(), flag]), 0);
        sleep(&mut guest, 1000);
        assert_eq!(runstate(&guest, at), (RUNSTATE_RUNNING, 1155, [100, 5, 1050, 0]));
        // A null handle ends it.
        assert_eq!(register_area(&mut guest, cmd, 0, 0), 0);
        sleep(&mut guest, 1000);
        assert_eq!(runstate(&guest, at).1, 1155);
    }
}

#[test]
fn an_area_that_is_not_mapped_is_the_guests_own_affair() {
    for mut guest in both() {
        for cmd in [VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA, VCPUOP_REGISTER_VCPU_TIME_MEMORY_AREA] {
            assert_eq!(register_area(&mut guest, cmd, 0, NOWHERE), 0);
            sleep(&mut guest, 10);
            // What cannot be the guest's is refused, and the old one stays.
            let wild = match guest.domain().width() {
                Width::Pv32 => 0xffff_ffe1,
                Width::Pv64 => 0xffff_8000_0000_0000,
            };
            assert_eq!(register_area(&mut guest, cmd, 0, wild), EFAULT);
            assert_eq!(call(&mut guest, cmd, 0, NOWHERE), EFAULT);
        }
        // A page table is mapped, but not written.
        let table = guest.va_of(guest.tables[1]);
        let before: [u64; 8] = guest.read(table);
        let cmd = VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA;
        assert_eq!(register_area(&mut guest, cmd, 0, table), 0);
        sleep(&mut guest, 10);
        assert_eq!(guest.read::<[u64; 8]>(table), before);
        check::invariants(&guest.sys);
    }
}

#[test]
fn the_clock_has_a_second_place() {
    for mut guest in both() {
        let at = guest.page().va + 4;
        let cmd = VCPUOP_REGISTER_VCPU_TIME_MEMORY_AREA;
        guest.machine().advance_ns(777);
        assert_eq!(register_area(&mut guest, cmd, 0, at), 0);
        let clock: VcpuTimeInfo = guest.read(at);
        assert_eq!((clock.version, clock.system_time, clock.flags), (2, 777, 1));
        assert_eq!(register_area(&mut guest, cmd, 0, at), 0);
        assert_eq!(guest.read::<u32>(at), 4, "each update has a version");
        assert_eq!(register_area(&mut guest, cmd, 1, at + 64), 0, "of a vCPU that is down");
        assert_eq!(guest.read::<u32>(at + 64), 2);
        assert_eq!(register_area(&mut guest, cmd, 0, 0), 0, "none");
    }
}

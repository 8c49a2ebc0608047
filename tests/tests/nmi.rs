//! NMIs of guests: `VCPUOP_send_nmi`, `nmi_op`, and the way back.

use hypervisor::exit::Next;
use hypervisor::platform::FrameAccess;
use hypervisor::sched::State;
use hypervisor::width::Width;
use pv_abi::errno::Errno;
use pv_abi::hypercall as nr;
use pv_abi::nmi::{XENNMI_REGISTER_CALLBACK, XENNMI_UNREGISTER_CALLBACK};
use pv_abi::sched::SCHEDOP_BLOCK;
use pv_abi::vcpu::VCPUOP_SEND_NMI;
use pv_abi::x86_32::{FLAT_KERNEL_CS, XennmiCallback};
use pv_abi::x86_64;
use pv_tests::guest::{Guest, Spec};
use std::sync::atomic::Ordering;

const EFAULT: i64 = Errno::EFAULT.to_ret();
const EINVAL: i64 = Errno::EINVAL.to_ret();
const ENOENT: i64 = Errno::ENOENT.to_ret();
const ENOSYS: i64 = Errno::ENOSYS.to_ret();

/// An address where nothing is mapped.
const NOWHERE: u64 = 0x10_0000;
const HANDLER: u32 = 0xc000_4560;
const CODE: u64 = 0xc000_7000;

/// A guest with a kernel stack and an NMI handler.
fn guest() -> Guest {
    let mut guest = Guest::with(Spec { vcpus: 2, ..Spec::default() });
    guest.kernel_stack();
    let callback = XennmiCallback { handler_address: HANDLER, pad: 0 };
    assert_eq!(guest.op(nr::NMI_OP, XENNMI_REGISTER_CALLBACK, &callback).0, 0);
    guest
}

fn send(guest: &mut Guest, vcpu: u32) -> i64 {
    guest.call(nr::VCPU_OP, &[VCPUOP_SEND_NMI.into(), vcpu.into(), 0])
}

/// Goes on to the guest's code, as if it had been running.
fn resume(guest: &mut Guest) -> bool {
    guest.regs.rip = CODE;
    assert_eq!(guest.resume(), Next::Resume);
    guest.regs.rip == u64::from(HANDLER)
}

/// The handler's way back: the hypercall, with what the NMI pushed.
fn iret(guest: &mut Guest) {
    guest.regs.rsp -= 4;
    guest.write(guest.regs.rsp, &0u32);
    guest.call(nr::IRET, &[]);
}

#[test]
fn an_nmi_enters_its_handler_though_upcalls_are_masked() {
    let mut guest = guest();
    guest.mask_upcalls(true);
    let rsp = guest.regs.rsp;
    assert_eq!(send(&mut guest, 0), 0);
    assert!(resume(&mut guest));
    assert_eq!(guest.regs.cs, FLAT_KERNEL_CS);
    let [eip, cs, _] = guest.stack::<3>();
    assert_eq!((eip, cs), (CODE as u32, u32::from(FLAT_KERNEL_CS) | 1 << 16));
    iret(&mut guest);
    assert_eq!((guest.regs.rip, guest.regs.rsp), (CODE, rsp));
    assert!(!resume(&mut guest), "one");
    assert!(guest.upcalls_masked());
}

#[test]
fn upcalls_are_masked_in_the_handler() {
    let mut guest = guest();
    guest.mask_upcalls(false);
    assert_eq!(send(&mut guest, 0), 0);
    assert!(resume(&mut guest));
    assert!(guest.upcalls_masked());
    iret(&mut guest);
    assert!(!guest.upcalls_masked(), "as it was");
}

#[test]
fn an_nmi_within_its_handler_waits_for_the_way_back() {
    let mut guest = guest();
    assert_eq!(send(&mut guest, 0), 0);
    assert!(resume(&mut guest));
    assert_eq!(send(&mut guest, 0), 0);
    assert_eq!(send(&mut guest, 0), 0);
    assert!(!resume(&mut guest), "it is in its handler");
    assert!(guest.vcpu().run.may_run_on(), "and not bothered again and again");
    guest.regs.rip = HANDLER.into();
    iret(&mut guest);
    assert!(resume(&mut guest), "two are one, but one there is");
    iret(&mut guest);
    assert!(!resume(&mut guest));
}

#[test]
fn without_a_handler_an_nmi_is_lost() {
    let mut guest = guest();
    assert_eq!(guest.call(nr::NMI_OP, &[XENNMI_UNREGISTER_CALLBACK.into(), 0]), 0);
    assert_eq!(send(&mut guest, 0), 0);
    assert!(!resume(&mut guest));
    assert!(guest.vcpu().run.may_run_on() && !guest.crashed());
    let callback = XennmiCallback { handler_address: HANDLER, pad: 0 };
    assert_eq!(guest.op(nr::NMI_OP, XENNMI_REGISTER_CALLBACK, &callback).0, 0);
    assert!(!resume(&mut guest));
}

#[test]
fn a_reason_that_nobody_has_taken_is_raised_when_the_handler_comes() {
    let mut guest = Guest::with(Spec { vcpus: 2, ..Spec::default() });
    guest.kernel_stack();
    // `arch.nmi_reason`: after 32 vcpu_info, two bitmaps, the wall clock and two words.
    let words = guest.machine().half_words(guest.domain().shared_info);
    words[(2048 + 256 + 12 + 8) / 4].store(1, Ordering::SeqCst);
    let callback = XennmiCallback { handler_address: HANDLER, pad: 0 };
    assert_eq!(guest.op(nr::NMI_OP, XENNMI_REGISTER_CALLBACK, &callback).0, 0);
    assert!(resume(&mut guest));
}

#[test]
fn an_nmi_wakes_a_vcpu_and_kicks_its_cpu() {
    let mut guest = guest();
    assert_eq!(guest.call(nr::SCHED_OP, &[SCHEDOP_BLOCK.into(), 0]), 0);
    assert_eq!(guest.leave(), Next::Switch);
    assert_eq!(guest.pick(), None);
    // The first CPU has nothing to do, so the second vCPU is started on the other by hand.
    let one = guest.domain().vcpu(pv_abi::types::VcpuId::new(1)).unwrap();
    hypervisor::sched::affinity::set_affinity(&guest.sys, one, 0b10).unwrap();
    guest.start_vcpu(1);
    let kicks = guest.machine().cpu(0).kicks;
    assert_eq!(send(&mut guest, 0), 0);
    assert_eq!(guest.machine().cpu(0).kicks, kicks + 1);
    guest.run_as(0);
    assert_eq!(guest.vcpu().run.state(), State::Runnable);
    assert_eq!(guest.pick(), Some((0, 0)));
    assert!(resume(&mut guest));
    guest.run_as(1);
    assert_eq!(send(&mut guest, 0), 0);
    assert_eq!(guest.machine().cpu(0).kicks, kicks + 2, "it runs there");
}

#[test]
fn an_nmi_that_comes_just_before_sleep_is_not_slept_through() {
    let mut guest = guest();
    // Another CPU's `send_nmi`, which finds the vCPU running: in its hypercall, as it is.
    guest.vcpu().run.request_nmi();
    assert_eq!(guest.call(nr::SCHED_OP, &[SCHEDOP_BLOCK.into(), 0]), 0);
    assert_eq!(guest.leave(), Next::Switch);
    assert_eq!(guest.pick(), Some((0, 0)), "it does not sleep");
    assert_eq!(guest.regs.rip, u64::from(HANDLER));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut guest = guest();
    let with_argument = [VCPUOP_SEND_NMI.into(), 0, 1];
    assert_eq!(guest.call(nr::VCPU_OP, &with_argument), EINVAL);
    assert_eq!(send(&mut guest, 2), ENOENT);
    assert_eq!(send(&mut guest, 1), 0, "one that is down may get it later");
    assert_eq!(guest.call(nr::NMI_OP, &[XENNMI_REGISTER_CALLBACK.into(), NOWHERE]), EFAULT);
    for cmd in [2, u32::MAX] {
        assert_eq!(guest.call(nr::NMI_OP, &[cmd.into(), NOWHERE]), ENOSYS);
    }
    let mut wide = Guest::with(Spec { width: Width::Pv64, ..Spec::default() });
    let callback = x86_64::XennmiCallback { handler_address: 0x8000_0000_0000, pad: 0 };
    assert_eq!(wide.op(nr::NMI_OP, XENNMI_REGISTER_CALLBACK, &callback).0, EINVAL);
}

#[test]
fn an_nmi_that_finds_no_stack_ends_the_domain() {
    let mut guest = guest();
    guest.regs.rsp = NOWHERE;
    assert_eq!(send(&mut guest, 0), 0);
    assert_eq!(guest.resume(), Next::Switch);
    assert!(guest.crashed());
}

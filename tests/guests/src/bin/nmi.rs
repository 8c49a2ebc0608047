//! NMIs enter their handler though upcalls are masked, wake a vCPU that sleeps, and come one at a time.
//!
//! `xen/include/public/nmi.h`, `vcpu.h` (VCPUOP_send_nmi). Expected: without a handler an NMI is lost;
//! with one each `send_nmi` is one entry, left by the iret hypercall; one that comes while the handler
//! runs waits for its end; sent to a vCPU that polls it ends the poll.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: an NMI handler in assembly.
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::errno::Errno;
use pv_abi::hypercall::{NMI_OP, VCPU_OP};
use pv_abi::nmi::{XENNMI_REGISTER_CALLBACK, XENNMI_UNREGISTER_CALLBACK};
use pv_abi::traps::TI_IF;
use pv_abi::types::VcpuId;
use pv_abi::vcpu::*;
use pv_abi::vectors::NMI;
use pv_abi::x86_32::VcpuRunstateInfo;
use pv_guests::call::{address_of, ret};
use pv_guests::{Outcome, StartInfo, check, check_eq, clock, guest, vcpus, with_argument};
use ring1::abi::{FLAT_KERNEL_CS, TrapInfo, XennmiCallback};
use ring1::{calls, events};
use zerocopy::FromZeros;

guest!(run);

static COUNT: AtomicU32 = AtomicU32::new(0);
static POLLS: AtomicU32 = AtomicU32::new(0);
/// How many more the handler is to send to its own vCPU, vCPU 0.
static MORE: AtomicU32 = AtomicU32::new(0);
/// Handlers that run on vCPU 0, and the most at a time.
static DEPTH: AtomicU32 = AtomicU32::new(0);
static DEEPEST: AtomicU32 = AtomicU32::new(0);

/// Counts, sends what is to be sent, and leaves by slot 23 of the hypercall page.
#[unsafe(naked)]
extern "C" fn handler() {
    core::arch::naked_asm!(
        "pushad",
        "lock inc dword ptr [{count}]",
        "call {send_more}",
        "popad",
        "jmp hypercall_page + 23 * 32",
        count = sym COUNT,
        send_more = sym send_more,
    )
}

extern "C" fn send_more() {
    if MORE.load(Ordering::SeqCst) == 0 {
        return;
    }
    let depth = DEPTH.fetch_add(1, Ordering::SeqCst) + 1;
    DEEPEST.fetch_max(depth, Ordering::SeqCst);
    if MORE.fetch_sub(1, Ordering::SeqCst) > 1 {
        send(0);
        send(0);
    }
    DEPTH.fetch_sub(1, Ordering::SeqCst);
}

fn count() -> u32 {
    COUNT.load(Ordering::SeqCst)
}

fn send(vcpu: u32) -> i32 {
    vcpus::vcpu_op(VCPUOP_SEND_NMI, VcpuId::new(vcpu))
}

extern "C" fn second() -> ! {
    loop {
        vcpus::poll(0, 0);
        POLLS.fetch_add(1, Ordering::SeqCst);
    }
}

/// Whether the other vCPU sleeps.
fn asleep() -> bool {
    let mut info = VcpuRunstateInfo::new_zeroed();
    let asked = calls::vcpu_op_with(VCPUOP_GET_RUNSTATE_INFO, VcpuId::new(1), &mut info);
    asked.is_ok() && info.state == RUNSTATE_BLOCKED
}

/// Whether that comes true within seconds.
fn reached(mut what: impl FnMut() -> bool) -> bool {
    let end = clock::now() + 5_000_000_000;
    while clock::now() < end {
        if what() {
            return true;
        }
        vcpus::yield_now();
    }
    what()
}

fn run(_: &'static StartInfo) -> Outcome {
    events::mask();
    check_eq!(with_argument(NMI_OP, XENNMI_UNREGISTER_CALLBACK, &mut 0), 0, "unregister");
    check_eq!(send(0), 0, "send without a handler");
    let address = handler as *const () as usize as u32;
    let mut callback = XennmiCallback { handler_address: address, pad: 0 };
    check_eq!(with_argument(NMI_OP, XENNMI_REGISTER_CALLBACK, &mut callback), 0, "register");
    check_eq!(count(), 0, "NMIs that were lost");
    for sent in 1..=10 {
        check_eq!(send(0), 0, "send to itself");
        check_eq!(count(), sent, "entries after {sent} NMIs");
    }
    check!(events::is_masked(), "upcalls are not masked any more");
    // The first sends two, which are one: so many may wait.
    MORE.store(2, Ordering::SeqCst);
    check_eq!(send(0), 0, "send to itself");
    check_eq!(count(), 12, "entries after one that came while the handler ran");
    check_eq!(DEEPEST.load(Ordering::SeqCst), 1, "handlers at a time");
    let with_an_argument = vcpus::hypercall(VCPU_OP, [VCPUOP_SEND_NMI, 0, 1]);
    check_eq!(with_an_argument, ret(Errno::EINVAL), "send with an argument");

    let mut context = vcpus::context(1, second);
    context.trap_ctxt[NMI as usize] =
        TrapInfo { vector: NMI, flags: TI_IF, cs: FLAT_KERNEL_CS, address };
    let initialise = [VCPUOP_INITIALISE, 1, address_of(&mut context)];
    check_eq!(vcpus::hypercall(VCPU_OP, initialise), 0, "initialise");
    check_eq!(vcpus::vcpu_op(VCPUOP_UP, VcpuId::new(1)), 0, "up");
    for sent in 13..=22 {
        check!(reached(asleep), "it polls again after {sent} NMIs");
        let polls = POLLS.load(Ordering::SeqCst);
        check_eq!(send(1), 0, "send to the other");
        let ended = || count() == sent && POLLS.load(Ordering::SeqCst) > polls;
        check!(reached(ended), "NMI {sent} ends the poll: {} entries", count());
    }
    // Now it may be anywhere: in its handler, on its way into a poll.
    for sent in 23..=42 {
        check_eq!(send(1), 0, "send to the other");
        check!(reached(|| count() == sent), "NMI {sent} is taken: {} entries", count());
    }
    Ok(())
}

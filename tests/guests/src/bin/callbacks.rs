//! callback_op and set_callbacks: registering entry points.
//!
//! `xen/include/public/callback.h`; Xen 4.17 `arch/x86/pv/callback.c`. Expected: event, failsafe and
//! sysenter callbacks can be registered; event and failsafe cannot be unregistered (-EINVAL);
//! unknown types are -ENOSYS; an event then arrives at the new entry point.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: an entry point in assembly.
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::callback::*;
use pv_abi::hypercall::CALLBACK_OP;
use pv_abi::types::VcpuId;
use pv_guests::{Outcome, StartInfo, check_eq, guest, must, with_argument};
use ring1::abi::{Callback, CallbackRegister};
use ring1::{calls, events};

guest!(run);

static ENTERED: AtomicU32 = AtomicU32::new(0);

/// Counts, and returns by the iret hypercall with upcalls masked.
#[unsafe(naked)]
extern "C" fn entry() {
    core::arch::naked_asm!(
        "inc dword ptr [{entered}]",
        "and dword ptr [esp + 8], ~0x200",
        "jmp hypercall_page + 23 * 32",
        entered = sym ENTERED,
    )
}

fn register(kind: u16, flags: u16, eip: u32) -> i32 {
    let address = Callback { cs: 0xe019, eip };
    let mut argument = CallbackRegister { r#type: kind, flags, _pad: [], address };
    with_argument(CALLBACK_OP, CALLBACKOP_REGISTER, &mut argument)
}

fn unregister(kind: u16) -> i32 {
    let mut argument = CallbackUnregister { r#type: kind, _unused: 0 };
    with_argument(CALLBACK_OP, CALLBACKOP_UNREGISTER, &mut argument)
}

fn run(_: &'static StartInfo) -> Outcome {
    let at = entry as *const () as u32;
    check_eq!(register(CALLBACKTYPE_EVENT, 0, at), 0, "the event callback");
    check_eq!(register(CALLBACKTYPE_FAILSAFE, CALLBACKF_MASK_EVENTS, at), 0, "failsafe");
    check_eq!(unregister(CALLBACKTYPE_EVENT), -22, "unregister event");
    check_eq!(unregister(CALLBACKTYPE_FAILSAFE), -22, "unregister failsafe");
    for kind in [1, 8, 100, 0xffff] {
        if kind != 1 {
            check_eq!(register(kind, 0, at), -38, "type {kind}");
            check_eq!(unregister(kind), -38, "unregister type {kind}");
        }
    }
    let port = must(calls::evtchn_bind_ipi(VcpuId::new(0)), "bind_ipi")?;
    events::unmask_port(port);
    must(calls::evtchn_send(port), "send")?;
    check_eq!(ENTERED.load(Ordering::Relaxed), 0, "upcalls while masked");
    events::unmask();
    check_eq!(ENTERED.load(Ordering::Relaxed), 1, "upcalls at the new entry point");
    check_eq!(events::is_masked(), true, "the mask that the frame said");
    Ok(())
}

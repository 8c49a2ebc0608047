//! An event upcall onto a bad stack ends the domain.
//!
//! Xen 4.17 `arch/x86/x86_64/compat/entry.S`. A pending event, then a hypercall on a stack pointer
//! to nothing: the upcall on the way back finds no stack. Expected: CRASH.
#![no_std]
#![no_main]
use pv_abi::types::VcpuId;
use pv_guests::{Outcome, StartInfo, code, guest, must};
use ring1::{calls, events};

guest!(run);

code! {
    on_nothing: "mov ecx, esp", "mov esp, 0x100000", "mov eax, 17", "xor ebx, ebx", "int 0x82",
        "mov esp, ecx", "ret";
}

fn run(_: &'static StartInfo) -> Outcome {
    events::mask();
    let port = must(calls::evtchn_bind_ipi(VcpuId::new(0)), "binding an IPI port")?;
    must(calls::evtchn_unmask(port), "unmasking it")?;
    must(calls::evtchn_send(port), "sending")?;
    ring1::shared::upcall_mask().store(0, core::sync::atomic::Ordering::SeqCst);
    on_nothing();
    Ok(())
}

//! The iret hypercall to a selector of RPL 0 ends the domain.
//!
//! Xen 4.17 `arch/x86/pv/iret.c` (compat_iret: "if ( unlikely(!(regs->cs & 3)) ) crash").
//! Expected: CRASH.
#![no_std]
#![no_main]
use pv_guests::{Outcome, StartInfo, code, guest};

guest!(run);

code! {
    iret_to_ring0: "pushfd", "push 0xe008", "push 0x80100000", "push 0", "mov eax, 23", "int 0x82",
        "ud2";
}

fn run(_: &'static StartInfo) -> Outcome {
    iret_to_ring0();
    Ok(())
}

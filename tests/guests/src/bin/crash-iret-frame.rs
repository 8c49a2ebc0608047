//! The iret hypercall with a frame that cannot be read ends the domain.
//!
//! Xen 4.17 `arch/x86/pv/iret.c` (compat_iret: exit_and_crash). Expected: CRASH.
#![no_std]
#![no_main]
use pv_guests::{Outcome, StartInfo, code, guest};

guest!(run);

code! {
    iret_on_nothing: "mov esp, 0x100000", "mov eax, 23", "int 0x82", "ud2";
}

fn run(_: &'static StartInfo) -> Outcome {
    iret_on_nothing();
    Ok(())
}

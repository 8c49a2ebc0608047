//! A trap without a handler (no entry in the trap table) ends the domain.
//!
//! Xen 4.17 `arch/x86/x86_64/compat/entry.S` (a null cs in the trap table). Expected: CRASH.
#![no_std]
#![no_main]
use pv_abi::hypercall::SET_TRAP_TABLE;
use pv_guests::{Outcome, StartInfo, check, code, guest, hypercall};

guest!(run);

code! { undefined: "ud2", "ret"; }

fn run(_: &'static StartInfo) -> Outcome {
    check!(hypercall(SET_TRAP_TABLE, &[0]) == 0, "clearing the trap table");
    undefined();
    Ok(())
}

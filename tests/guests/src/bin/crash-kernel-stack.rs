//! A trap whose frame cannot be written to the kernel stack ends the domain, and nothing else.
//!
//! Xen 4.17 `arch/x86/x86_64/compat/entry.S` (compat_create_bounce_frame, compat_crash_page_fault).
//! Expected: CRASH (reason crash), with a sentence of the hypervisor's.
#![no_std]
#![no_main]
use pv_guests::user::{User, leave};
use pv_guests::{Outcome, StartInfo, code, guest, must};
use ring1::calls;
use ring1::probe::user_registers;

guest!(run);

code! { system_call: "int 0x80", "ud2"; }

fn run(_: &'static StartInfo) -> Outcome {
    let user = User::new()?;
    user.load(system_call);
    must(calls::stack_switch(0x10_0000), "stack_switch to nothing")?;
    leave(&user_registers(user.code.va, user.top()))
}

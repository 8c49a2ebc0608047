//! A trap whose frame would go to the hypervisor's part of the address space ends the domain.
//!
//! Xen 4.17 `arch/x86/x86_64/compat/entry.S` (compat_create_bounce_frame checks the range: Ring 0
//! could write there). The stack is in the machine-to-physical table. Expected: CRASH.
#![no_std]
#![no_main]
use pv_guests::user::{User, leave};
use pv_guests::{Outcome, StartInfo, code, guest, must, pages};
use ring1::calls;
use ring1::probe::user_registers;

guest!(run);

code! { system_call: "int 0x80", "ud2"; }

fn run(_: &'static StartInfo) -> Outcome {
    let user = User::new()?;
    user.load(system_call);
    must(calls::stack_switch(pages::m2p() + 0x800), "stack_switch into the M2P")?;
    leave(&user_registers(user.code.va, user.top()))
}

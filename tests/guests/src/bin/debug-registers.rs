//! Debug registers by hypercall and by instruction, and single steps.
//!
//! `xen/include/public/arch-x86/xen.h`, set_debugreg, get_debugreg; Xen 4.17
//! `arch/x86/debug.c`, `x86/traps.c` (set_debugreg, do_debug). Expected: registers
//! that do not exist and I/O watches without CR4.DE are refused; a watched store is #DB with DR6.B0 in Ring 1 and
//! Ring 3; a step is #DB with DR6.BS; TF is cleared for the handler.
#![no_std]
#![no_main]
use pv_abi::hypercall::{GET_DEBUGREG, SET_DEBUGREG};
use pv_guests::expect::DB;
use pv_guests::pages::{Page, URW, write32};
use pv_guests::user::User;
use pv_guests::{Outcome, StartInfo, check, check_eq, code, guest, hypercall, must};
use ring1::probe::probe;

guest!(run);

code! {
    step: "pushfd", "or dword ptr [esp], 0x100", "popfd", "nop", "nop", "nop", "ret";
    user_step: "pushfd", "or dword ptr [esp], 0x100", "popfd", "nop", "nop", "int 0x80";
    user_store: "mov [ecx], eax", "nop", "int 0x80";
    dr0() -> u32: "mov eax, dr0", "ret";
    set_dr0(value: u32): "mov eax, [esp + 4]", "mov dr0, eax", "ret";
}

fn set(register: u32, value: u32) -> i32 {
    hypercall(SET_DEBUGREG, &[register, value])
}

fn get(register: u32) -> u32 {
    hypercall(GET_DEBUGREG, &[register]) as u32
}

fn run(_: &'static StartInfo) -> Outcome {
    let page = Page::take();
    check_eq!(set(0, page.va), 0, "DR0");
    check_eq!((get(0), dr0()), (page.va, page.va), "DR0 as read");
    set_dr0(page.va + 4);
    check_eq!(get(0), page.va + 4, "DR0 as set by mov");
    check_eq!(set(0, page.va), 0, "DR0");
    for register in [8, 100] {
        check_eq!(set(register, 0), -19, "DR{register}");
    }
    check_eq!(set(7, 0x0002_0000 | 1), -1, "a watch of I/O without CR4.DE");

    // Watch stores to the page's first word: enabled (L0), RW0 = 1, LEN0 = 4 bytes.
    check_eq!(set(7, 0x000d_0001), 0, "DR7");
    check_eq!(get(7) & 0xffff_00ff, 0x000d_0001, "DR7 as read");
    let fault = probe(|| write32(page.va, 1));
    check!(fault.is_err_and(|fault| fault.vector == DB), "a watched store: {fault:x?}");
    check_eq!(get(6) & 0xf, 1, "DR6 after a watched store");
    check_eq!(set(6, 0), 0, "DR6");
    check!(probe(|| write32(page.va + 4, 1)).is_ok(), "a store beside it");
    let user = User::new()?;
    must(page.set(URW), "a page for Ring 3")?;
    let frame = user.run_with(user_store, |registers| registers.ecx = page.va);
    check_eq!((frame.vector, frame.eip), (DB, user.code.va + 2), "a watched store in Ring 3");
    check_eq!(get(6) & 0xf, 1, "DR6 after a watched store in Ring 3");
    check_eq!((set(7, 0), set(6, 0)), (0, 0), "DR7, DR6");
    check!(probe(|| write32(page.va, 1)).is_ok(), "a store with the watch off");

    let fault = probe(|| step());
    check!(fault.is_err_and(|fault| fault.vector == DB), "a step: {fault:x?}");
    check_eq!(get(6) & 0x4000, 0x4000, "DR6 after a step");
    check!(probe(|| write32(page.va, 1)).is_ok(), "a store after the step");
    let frame = user.run(user_step);
    check_eq!(frame.vector, DB, "a step in Ring 3");
    check_eq!(frame.eflags & 0x100, 0x100, "TF in the frame");
    check_eq!(frame.eip - user.code.va, 11 - 1, "eip after the step");
    Ok(())
}

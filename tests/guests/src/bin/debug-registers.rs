//! Debug registers: breakpoints and single steps of a Ring 1 kernel.
//!
//! Xen 4.17 `arch/x86/pv/misc-hypercalls.c` (set_debugreg, get_debugreg), XSA-444. Expected: a
//! watched word raises #DB after the store and shows in DR6; the hypervisor's own access to it,
//! for a hypercall, does neither harm nor report; a single step raises #DB after each
//! instruction, emulated ones included; reserved bits stay as they are, and what could stop the
//! hypervisor is refused.
#![no_std]
#![no_main]
use pv_abi::errno::Errno;
use pv_abi::hypercall as nr;
use pv_abi::version::XENVER_EXTRAVERSION;
use pv_guests::call::ret;
use pv_guests::expect::{self, DB};
use pv_guests::pages::{Page, read32, write32};
use pv_guests::{Outcome, StartInfo, check_eq, code, guest, hypercall};

guest!(run);

code! {
    // Single-steps over one instruction.
    step: "pushfd", "or dword ptr [esp], 0x100", "popfd", "nop", "nop", "ret";
    step_emulated: "pushfd", "or dword ptr [esp], 0x100", "popfd", "clts", "nop", "ret";
    read_dr0() -> u32: "mov eax, dr0", "ret";
}

fn set(register: u32, value: u32) -> i32 {
    hypercall(nr::SET_DEBUGREG, &[register, value])
}

fn get(register: u32) -> u32 {
    hypercall(nr::GET_DEBUGREG, &[register]) as u32
}

/// DR7: breakpoint 0 on writes of four bytes.
const WATCH_0: u32 = 0xd_0001;

fn run(_: &'static StartInfo) -> Outcome {
    let page = Page::take();
    check_eq!(set(0, page.va), 0, "an address");
    check_eq!(set(7, WATCH_0), 0, "a watch");
    check_eq!((get(0), get(7)), (page.va, WATCH_0 | 0x400), "what they are then");
    check_eq!(read_dr0(), page.va, "dr0 by mov");

    expect::fault("a store to a watched word", DB, 0, || write32(page.va, 1));
    check_eq!(read32(page.va), 1, "the word: the trap comes after the store");
    check_eq!(get(6) & 0xf, 1, "DR6's reason");
    check_eq!(set(6, 0), 0, "clearing DR6");
    check_eq!(get(6), 0xffff_0ff0, "DR6 then");
    write32(page.va + 4, 2);

    let outcome = hypercall(nr::XEN_VERSION, &[XENVER_EXTRAVERSION, page.va]);
    check_eq!(outcome, 0, "a hypercall that writes to the watched word");
    check_eq!(set(7, 0), 0, "no watch");
    write32(page.va, 3);

    if let Some(fault) = expect::fault("a single step", DB, 0, || step()) {
        check_eq!(fault.eip, step as *const () as u32 + 10, "where the step ends");
    }
    check_eq!(get(6) & 0x4000, 0x4000, "DR6.BS");
    if let Some(fault) = expect::fault("a step over clts", DB, 0, || step_emulated()) {
        check_eq!(fault.eip, step_emulated as *const () as u32 + 11, "where that step ends");
    }

    let (eperm, enodev) = (ret(Errno::EPERM), ret(Errno::ENODEV));
    check_eq!(set(7, 0x2000), eperm, "DR7.GD");
    check_eq!(set(7, 0x2_0001), eperm, "a breakpoint on I/O");
    check_eq!(set(8, 0), enodev, "DR8");
    check_eq!(hypercall(nr::GET_DEBUGREG, &[8]), enodev, "DR8's value");
    check_eq!(set(6, u32::MAX), 0, "all of DR6");
    check_eq!(get(6), 0xffff_efff, "DR6 then");
    Ok(())
}

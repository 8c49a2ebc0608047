//! A domain starts with a fresh FPU: no register holds what the hypervisor or another domain left.
//!
//! Xen 4.17 `arch/x86/i387.c` (a vCPU starts with the reset state). Expected: FCW 0x37f, FSW 0, all
//! tags empty, MXCSR 0x1f80, and zeros in all x87 and XMM registers.
#![no_std]
#![no_main]
use pv_guests::pages::{Page, read32};
use pv_guests::{Outcome, StartInfo, Stop, check_eq, code, guest};

guest!(run);

code! {
    save(at: u32): "mov ecx, [esp + 4]", "fxsave [ecx]", "ret";
}

fn run(_: &'static StartInfo) -> Outcome {
    if core::arch::x86::__cpuid(1).edx & (1 << 24) == 0 {
        return Err(Stop::Skip("no fxsave"));
    }
    let page = Page::take();
    save(page.va);
    let word = |offset: u32| read32(page.va + offset);
    check_eq!(word(0), 0x37f, "FCW and FSW");
    check_eq!(word(4) & 0xff, 0, "tags in use");
    check_eq!(word(24), 0x1f80, "MXCSR");
    for offset in (32..32 + 16 * 8).chain(160..160 + 16 * 8).step_by(4) {
        check_eq!(word(offset), 0, "the word at {offset} of the saved state");
    }
    Ok(())
}

//! AVX state of two vCPUs on one CPU: each has its own, and finds nothing of the other's.
//!
//! XSA-267, XSA-54; Xen 4.17 `arch/x86/xstate.c`. Both vCPUs switch AVX on, one after another.
//! Expected: the second one's registers are zero when it does, though the first has left numbers
//! there; each keeps its own over many switches, and its own XCR0.
#![no_std]
#![no_main]
use core::sync::atomic::{AtomicU32, Ordering};
use pv_guests::expect;
use pv_guests::pages::Page;
use pv_guests::{Outcome, StartInfo, Stop, check, check_eq, code, guest, vcpus};

guest!(run);

code! {
    offered() -> u32: "push ebx", "mov eax, 0xd", "xor ecx, ecx",
        ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2", "pop ebx", "ret";
    switch_on(xcr0: u32): "mov eax, cr4", "or eax, 0x40000", "mov cr4, eax", "xor ecx, ecx",
        "xor edx, edx", "mov eax, [esp + 4]", ".byte 0x0f, 0x01, 0xd1", "ret";
    xcr0() -> u32: "xor ecx, ecx", ".byte 0x0f, 0x01, 0xd0", "ret";
    // All eight words of ymm5 become `value`; the highest one; all of them ored together.
    fill(value: u32): "vmovd xmm5, dword ptr [esp + 4]", "vpshufd xmm5, xmm5, 0",
        "vinsertf128 ymm5, ymm5, xmm5, 1", "ret";
    highest() -> u32: "vextractf128 xmm6, ymm5, 1", "vpsrldq xmm6, xmm6, 12", "vmovd eax, xmm6",
        "ret";
}

/// How far the second vCPU is, and what it found.
static STEP: AtomicU32 = AtomicU32::new(0);
static FIRST: AtomicU32 = AtomicU32::new(!0);
static WRONG: AtomicU32 = AtomicU32::new(0);
static XCR0: AtomicU32 = AtomicU32::new(0);

const ROUNDS: u32 = 200;

extern "C" fn second() -> ! {
    switch_on(7);
    FIRST.store(highest(), Ordering::SeqCst);
    for round in 1..=ROUNDS {
        fill(0x2200_0000 | round);
        vcpus::yield_now();
        let found = highest();
        if found != 0x2200_0000 | round {
            WRONG.store(found, Ordering::SeqCst);
        }
        STEP.store(round, Ordering::SeqCst);
    }
    // It goes on with less than the first.
    switch_on(3);
    vcpus::yield_now();
    XCR0.store(xcr0(), Ordering::SeqCst);
    STEP.store(ROUNDS + 1, Ordering::SeqCst);
    loop {
        vcpus::yield_now();
    }
}

fn run(_: &'static StartInfo) -> Outcome {
    let _ = Page::take();
    if offered() & 4 == 0 {
        return Err(Stop::Skip("no AVX"));
    }
    expect::none("XCR0 with AVX", || switch_on(7));
    fill(0x1111_1111);
    check_eq!(highest(), 0x1111_1111, "what was just written");
    vcpus::start(1, second)?;
    let mut rounds = 0u32;
    while STEP.load(Ordering::SeqCst) <= ROUNDS {
        rounds += 1;
        fill(0x1100_0000 | rounds);
        vcpus::yield_now();
        check_eq!(highest(), 0x1100_0000 | rounds, "the first vCPU's register");
        check!(rounds < 1_000_000, "the second vCPU does not come to an end");
    }
    check_eq!(FIRST.load(Ordering::SeqCst), 0, "the second vCPU's register at first");
    check_eq!(WRONG.load(Ordering::SeqCst), 0, "the second vCPU's register");
    check_eq!(XCR0.load(Ordering::SeqCst), 3, "the second vCPU's XCR0");
    check_eq!(xcr0(), 7, "the first vCPU's XCR0");
    Ok(())
}

//! No vCPU finds another's values in its registers, wherever it runs.
//!
//! XSA-267. Four vCPUs keep numbers of their own in x87 and SSE registers over switches and moves
//! between CPUs. Expected: each finds its own, always.
#![no_std]
#![no_main]
use core::sync::atomic::{AtomicU32, Ordering};
use pv_guests::{Outcome, StartInfo, Stop, check, clock, code, guest, vcpus};

guest!(run);

const VCPUS: usize = 4;
static ROUNDS: [AtomicU32; VCPUS] = [const { AtomicU32::new(0) }; VCPUS];
static WRONG: AtomicU32 = AtomicU32::new(0);
static FOUND: AtomicU32 = AtomicU32::new(0);

code! {
    fill(value: u32):
        "fninit", "fild dword ptr [esp + 4]",
        "movd xmm0, [esp + 4]", "pshufd xmm0, xmm0, 0", "movaps xmm3, xmm0", "movaps xmm7, xmm0",
        "ret";
    x87() -> u32:
        "sub esp, 4", "fist dword ptr [esp]", "pop eax", "ret";
    xmm3() -> u32: "movd eax, xmm3", "ret";
    xmm7() -> u32: "psrldq xmm7, 12", "movd eax, xmm7", "pshufd xmm7, xmm7, 0", "ret";
}

/// Holds on to numbers for ever; on vCPU 0 for a while.
fn hold(id: u32, goes_on: impl Fn() -> bool) {
    let mut round = 0;
    while goes_on() {
        round += 1;
        let value = id << 24 | round & 0xff_ffff;
        fill(value);
        // On odd rounds whoever waits comes in between; on even ones perhaps a timer.
        if round % 2 == 1 {
            vcpus::yield_now();
        } else {
            for _ in 0..1000 {
                core::hint::spin_loop();
            }
        }
        for found in [x87(), xmm3(), xmm7()] {
            if found != value {
                // Also a register that is empty is not what was there.
                WRONG.fetch_add(1, Ordering::SeqCst);
                FOUND.store(found, Ordering::SeqCst);
            }
        }
        ROUNDS[id as usize].fetch_add(1, Ordering::SeqCst);
    }
}

extern "C" fn one() -> ! {
    hold(1, || true);
    unreachable!()
}
extern "C" fn two() -> ! {
    hold(2, || true);
    unreachable!()
}
extern "C" fn three() -> ! {
    hold(3, || true);
    unreachable!()
}

fn run(_: &'static StartInfo) -> Outcome {
    if core::arch::x86::__cpuid(1).edx & (1 << 26) == 0 {
        return Err(Stop::Skip("no SSE2"));
    }
    for (id, main) in (1..).zip([one, two, three] as [extern "C" fn() -> !; 3]) {
        vcpus::start(id, main)?;
    }
    let end = clock::now() + 400_000_000;
    hold(0, || clock::now() < end);
    let rounds = [0, 1, 2, 3].map(|id: usize| ROUNDS[id].load(Ordering::SeqCst));
    check!(rounds.iter().all(|rounds| *rounds > 10), "too few rounds: {rounds:?}");
    let (wrong, found) = (WRONG.load(Ordering::SeqCst), FOUND.load(Ordering::SeqCst));
    check!(wrong == 0, "{wrong} were others', as {found:#x}, in {rounds:?} rounds");
    Ok(())
}

//! System time never goes backwards, whichever vCPU looks: two of them look in turns.
//!
//! `xen/include/public/xen.h` (vcpu_time_info). Expected: whether or not the TSC is said to be stable,
//! what one vCPU reads is never before what another has read already.
#![no_std]
#![no_main]
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use pv_guests::{Outcome, StartInfo, check, clock, guest, vcpus};

guest!(run);

static LATEST: AtomicU64 = AtomicU64::new(0);
static BACKWARDS: AtomicU32 = AtomicU32::new(0);
static LOOKS: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];

/// One look at the clock of vCPU `id`.
fn look(id: u32) {
    let before = LATEST.load(Ordering::SeqCst);
    let now = vcpus::now(id);
    if now < before {
        BACKWARDS.fetch_add(1, Ordering::SeqCst);
    }
    LATEST.fetch_max(now, Ordering::SeqCst);
    LOOKS[id as usize].fetch_add(1, Ordering::SeqCst);
}

extern "C" fn second() -> ! {
    loop {
        look(1);
    }
}

fn run(_: &'static StartInfo) -> Outcome {
    vcpus::start(1, second)?;
    let end = clock::now() + 300_000_000;
    while clock::now() < end {
        look(0);
    }
    let looks = [0, 1].map(|id: usize| LOOKS[id].load(Ordering::SeqCst));
    check!(looks[0] > 100 && looks[1] > 100, "too few looks: {looks:?}");
    let backwards = BACKWARDS.load(Ordering::SeqCst);
    check!(backwards == 0, "{backwards} of {looks:?} looks went back");
    Ok(())
}

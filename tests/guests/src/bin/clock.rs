//! The paravirtual clock: monotonic, at TSC speed, consistent with timers and with the wall clock.
//!
//! `xen/include/public/xen.h` (struct vcpu_time_info, wc_sec). Expected: time never goes back over
//! 100000 reads, hypercalls and sleeps; a sleep of 50 ms takes 50 ms to a second of it; the wall
//! clock is between 2020 and 2100.
#![no_std]
#![no_main]
use pv_guests::{Outcome, StartInfo, check, clock, guest};
use ring1::{calls, events, hypercall::rdtsc, shared};

guest!(run);

fn run(_: &'static StartInfo) -> Outcome {
    events::mask();
    let mut last = clock::now();
    for round in 0..100_000u32 {
        let now = clock::now();
        check!(now >= last, "back by {} ns in round {round}", last - now);
        last = now;
        match round % 1000 {
            0 => calls::yield_now(),
            500 => drop(calls::poll(&[], now + 10_000)),
            _ => {}
        }
    }
    let (begin, ticks) = (clock::now(), rdtsc());
    while clock::now() < begin + 50_000_000 {
        let _ = calls::poll(&[], begin + 50_000_000);
    }
    let (slept, ticks) = (clock::now() - begin, rdtsc().wrapping_sub(ticks));
    check!((50_000_000..1_000_000_000).contains(&slept), "50 ms took {slept} ns");
    // Bochs counts a tick an instruction, at some tens of MHz.
    check!(ticks > 100_000, "50 ms were {ticks} ticks");
    let (seconds, nanoseconds) = shared::wall_clock();
    let today = seconds + clock::now() / 1_000_000_000;
    check!((1_577_836_800..4_102_444_800).contains(&today), "wall clock {today}");
    check!(nanoseconds < 1_000_000_000, "wall clock {nanoseconds} ns");
    Ok(())
}

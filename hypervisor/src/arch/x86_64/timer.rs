//! Time and deadlines: how fast the TSC runs, and an interrupt when a moment comes.
//!
//! Where the CPU or a hypervisor below states its frequencies, and a glance at the PIT does
//! not contradict, they are taken. Else both the
//! TSC and the local APIC's timer are measured against the PIT, over about three milliseconds.
//! The CPU sleeps meanwhile (`hlt`, woken by the very timer that is being measured), so the
//! measurement costs time but hardly any instructions, and what counts is how far the PIT
//! got, not how punctual the wake-up was.
//!
//! Deadlines use TSC-deadline mode where the CPU has it, else the one-shot counter.

// UNSAFETY: writes the deadline MSR.
#![allow(unsafe_code)]
// Without a clock nothing can run: a panic is the report.
#![allow(clippy::panic)]

use core::arch::x86_64::__cpuid;
use core::sync::atomic::{AtomicBool, AtomicI8, AtomicU32, Ordering};

use x86_64::instructions::interrupts;
use x86_64::registers::model_specific::Msr;

use super::interrupts::TIMER;
use super::{apic, clock, pit};
use crate::machine::frequency::{self, Stated};
use crate::machine::time_scale::TimeScale;

const IA32_TSC_DEADLINE: u32 = 0x6e0;
const NS_PER_SECOND: u64 = 1_000_000_000;

/// How long the measurement lasts, in PIT ticks: 3 ms, for an error of one in ten thousand.
const MEASURE: u64 = pit::HZ * 3 / 1000;
/// How long each of three rough measurements lasts, in PIT ticks: 50 microseconds.
const GUESS: u64 = 60;

/// Whether deadlines are TSC values in an MSR.
static USES_TSC_DEADLINE: AtomicBool = AtomicBool::new(false);
/// From nanoseconds to ticks of what carries the deadline.
static TICKS_MUL: AtomicU32 = AtomicU32::new(0);
static TICKS_SHIFT: AtomicI8 = AtomicI8::new(0);

/// Finds the frequencies and starts the clock. On the boot CPU, once, with its local APIC on
/// and interrupts off.
pub fn init() {
    let stated = frequency::stated(|leaf| {
        let found = __cpuid(leaf);
        [found.eax, found.ebx, found.ecx, found.edx]
    });
    pit::start();
    let (tsc_hz, apic_hz, how) = match (stated, rough()) {
        (Stated { tsc: Some(tsc), apic_timer: Some(apic) }, guess)
            if guess.is_none_or(|guess| guess.agrees(tsc, apic)) =>
        {
            (tsc, apic, "as stated")
        }
        (_, Some(guess)) => {
            let (tsc, apic) = measure(guess);
            (tsc, apic, "measured")
        }
        (_, None) => panic!("the interval timer stands still, and no frequency is stated"),
    };
    clock::set_frequency(tsc_hz);
    let deadline_mode = __cpuid(1).ecx & 1 << 24 != 0;
    USES_TSC_DEADLINE.store(deadline_mode, Ordering::Relaxed);
    let scale = TimeScale::between(NS_PER_SECOND, if deadline_mode { tsc_hz } else { apic_hz });
    TICKS_MUL.store(scale.mul_frac, Ordering::Relaxed);
    TICKS_SHIFT.store(scale.shift, Ordering::Relaxed);
    init_this_cpu();
    log::info!(
        "clock: TSC {}.{:03} MHz, APIC timer {}.{:03} MHz, {how}",
        tsc_hz / 1_000_000,
        tsc_hz / 1000 % 1000,
        apic_hz / 1_000_000,
        apic_hz / 1000 % 1000,
    );
}

/// Prepares this CPU's timer for [`set_deadline_ns`].
pub fn init_this_cpu() {
    match USES_TSC_DEADLINE.load(Ordering::Relaxed) {
        true => apic::init_deadline_timer(TIMER),
        false => apic::init_timer(TIMER),
    }
}

/// Sleeps until the next interrupt, with interrupts on for just that long.
fn sleep() {
    interrupts::enable_and_hlt();
    interrupts::disable();
}

/// Stops the timer, and lets an interrupt that it has already raised pass.
fn stop() {
    apic::init_timer(TIMER);
    interrupts::enable();
    // The instruction after `sti` still runs undisturbed; the next one does not.
    x86_64::instructions::nop();
    x86_64::instructions::nop();
    interrupts::disable();
}

/// `a * b / c`, without overflow in between.
fn ratio(a: u64, b: u64, c: u64) -> u64 {
    (u128::from(a) * u128::from(b) / u128::from(c.max(1))) as u64
}

/// Frequencies of the TSC, against the PIT, and of the APIC timer, against the TSC.
fn measure(Guess { tsc_hz: tsc_guess, apic_hz: apic_guess }: Guess) -> (u64, u64) {
    let period = u32::try_from(ratio(apic_guess, MEASURE, pit::HZ)).unwrap_or(u32::MAX).max(1);
    apic::start_periodic_timer(TIMER, period);
    let (start, apic_start) = (pit::sample(), apic_sample());
    sleep();
    let (end, apic_end) = (pit::sample(), apic_sample());
    stop();

    // Both counters may have gone round while we slept, more than once if the machine below
    // us was slow to wake us; the guesses tell how often.
    let tsc_ticks = end.tsc.wrapping_sub(start.tsc);
    let expected = ratio(tsc_ticks, pit::HZ, tsc_guess);
    let pit_ticks = nearest(start.ticks_until(&end), pit::ROUND, expected);
    let tsc_hz = ratio(tsc_ticks, pit::HZ, pit_ticks);

    let apic_window = apic_end.tsc.wrapping_sub(apic_start.tsc);
    let expected = ratio(apic_window, apic_guess, tsc_guess);
    let within_round = (u64::from(apic_start.remaining) + u64::from(period)
        - u64::from(apic_end.remaining))
        % u64::from(period);
    let apic_ticks = nearest(within_round, period.into(), expected);
    (tsc_hz, ratio(apic_ticks, tsc_hz, apic_window))
}

/// The number closest to `expected` that is `remainder` more than a multiple of `round`.
fn nearest(remainder: u64, round: u64, expected: u64) -> u64 {
    let rounds = (expected + round / 2).saturating_sub(remainder) / round;
    remainder + rounds * round
}

/// Rough frequencies.
#[derive(Clone, Copy)]
struct Guess {
    tsc_hz: u64,
    apic_hz: u64,
}

impl Guess {
    /// Whether stated frequencies can be true: within a tenth. Emulators state those of the
    /// CPU that they imitate, and run at another.
    fn agrees(&self, tsc_hz: u64, apic_hz: u64) -> bool {
        let near = |a: u64, b: u64| a.abs_diff(b) <= b / 10;
        near(tsc_hz, self.tsc_hz) && near(apic_hz, self.apic_hz)
    }
}

/// The middle one of three guesses; `None` if the PIT stands still.
fn rough() -> Option<Guess> {
    let mut guesses = [guess()?, guess()?, guess()?];
    guesses.sort_unstable_by_key(|guess| guess.tsc_hz);
    let [_, middle, _] = guesses;
    Some(middle)
}

/// Watches both counters for a moment that is short enough to stay awake. `None` if the PIT
/// gets nowhere.
fn guess() -> Option<Guess> {
    // Far more than 50 microseconds of any TSC.
    const PATIENCE_TICKS: u64 = 100_000_000;
    apic::init_timer(TIMER);
    apic::set_timer(u32::MAX);
    let (start, apic_start) = (pit::sample(), apic_sample());
    let (end, apic_end) = loop {
        let (end, apic_end) = (pit::sample(), apic_sample());
        if start.ticks_until(&end) >= GUESS {
            break (end, apic_end);
        }
        if end.tsc.wrapping_sub(start.tsc) > PATIENCE_TICKS {
            return None;
        }
    };
    let tsc_hz = ratio(end.tsc.wrapping_sub(start.tsc), pit::HZ, start.ticks_until(&end));
    let apic_ticks = u64::from(apic_start.remaining.saturating_sub(apic_end.remaining));
    let window = apic_end.tsc.wrapping_sub(apic_start.tsc);
    Some(Guess { tsc_hz: tsc_hz.max(1), apic_hz: ratio(apic_ticks, tsc_hz, window).max(1) })
}

/// A reading of the APIC timer and the TSC at the same moment.
#[derive(Clone, Copy)]
struct ApicSample {
    tsc: u64,
    remaining: u32,
}

/// Reads both; of several tries the one that was least disturbed.
fn apic_sample() -> ApicSample {
    let (mut best, mut best_width) = (ApicSample { tsc: 0, remaining: 0 }, u64::MAX);
    for _ in 0..5 {
        let before = clock::tsc();
        let remaining = apic::timer_remaining();
        let width = clock::tsc().wrapping_sub(before);
        if width < best_width {
            (best, best_width) = (ApicSample { tsc: before + width / 2, remaining }, width);
        }
    }
    best
}

/// Asks for the `TIMER` interrupt on this CPU when the clock shows `deadline_ns`, instead of
/// what was asked before; `None` asks for none. It comes at once if the moment has passed, and
/// may come early if it is seconds away: the receiver looks at the clock and asks again.
#[inline]
pub fn set_deadline_ns(deadline_ns: Option<u64>) {
    let scale = TimeScale {
        shift: TICKS_SHIFT.load(Ordering::Relaxed),
        mul_frac: TICKS_MUL.load(Ordering::Relaxed),
    };
    if USES_TSC_DEADLINE.load(Ordering::Relaxed) {
        // Zero disarms. A value that has passed fires at once.
        let tsc = deadline_ns.map_or(0, |at| clock::start_tsc() + scale.to_ns(at));
        // SAFETY: CPUID says that the MSR exists; the timer is in that mode (`init_this_cpu`).
        unsafe { Msr::new(IA32_TSC_DEADLINE).write(tsc) };
        return;
    }
    let ticks = deadline_ns.map_or(0, |at| {
        let ticks = scale.to_ns(at.saturating_sub(clock::now_ns()).min(NS_PER_SECOND));
        u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
    });
    apic::set_timer(ticks);
}

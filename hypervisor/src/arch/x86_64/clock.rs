//! System time: nanoseconds since the hypervisor's first instruction in Rust, from the TSC.
//!
//! Zero until [`set_frequency`]; [`TimeScale`] is the arithmetic.

// UNSAFETY: reading the time-stamp counter is an intrinsic.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicI8, AtomicU32, AtomicU64, Ordering};

use crate::machine::time_scale::TimeScale;

static WALLCLOCK_BASE_NS: AtomicU64 = AtomicU64::new(0);
static START_TSC: AtomicU64 = AtomicU64::new(0);
static MUL_FRAC: AtomicU32 = AtomicU32::new(0);
static SHIFT: AtomicI8 = AtomicI8::new(0);

/// The time-stamp counter.
#[inline]
pub fn tsc() -> u64 {
    // SAFETY: 1. every 64-bit CPU has RDTSC. 2. Ring 0 may execute it whatever CR4.TSD says.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Makes this moment time zero.
pub fn start() {
    START_TSC.store(tsc(), Ordering::Relaxed);
}

/// Starts the clock: the TSC was found to run at `hz`.
pub fn set_frequency(hz: u64) {
    let scale = TimeScale::from_hz(hz);
    SHIFT.store(scale.shift, Ordering::Relaxed);
    MUL_FRAC.store(scale.mul_frac, Ordering::Release);
}

/// The TSC at time zero.
pub fn start_tsc() -> u64 {
    START_TSC.load(Ordering::Relaxed)
}

/// How to convert ticks; all zero before calibration.
pub fn scale() -> TimeScale {
    let mul_frac = MUL_FRAC.load(Ordering::Acquire);
    TimeScale { shift: SHIFT.load(Ordering::Relaxed), mul_frac }
}

/// Nanoseconds since time zero; zero before calibration.
#[inline]
pub fn now_ns() -> u64 {
    scale().to_ns(tsc().wrapping_sub(start_tsc()))
}

/// Remembers what time it was outside when the clock showed zero.
pub fn set_wallclock_base_ns(ns: u64) {
    WALLCLOCK_BASE_NS.store(ns, Ordering::Relaxed);
}

/// Nanoseconds from 1970 to the clock's zero.
pub fn wallclock_base_ns() -> u64 {
    WALLCLOCK_BASE_NS.load(Ordering::Relaxed)
}

//! Clocks: system time from the TSC as the hypervisor calibrated it, the time of day, the timer.
//!
//! System time is nanoseconds since the hypervisor started: `system_time + (tsc - tsc_timestamp)`
//! scaled by a shift and a 32.32 multiplier (`struct vcpu_time_info` in `xen/xen.h`). The one timer
//! fires at the earliest deadline that the scheduler knows; no tick runs.

use core::sync::atomic::{AtomicU64, Ordering};
use ring1::{calls, hypercall, shared};

/// System time when the kernel started.
static START: AtomicU64 = AtomicU64::new(0);
/// The latest system time that was told.
static LATEST: AtomicU64 = AtomicU64::new(0);
/// What the timer is set to; 0: off.
static DEADLINE: AtomicU64 = AtomicU64::new(0);

/// Ticks scaled to nanoseconds: shifted, then times `multiplier / 2^32`.
fn scale(ticks: u64, shift: i8, multiplier: u32) -> u64 {
    let ticks =
        if shift >= 0 { ticks << (shift & 63) } else { ticks >> (shift.unsigned_abs() & 63) };
    // The product of 64 by 32 bits, less its lowest 32: u128 would call a library.
    let (low, high) = (ticks & 0xffff_ffff, ticks >> 32);
    let multiplier = u64::from(multiplier);
    ((low * multiplier) >> 32).wrapping_add(high.wrapping_mul(multiplier))
}

/// System time, nanoseconds. Never less than before, though the hypervisor may correct its clock.
pub fn now() -> u64 {
    let time = shared::vcpu_time();
    let ticks = hypercall::rdtsc().saturating_sub(time.tsc_timestamp);
    let now = time.system_time.wrapping_add(scale(ticks, time.tsc_shift, time.tsc_to_system_mul));
    LATEST.fetch_max(now, Ordering::Relaxed).max(now)
}

/// A difference of TSC values in nanoseconds.
pub fn ticks_to_ns(ticks: u64) -> u64 {
    let time = shared::vcpu_time();
    scale(ticks, time.tsc_shift, time.tsc_to_system_mul)
}

/// TSC ticks in a second, as calibrated.
pub fn tsc_hz() -> u64 {
    let time = shared::vcpu_time();
    let hz = (1_000_000_000u64 << 32) / u64::from(time.tsc_to_system_mul.max(1));
    let shift = time.tsc_shift;
    if shift >= 0 { hz >> (shift & 63) } else { hz << (shift.unsigned_abs() & 63) }
}

/// Starts the clock of [`uptime`] and stops the periodic timer that a vCPU may start with.
pub fn init() {
    START.store(now(), Ordering::Relaxed);
    let command = pv_abi::vcpu::VCPUOP_STOP_PERIODIC_TIMER;
    // Not every hypervisor has one to stop.
    let _ = calls::vcpu_op(command, pv_abi::types::VcpuId::new(0));
}

/// Nanoseconds since the kernel started.
pub fn uptime() -> u64 {
    now().saturating_sub(START.load(Ordering::Relaxed))
}

/// The time of day: seconds since 1970 and nanoseconds.
pub fn time_of_day() -> (u64, u32) {
    let (seconds, nanoseconds) = shared::wall_clock();
    let total = now().wrapping_add(u64::from(nanoseconds));
    (seconds.wrapping_add(total / 1_000_000_000), (total % 1_000_000_000) as u32)
}

/// Has the timer fire at `deadline` of system time; 0: not at all.
pub fn set_timer(deadline: u64) {
    if DEADLINE.swap(deadline, Ordering::Relaxed) != deadline {
        // A deadline that has passed fires at once.
        let _ = calls::set_timer(deadline);
    }
}

/// The timer has fired: it is off now.
pub fn timer_fired() {
    DEADLINE.store(0, Ordering::Relaxed);
}

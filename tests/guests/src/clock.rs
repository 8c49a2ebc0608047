//! System time from the shared info page.

use guest_kernel::arch::{hypercall::rdtsc, shared};

/// Nanoseconds of system time, by the formula of `xen/include/public/xen.h` (vcpu_time_info).
pub fn now() -> u64 {
    let time = shared::vcpu_time();
    let ticks = rdtsc().wrapping_sub(time.tsc_timestamp);
    let ticks = match time.tsc_shift {
        shift @ 0.. => ticks << shift,
        shift => ticks >> -shift,
    };
    let scaled = (u128::from(ticks) * u128::from(time.tsc_to_system_mul)) >> 32;
    time.system_time.wrapping_add(scaled as u64)
}

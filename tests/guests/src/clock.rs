//! System time from the shared info page.

use guest_kernel::arch::abi::VcpuTimeInfo;
use guest_kernel::arch::{hypercall::rdtsc, shared};

/// Nanoseconds of system time on vCPU 0.
pub fn now() -> u64 {
    scale(&shared::vcpu_time(), rdtsc())
}

/// System time at `tsc`, by the formula of `xen/include/public/xen.h` (vcpu_time_info).
pub fn scale(time: &VcpuTimeInfo, tsc: u64) -> u64 {
    let ticks = tsc.wrapping_sub(time.tsc_timestamp);
    let ticks = match time.tsc_shift {
        shift @ 0.. => ticks << shift,
        shift => ticks >> -shift,
    };
    let scaled = (u128::from(ticks) * u128::from(time.tsc_to_system_mul)) >> 32;
    time.system_time.wrapping_add(scaled as u64)
}

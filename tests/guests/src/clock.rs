//! System time from the shared info page, and waiting for an event until a time.

use pv_abi::types::Port;
use ring1::abi::VcpuTimeInfo;
use ring1::{calls, events, hypercall::rdtsc, shared};

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

/// A millisecond, in ns.
pub const MS: u64 = 1_000_000;

/// Sleeps until `port` is pending (clears it: true) or until the deadline.
pub fn comes_until(port: Port, deadline: u64) -> bool {
    while !events::is_pending(port) && now() < deadline {
        let _ = calls::poll(&[port], deadline);
    }
    let came = events::is_pending(port);
    events::clear_port(port);
    came
}

/// The same for `ms` milliseconds from now.
pub fn comes_within(port: Port, ms: u64) -> bool {
    comes_until(port, now() + ms * MS)
}

//! The PV clock: system time from the TSC.

layouts! { in "xen.h";
    /// The clock of a vCPU. System time in nanoseconds since boot is
    /// `system_time + (((tsc - tsc_timestamp) << tsc_shift) * tsc_to_system_mul >> 32)`;
    /// a negative `tsc_shift` shifts right.
    ///
    /// A writer makes `version` odd, writes, makes it even: a reader retries
    /// while it is odd or has changed.
    struct VcpuTimeInfo("struct vcpu_time_info", 32) {
        /// Odd while the hypervisor updates.
        version: u32,
        /// Padding.
        pad0: u32,
        /// TSC at the last update.
        tsc_timestamp: u64,
        /// Nanoseconds since boot at the last update.
        system_time: u64,
        /// Nanoseconds a (shifted) tick, in 2^-32.
        tsc_to_system_mul: u32,
        /// Shift of the tick count; negative is right.
        tsc_shift: i8,
        /// Bits `XEN_PVCLOCK_*`.
        flags: u8,
        /// Padding.
        pad1: [u8; 2],
    }
}

constants! { in "xen.h";
    /// Bit of `VcpuTimeInfo::flags`: the clock never steps between CPUs.
    XEN_PVCLOCK_TSC_STABLE_BIT: u8 = 1 << 0;
    /// Bit of `VcpuTimeInfo::flags`: the guest was stopped by the host.
    XEN_PVCLOCK_GUEST_STOPPED: u8 = 1 << 1;
}

//! Arguments of `vcpu_op`.

use super::width::{Handle, U64, by_width};

layouts! { in "vcpu.h";
    /// State and running time of a vCPU.
    struct VcpuRunstateInfo("struct vcpu_runstate_info", by_width(44, 48)) {
        /// One of `RUNSTATE_*` of [`crate::vcpu`].
        state: i32,
        /// Padding.
        _pad: [u8; by_width(0, 4)] => [],
        /// System time when the state was entered, in nanoseconds;
        /// `XEN_RUNSTATE_UPDATE` may be set.
        state_entry_time: U64,
        /// Nanoseconds spent in each state.
        time: [U64; 4],
    }

    /// Argument of `VCPUOP_set_singleshot_timer`.
    struct VcpuSetSingleshotTimer("struct vcpu_set_singleshot_timer", by_width(12, 16)) {
        /// IN: absolute system time in nanoseconds.
        timeout_abs_ns: U64,
        /// IN: 0 or `VCPU_SSHOTTMR_future`.
        flags: u32,
        /// Padding.
        _pad: [u8; by_width(0, 4)] => [],
    }

    /// Argument of `VCPUOP_register_runstate_memory_area`.
    struct VcpuRegisterRunstateMemoryArea("struct vcpu_register_runstate_memory_area", 8) {
        /// IN: address of a `VcpuRunstateInfo`. C's union has a third member, a
        /// physical address of 8 bytes, which x86 does not use.
        addr: Handle => ["addr.h", "addr.v"],
        /// The rest of the union: not read.
        _rest: [u8; by_width(4, 0)] => [],
    }

    /// Argument of `VCPUOP_register_vcpu_time_memory_area`.
    struct VcpuRegisterTimeMemoryArea("struct vcpu_register_time_memory_area", 8) {
        /// IN: address of a `VcpuTimeInfo`; the union as in
        /// [`VcpuRegisterRunstateMemoryArea`].
        addr: Handle => ["addr.h", "addr.v"],
        /// The rest of the union: not read.
        _rest: [u8; by_width(4, 0)] => [],
    }
}

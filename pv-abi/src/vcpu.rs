//! `vcpu_op(cmd, vcpuid, extra_args)`: bring-up, runstate, timers, vcpu_info.
//!
//! Structures of the guest's width (`VcpuGuestContext`, `VcpuRunstateInfo`,
//! `VcpuSetSingleshotTimer`, the memory areas) are in [`crate::x86_32`] and
//! [`crate::x86_64`].

layouts! { in "vcpu.h";
    /// Argument of [`VCPUOP_SET_PERIODIC_TIMER`].
    struct VcpuSetPeriodicTimer("struct vcpu_set_periodic_timer", 8) {
        /// IN: nanoseconds; below one millisecond may be refused.
        period_ns: u64,
    }

    /// Argument of [`VCPUOP_REGISTER_VCPU_INFO`]; allowed once a vCPU.
    struct VcpuRegisterVcpuInfo("struct vcpu_register_vcpu_info", 16) {
        /// IN: machine frame number of the page that holds the new vcpu_info.
        mfn: u64,
        /// IN: byte offset in that page; the structure must not cross its end.
        offset: u32,
        /// Unused.
        rsvd: u32,
    }

    /// Argument of [`VCPUOP_GET_PHYSID`].
    struct VcpuGetPhysid("struct vcpu_get_physid", 8) {
        /// OUT: bits 31..0 APIC id, bits 63..32 ACPI id.
        phys_id: u64,
    }
}

constants! { in "vcpu.h";
    /// Gives a vCPU its initial state; argument `VcpuGuestContext`.
    VCPUOP_INITIALISE: u32 = 0 => "VCPUOP_initialise";
    /// Makes an initialised vCPU runnable.
    VCPUOP_UP: u32 = 1 => "VCPUOP_up";
    /// Makes a vCPU not runnable; done on return only for the caller itself.
    VCPUOP_DOWN: u32 = 2 => "VCPUOP_down";
    /// Returns 1 if the vCPU is up, else 0.
    VCPUOP_IS_UP: u32 = 3 => "VCPUOP_is_up";
    /// Copies out the vCPU's `VcpuRunstateInfo`.
    VCPUOP_GET_RUNSTATE_INFO: u32 = 4 => "VCPUOP_get_runstate_info";
    /// Registers guest memory that gets the runstate at each schedule.
    VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA: u32 = 5 => "VCPUOP_register_runstate_memory_area";
    /// Starts the vCPU's periodic timer.
    VCPUOP_SET_PERIODIC_TIMER: u32 = 6 => "VCPUOP_set_periodic_timer";
    /// Stops the vCPU's periodic timer. No argument.
    VCPUOP_STOP_PERIODIC_TIMER: u32 = 7 => "VCPUOP_stop_periodic_timer";
    /// Sets the vCPU's one-shot timer.
    VCPUOP_SET_SINGLESHOT_TIMER: u32 = 8 => "VCPUOP_set_singleshot_timer";
    /// Stops the vCPU's one-shot timer. No argument.
    VCPUOP_STOP_SINGLESHOT_TIMER: u32 = 9 => "VCPUOP_stop_singleshot_timer";
    /// Moves the vCPU's `VcpuInfo` to memory of the guest's choice.
    VCPUOP_REGISTER_VCPU_INFO: u32 = 10 => "VCPUOP_register_vcpu_info";
    /// Sends an NMI to the vCPU. No argument.
    VCPUOP_SEND_NMI: u32 = 11 => "VCPUOP_send_nmi";
    /// Tells the physical ids of a pinned vCPU's CPU.
    VCPUOP_GET_PHYSID: u32 = 12 => "VCPUOP_get_physid";
    /// Registers guest memory that gets a copy of the vCPU's `VcpuTimeInfo`.
    VCPUOP_REGISTER_VCPU_TIME_MEMORY_AREA: u32 = 13 => "VCPUOP_register_vcpu_time_memory_area";

    /// Running on a physical CPU.
    RUNSTATE_RUNNING: i32 = 0 => "RUNSTATE_running";
    /// Runnable, waiting for a CPU.
    RUNSTATE_RUNNABLE: i32 = 1 => "RUNSTATE_runnable";
    /// Blocked (idle).
    RUNSTATE_BLOCKED: i32 = 2 => "RUNSTATE_blocked";
    /// Neither runnable nor blocked: paused or offline.
    RUNSTATE_OFFLINE: i32 = 3 => "RUNSTATE_offline";
    /// Bit of `state_entry_time` set while the hypervisor updates a registered
    /// area, with `VMASST_TYPE_runstate_update_flag`.
    XEN_RUNSTATE_UPDATE: u64 = 1 << 63;
    /// Flag of the one-shot timer: `-ETIME` if the time has passed.
    VCPU_SSHOTTMR_FUTURE: u32 = 1 => "VCPU_SSHOTTMR_future";
}

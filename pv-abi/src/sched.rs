//! `sched_op`: yield, block, poll, shut down.

layouts! { in "sched.h";
    /// Argument of [`SCHEDOP_SHUTDOWN`] and [`SCHEDOP_SHUTDOWN_CODE`].
    struct SchedShutdown("struct sched_shutdown", 4) {
        /// IN: one of `SHUTDOWN_*`.
        reason: u32,
    }

    /// Argument of [`SCHEDOP_REMOTE_SHUTDOWN`].
    struct SchedRemoteShutdown("struct sched_remote_shutdown", 8) {
        /// IN: the domain to shut down.
        domain_id: crate::types::DomId,
        /// Padding.
        _pad: [u8; 2] => [],
        /// IN: one of `SHUTDOWN_*`.
        reason: u32,
    }

    /// Argument of [`SCHEDOP_WATCHDOG`].
    struct SchedWatchdog("struct sched_watchdog", 8) {
        /// IN: 0 to set up a watchdog, else the one to poke or destroy.
        id: u32,
        /// IN: seconds; 0 destroys. (The header names no unit; Xen 4.17
        /// `domain_watchdog` takes seconds.)
        timeout: u32,
    }

    /// Argument of [`SCHEDOP_PIN_OVERRIDE`].
    struct SchedPinOverride("struct sched_pin_override", 4) {
        /// IN: physical CPU; negative undoes the override.
        pcpu: i32,
    }
}

constants! { in "sched.h";
    /// Gives up the CPU. No argument.
    SCHEDOP_YIELD: u32 = 0 => "SCHEDOP_yield";
    /// Unmasks event upcalls and sleeps until one is pending. No argument.
    SCHEDOP_BLOCK: u32 = 1 => "SCHEDOP_block";
    /// Halts the domain. For [`SHUTDOWN_SUSPEND`] a PV guest passes the MFN of
    /// its start info page as third argument.
    SCHEDOP_SHUTDOWN: u32 = 2 => "SCHEDOP_shutdown";
    /// Sleeps until one of some ports is pending, or a time; argument
    /// `SchedPoll` of the guest's width.
    SCHEDOP_POLL: u32 = 3 => "SCHEDOP_poll";
    /// Declares another domain shut down.
    SCHEDOP_REMOTE_SHUTDOWN: u32 = 4 => "SCHEDOP_remote_shutdown";
    /// Latches a reason to be reported when the domain shuts down later.
    SCHEDOP_SHUTDOWN_CODE: u32 = 5 => "SCHEDOP_shutdown_code";
    /// Sets up, pokes or destroys a watchdog; returns the id of a new one.
    SCHEDOP_WATCHDOG: u32 = 6 => "SCHEDOP_watchdog";
    /// Pins the calling vCPU to a physical CPU (hardware domain only).
    SCHEDOP_PIN_OVERRIDE: u32 = 7 => "SCHEDOP_pin_override";

    /// The domain ended normally: clean up and destroy.
    SHUTDOWN_POWEROFF: u32 = 0 => "SHUTDOWN_poweroff";
    /// Clean up, destroy, restart.
    SHUTDOWN_REBOOT: u32 = 1 => "SHUTDOWN_reboot";
    /// Clean up, save, destroy.
    SHUTDOWN_SUSPEND: u32 = 2 => "SHUTDOWN_suspend";
    /// The guest crashed.
    SHUTDOWN_CRASH: u32 = 3 => "SHUTDOWN_crash";
    /// A watchdog expired: restart.
    SHUTDOWN_WATCHDOG: u32 = 4 => "SHUTDOWN_watchdog";
    /// Reset the domain's hypervisor state, keep memory and vCPU contexts.
    SHUTDOWN_SOFT_RESET: u32 = 5 => "SHUTDOWN_soft_reset";
    /// The largest valid reason.
    SHUTDOWN_MAX: u32 = 5;
}

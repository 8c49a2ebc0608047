//! `callback_op(cmd, args)`: where the guest is entered asynchronously.
//!
//! `CallbackRegister` and its address (`Callback`) have the guest's width: see
//! [`crate::x86_32`], [`crate::x86_64`].

layouts! { in "callback.h";
    /// Argument of [`CALLBACKOP_UNREGISTER`].
    struct CallbackUnregister("struct callback_unregister", 4) {
        /// IN: one of `CALLBACKTYPE_*`; those that must exist: `-EINVAL`.
        r#type: u16 => ["type"],
        /// Unused.
        _unused: u16,
    }
}

constants! { in "callback.h";
    /// Registers a callback; argument `CallbackRegister`.
    CALLBACKOP_REGISTER: u32 = 0 => "CALLBACKOP_register";
    /// Unregisters a callback.
    CALLBACKOP_UNREGISTER: u32 = 1 => "CALLBACKOP_unregister";
    /// Event upcall.
    CALLBACKTYPE_EVENT: u16 = 0 => "CALLBACKTYPE_event";
    /// Guest state could not be restored: entered instead.
    CALLBACKTYPE_FAILSAFE: u16 = 1 => "CALLBACKTYPE_failsafe";
    /// `syscall` by a 64-bit application.
    CALLBACKTYPE_SYSCALL: u16 = 2 => "CALLBACKTYPE_syscall";
    /// Not for new code.
    CALLBACKTYPE_SYSENTER_DEPRECATED: u16 = 3 => "CALLBACKTYPE_sysenter_deprecated";
    /// Non-maskable interrupt.
    CALLBACKTYPE_NMI: u16 = 4 => "CALLBACKTYPE_nmi";
    /// `sysenter` by an application (Intel CPUs).
    CALLBACKTYPE_SYSENTER: u16 = 5 => "CALLBACKTYPE_sysenter";
    /// `syscall` by a 32-bit application (AMD CPUs).
    CALLBACKTYPE_SYSCALL32: u16 = 7 => "CALLBACKTYPE_syscall32";
    /// Flag: mask event upcalls on entry. Event and NMI callbacks always do.
    CALLBACKF_MASK_EVENTS: u16 = 1 => "CALLBACKF_mask_events";
}

//! Arguments of hypercalls that have no file of their own.

use super::width::{Callback, Handle, U64, ULong, by_width};

layouts! { in "xen.h, sched.h, callback.h, version.h, nmi.h";
    /// One operation of `mmuext_op(uops, count, pdone, foreigndom)`.
    struct MmuextOp("struct mmuext_op", by_width(12, 24)) {
        /// IN: one of `MMUEXT_*` of [`crate::mmu`].
        cmd: u32,
        /// Padding.
        _pad: [u8; by_width(0, 4)] => [],
        /// IN: a machine frame or a linear address, by `cmd`.
        arg1: ULong => ["arg1", "arg1.mfn", "arg1.linear_addr"],
        /// IN: a number of entries (bits 31..0 count), the address of a vCPU
        /// bitmap, or a machine frame, by `cmd`.
        arg2: ULong => ["arg2", "arg2.vcpumask", "arg2.src_mfn", "arg2.nr_ents"],
    }

    /// One call of `multicall(call_list, nr_calls)`.
    struct MulticallEntry("struct multicall_entry", by_width(32, 64)) {
        /// IN: hypercall number.
        op: ULong,
        /// OUT: its result.
        result: ULong,
        /// IN: its arguments.
        args: [ULong; 6],
    }

    /// Argument of `SCHEDOP_poll`.
    struct SchedPoll("struct sched_poll", by_width(16, 24)) {
        /// IN: address of an array of ports.
        ports: Handle,
        /// IN: number of ports (Xen takes up to 128).
        nr_ports: u32,
        /// Padding.
        _pad: [u8; by_width(0, 4)] => [],
        /// IN: absolute system time in nanoseconds; 0: none. (The header is
        /// silent; Xen 4.17 `do_poll`.)
        timeout: U64,
    }

    /// Argument of `CALLBACKOP_register`.
    struct CallbackRegister("struct callback_register", by_width(12, 16)) {
        /// IN: one of `CALLBACKTYPE_*` of [`crate::callback`].
        r#type: u16 => ["type"],
        /// IN: bits `CALLBACKF_*`.
        flags: u16,
        /// Padding.
        _pad: [u8; by_width(0, 4)] => [],
        /// IN: where to enter.
        address: Callback,
    }

    /// OUT argument of `XENVER_platform_parameters`.
    struct PlatformParameters("struct xen_platform_parameters", by_width(4, 8)) {
        /// First address that is the hypervisor's.
        virt_start: ULong,
    }

    /// Argument of `XENNMI_register_callback`.
    struct XennmiCallback("struct xennmi_callback", by_width(8, 16)) {
        /// IN: address of the handler.
        handler_address: ULong,
        /// Padding.
        pad: ULong,
    }
}

impl MmuextOp {
    /// `arg2` read as a number of entries. A 64-bit guest need not set the bits
    /// above 31.
    #[must_use]
    #[allow(clippy::unnecessary_cast, reason = "it narrows in the 64-bit layout")]
    pub const fn nr_ents(&self) -> u32 {
        self.arg2 as u32
    }
}

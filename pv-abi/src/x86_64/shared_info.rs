//! The page shared between hypervisor and guest, 64-bit.
//!
//! Shared memory: neither side ever holds a Rust reference to it. These types
//! give offsets, and the form of copies.

use crate::time::VcpuTimeInfo;

layouts! { in "xen.h";
    /// The hypervisor's shared page. `StartInfo::shared_info` tells its machine
    /// address.
    struct SharedInfo("struct shared_info", 3136) {
        /// One a vCPU, for the first 32 vCPUs.
        vcpu_info: [VcpuInfo; crate::start_info::XEN_LEGACY_MAX_VCPUS],
        /// Bit n: event channel n is pending.
        evtchn_pending: [u64; 64],
        /// Bit n: event channel n is masked.
        evtchn_mask: [u64; 64],
        /// Version of the wall clock, as [`VcpuTimeInfo::version`].
        wc_version: u32,
        /// Wall clock at system time 0: seconds since 1970, bits 31..0.
        wc_sec: u32,
        /// Wall clock at system time 0: nanoseconds.
        wc_nsec: u32,
        /// Wall clock at system time 0: seconds since 1970, bits 63..32.
        wc_sec_hi: u32,
        /// What x86 adds.
        arch: ArchSharedInfo,
    }

    /// Event and clock state of a vCPU.
    struct VcpuInfo("struct vcpu_info", 64) {
        /// Not 0: an upcall is pending. Set by the hypervisor, cleared by the
        /// guest before it looks for work.
        evtchn_upcall_pending: u8,
        /// Not 0: no upcall is made.
        evtchn_upcall_mask: u8,
        /// Padding.
        _pad: [u8; 6] => [],
        /// Bit n: word n of `evtchn_pending` has news.
        evtchn_pending_sel: u64,
        /// What x86 adds.
        arch: ArchVcpuInfo,
        /// The clock.
        time: VcpuTimeInfo,
    }

    /// x86's part of [`VcpuInfo`].
    struct ArchVcpuInfo("struct arch_vcpu_info", 16) {
        /// Faulting address of the last page fault bounced to the guest.
        cr2: u64,
        /// Padding.
        pad: u64,
    }

    /// x86's part of [`SharedInfo`]. Written by the guest, but for `nmi_reason`.
    struct ArchSharedInfo("struct arch_shared_info", 48) {
        /// Number of valid p2m entries.
        max_pfn: u64,
        /// Frame of the root of the three-level p2m tree; 0: not set up yet,
        /// all ones: none.
        pfn_to_mfn_frame_list_list: u64,
        /// Bits `XEN_NMIREASON_*`.
        nmi_reason: u64,
        /// Root (in CR3 form) under which `p2m_vaddr` holds; 0: not valid.
        p2m_cr3: u64,
        /// Address of the linear p2m list.
        p2m_vaddr: u64,
        /// Incremented before and after each change of the list's mapping; odd
        /// during one.
        p2m_generation: u64,
    }
}

constants! { in "event_channel.h";
    /// Number of ports under the two-level ABI.
    EVTCHN_2L_NR_CHANNELS: u32 = 64 * 64;
}

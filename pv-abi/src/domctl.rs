//! `domctl(op)`: what a toolstack does to domains.
//!
//! One layout for both widths: addresses are 64 bits wide and aligned to 8 for a 32-bit caller,
//! too. Numbers are in [`numbers`](self); of the structures those are stated that a PV toolstack
//! fills.

use crate::types::DomId;

layouts! { in "domctl.h";
    /// The argument: a command and room for its structure.
    struct Domctl("struct xen_domctl", 144) {
        /// IN: one of `XEN_DOMCTL_*`.
        cmd: u32,
        /// IN: [`XEN_DOMCTL_INTERFACE_VERSION`], else `-EACCES`.
        interface_version: u32,
        /// IN, sometimes OUT: the domain.
        domain: DomId,
        /// Padding.
        _pad: [u16; 3],
        /// IN and OUT: the command's structure.
        u: [u8; 128],
    }

    /// A bitmap in the caller's memory.
    struct Bitmap("struct xenctl_bitmap", 16) {
        /// IN: its address.
        bitmap: u64,
        /// IN: its bits.
        nr_bits: u32,
        /// Padding.
        _pad: u32 => [],
    }

    /// What is particular to x86 domains.
    struct ArchDomainconfig("struct xen_arch_domainconfig", 8) {
        /// IN: emulated devices, `XEN_X86_EMU_*`: none for a PV domain.
        emulation_flags: u32,
        /// IN: [`XEN_X86_MSR_RELAXED`] or nothing.
        misc_flags: u32,
    }

    /// Argument of [`XEN_DOMCTL_CREATEDOMAIN`].
    struct Createdomain("struct xen_domctl_createdomain", 64) {
        /// IN: security label.
        ssidref: u32,
        /// IN: the handle by which toolstacks know it.
        handle: [u8; 16],
        /// IN: `XEN_DOMCTL_CDF_*`.
        flags: u32,
        /// IN: `XEN_DOMCTL_IOMMU_*`.
        iommu_opts: u32,
        /// IN: the most vCPUs.
        max_vcpus: u32,
        /// IN: the highest event channel.
        max_evtchn_port: u32,
        /// IN: the most frames of its grant table; negative: the default.
        max_grant_frames: i32,
        /// IN: the most frames of its list of mapped grants; negative: the default.
        max_maptrack_frames: i32,
        /// IN: the latest grant table version, in the low 4 bits.
        grant_opts: u32,
        /// IN: bytes of a trace buffer.
        vmtrace_size: u32,
        /// IN: the CPU pool.
        cpupool_id: u32,
        /// IN: what is particular to x86.
        arch: ArchDomainconfig,
    }

    /// Argument of [`XEN_DOMCTL_GETDOMAININFO`].
    struct Getdomaininfo("struct xen_domctl_getdomaininfo", 112) {
        /// OUT: the domain.
        domain: DomId,
        /// Padding.
        pad1: u16,
        /// OUT: `XEN_DOMINF_*`.
        flags: u32,
        /// OUT: frames that it has.
        tot_pages: u64,
        /// OUT: frames that it may have.
        max_pages: u64,
        /// OUT: frames that are set aside for it.
        outstanding_pages: u64,
        /// OUT: frames that it shares.
        shr_pages: u64,
        /// OUT: frames that are paged out.
        paged_pages: u64,
        /// OUT: the frame of its shared info.
        shared_info_frame: u64,
        /// OUT: nanoseconds that it ran.
        cpu_time: u64,
        /// OUT: vCPUs that are up.
        nr_online_vcpus: u32,
        /// OUT: its highest vCPU, or [`XEN_INVALID_MAX_VCPU_ID`].
        max_vcpu_id: u32,
        /// OUT: security label.
        ssidref: u32,
        /// OUT: its handle.
        handle: [u8; 16],
        /// OUT: its CPU pool.
        cpupool: u32,
        /// OUT: width of its physical addresses.
        gpaddr_bits: u8,
        /// Padding.
        pad2: [u8; 7],
        /// OUT: what is particular to x86.
        arch_config: ArchDomainconfig,
    }

    /// Argument of [`XEN_DOMCTL_GETPAGEFRAMEINFO3`].
    struct Getpageframeinfo3("struct xen_domctl_getpageframeinfo3", 16) {
        /// IN: elements.
        num: u64,
        /// IN: address of an array of the caller's `xen_pfn_t`; OUT there: `XEN_DOMCTL_PFINFO_*`.
        array: u64,
    }

    /// Argument of [`XEN_DOMCTL_SETNODEAFFINITY`] and [`XEN_DOMCTL_GETNODEAFFINITY`].
    struct Nodeaffinity("struct xen_domctl_nodeaffinity", 16) {
        /// IN or OUT: a bit per node.
        nodemap: Bitmap,
    }

    /// Argument of [`XEN_DOMCTL_SETVCPUAFFINITY`] and [`XEN_DOMCTL_GETVCPUAFFINITY`].
    struct Vcpuaffinity("struct xen_domctl_vcpuaffinity", 40) {
        /// IN: the vCPU.
        vcpu: u32,
        /// IN: `XEN_VCPUAFFINITY_*`.
        flags: u32,
        /// IN and OUT: CPUs where it may run.
        cpumap_hard: Bitmap,
        /// IN and OUT: CPUs where it is to run if it can.
        cpumap_soft: Bitmap,
    }

    /// Argument of [`XEN_DOMCTL_MAX_MEM`].
    struct MaxMem("struct xen_domctl_max_mem", 8) {
        /// IN: KiB.
        max_memkb: u64,
    }

    /// Argument of [`XEN_DOMCTL_SETVCPUCONTEXT`] and [`XEN_DOMCTL_GETVCPUCONTEXT`].
    struct Vcpucontext("struct xen_domctl_vcpucontext", 16) {
        /// IN: the vCPU.
        vcpu: u32,
        /// Padding.
        _pad: u32 => [],
        /// IN: address of a `vcpu_guest_context` of the domain's width.
        ctxt: u64,
    }

    /// Argument of [`XEN_DOMCTL_GETVCPUINFO`].
    struct Getvcpuinfo("struct xen_domctl_getvcpuinfo", 24) {
        /// IN: the vCPU.
        vcpu: u32,
        /// OUT: whether it is up.
        online: u8,
        /// OUT: whether it sleeps.
        blocked: u8,
        /// OUT: whether it is on a CPU.
        running: u8,
        /// Padding.
        _pad0: u8 => [],
        /// OUT: nanoseconds that it ran.
        cpu_time: u64,
        /// OUT: its CPU.
        cpu: u32,
        /// Padding.
        _pad1: u32 => [],
    }

    /// Argument of [`XEN_DOMCTL_MAX_VCPUS`].
    struct MaxVcpus("struct xen_domctl_max_vcpus", 4) {
        /// IN: as [`Createdomain::max_vcpus`].
        max: u32,
    }

    /// A domain's share by the schedulers `credit` and `credit2`.
    struct SchedCredit("struct xen_domctl_sched_credit", 4) {
        /// Its weight; 0: as it is.
        weight: u16,
        /// The most it gets, in percent of a CPU; 0: no limit; 0xffff: as it is.
        cap: u16,
    }

    /// Argument of [`XEN_DOMCTL_SCHEDULER_OP`].
    struct SchedulerOp("struct xen_domctl_scheduler_op", 24) {
        /// IN: one of `XEN_SCHEDULER_*`.
        sched_id: u32,
        /// IN: one of `XEN_DOMCTL_SCHEDOP_*`.
        cmd: u32,
        /// IN or OUT: the share.
        credit: SchedCredit => ["u.credit", "u.credit2"],
        /// The rest of a union.
        _pad: [u8; 12] => [],
    }

    /// Argument of [`XEN_DOMCTL_SETDOMAINHANDLE`].
    struct Setdomainhandle("struct xen_domctl_setdomainhandle", 16) {
        /// IN: the handle.
        handle: [u8; 16],
    }

    /// Argument of [`XEN_DOMCTL_IRQ_PERMISSION`].
    struct IrqPermission("struct xen_domctl_irq_permission", 8) {
        /// IN: the interrupt.
        pirq: u32,
        /// IN: whether it is allowed.
        allow_access: u8,
        /// Padding.
        pad: [u8; 3],
    }

    /// Argument of [`XEN_DOMCTL_IOMEM_PERMISSION`].
    struct IomemPermission("struct xen_domctl_iomem_permission", 24) {
        /// IN: the first frame.
        first_mfn: u64,
        /// IN: how many.
        nr_mfns: u64,
        /// IN: whether they are allowed.
        allow_access: u8,
        /// Padding.
        _pad: [u8; 7] => [],
    }

    /// Argument of [`XEN_DOMCTL_IOPORT_PERMISSION`].
    struct IoportPermission("struct xen_domctl_ioport_permission", 12) {
        /// IN: the first port.
        first_port: u32,
        /// IN: how many.
        nr_ports: u32,
        /// IN: whether they are allowed.
        allow_access: u8,
        /// Padding.
        _pad: [u8; 3] => [],
    }

    /// Argument of [`XEN_DOMCTL_HYPERCALL_INIT`].
    struct HypercallInit("struct xen_domctl_hypercall_init", 8) {
        /// IN: the frame to fill.
        gmfn: u64,
    }

    /// Argument of [`XEN_DOMCTL_SETTIMEOFFSET`].
    struct Settimeoffset("struct xen_domctl_settimeoffset", 8) {
        /// IN: seconds that its wall clock is ahead.
        time_offset_seconds: i64,
    }

    /// Argument of [`XEN_DOMCTL_SETTSCINFO`] and [`XEN_DOMCTL_GETTSCINFO`].
    struct TscInfo("struct xen_domctl_tsc_info", 24) {
        /// IN or OUT: one of `TSC_MODE_*`.
        tsc_mode: u32,
        /// IN or OUT: the counter's frequency, kHz; IN 0: the machine's.
        gtsc_khz: u32,
        /// IN or OUT: how often the domain has moved.
        incarnation: u32,
        /// Padding.
        pad: u32,
        /// IN or OUT: what the counter says, ns.
        elapsed_nsec: u64,
    }

    /// Argument of [`XEN_DOMCTL_GET_VCPU_MSRS`] and [`XEN_DOMCTL_SET_VCPU_MSRS`].
    struct VcpuMsrs("struct xen_domctl_vcpu_msrs", 16) {
        /// IN: the vCPU.
        vcpu: u32,
        /// IN: elements; OUT: how many there are, or the first that cannot be set.
        msr_count: u32,
        /// IN: address of an array of `xen_domctl_vcpu_msr`; 0: only the count is wanted.
        msrs: u64,
    }

    /// Argument of [`XEN_DOMCTL_SET_ADDRESS_SIZE`] and [`XEN_DOMCTL_GET_ADDRESS_SIZE`].
    struct AddressSize("struct xen_domctl_address_size", 4) {
        /// IN or OUT: 32 or 64.
        size: u32,
    }

    /// Argument of [`XEN_DOMCTL_SENDTRIGGER`].
    struct Sendtrigger("struct xen_domctl_sendtrigger", 8) {
        /// IN: one of `XEN_DOMCTL_SENDTRIGGER_*`.
        trigger: u32,
        /// IN: the vCPU.
        vcpu: u32,
    }

    /// Argument of [`XEN_DOMCTL_SUBSCRIBE`].
    struct Subscribe("struct xen_domctl_subscribe", 4) {
        /// IN: the port to ring.
        port: u32,
    }

    /// Argument of [`XEN_DOMCTL_SET_VIRQ_HANDLER`].
    struct SetVirqHandler("struct xen_domctl_set_virq_handler", 4) {
        /// IN: the virtual interrupt.
        virq: u32,
    }
}

pub(crate) mod numbers;
pub use numbers::*;

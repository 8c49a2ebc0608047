//! `sysctl(op)`: what a toolstack asks and sets of the machine as a whole.
//!
//! One layout for both widths, as [`domctl`](crate::domctl) has it. Numbers are in
//! [`numbers`](self); of the structures those are stated that a PV toolstack fills.

use crate::domctl::Bitmap;
use crate::types::DomId;

layouts! { in "sysctl.h";
    /// The argument: a command and room for its structure.
    struct Sysctl("struct xen_sysctl", 136) {
        /// IN: one of `XEN_SYSCTL_*`.
        cmd: u32,
        /// IN: [`XEN_SYSCTL_INTERFACE_VERSION`], else `-EACCES`.
        interface_version: u32,
        /// IN and OUT: the command's structure.
        u: [u8; 128],
    }

    /// Argument of [`XEN_SYSCTL_READCONSOLE`].
    struct Readconsole("struct xen_sysctl_readconsole", 24) {
        /// IN: not 0: forget what was read.
        clear: u8,
        /// IN: not 0: begin at `index`.
        incremental: u8,
        /// Padding.
        pad0: u8,
        /// Padding.
        pad1: u8,
        /// IN: where to begin; OUT: where reading ended.
        index: u32,
        /// IN: address of a buffer.
        buffer: u64,
        /// IN: its bytes; OUT: bytes that were written.
        count: u32,
        /// Padding.
        _pad: u32 => [],
    }

    /// Argument of [`XEN_SYSCTL_TBUF_OP`].
    struct TbufOp("struct xen_sysctl_tbuf_op", 48) {
        /// IN: one of `XEN_SYSCTL_TBUFOP_*`.
        cmd: u32,
        /// Padding.
        _pad0: u32 => [],
        /// IN: CPUs that are traced.
        cpu_mask: Bitmap,
        /// IN or OUT: events that are traced.
        evt_mask: u32,
        /// Padding.
        _pad1: u32 => [],
        /// OUT: the frame that describes the buffers.
        buffer_mfn: u64,
        /// IN: pages of each CPU's buffer; OUT: bytes of the description.
        size: u32,
        /// Padding.
        _pad2: u32 => [],
    }

    /// Argument of [`XEN_SYSCTL_PHYSINFO`].
    struct Physinfo("struct xen_sysctl_physinfo", 112) {
        /// OUT: threads of a core.
        threads_per_core: u32,
        /// OUT: cores of a socket.
        cores_per_socket: u32,
        /// OUT: CPUs that are up.
        nr_cpus: u32,
        /// OUT: the highest number of a CPU.
        max_cpu_id: u32,
        /// OUT: NUMA nodes that are up.
        nr_nodes: u32,
        /// OUT: the highest number of a node.
        max_node_id: u32,
        /// OUT: ticks of the TSC in a millisecond.
        cpu_khz: u32,
        /// OUT: `XEN_SYSCTL_PHYSCAP_*`.
        capabilities: u32,
        /// OUT: the same, of the architecture.
        arch_capabilities: u32,
        /// Padding.
        pad: u32,
        /// OUT: frames of RAM.
        total_pages: u64,
        /// OUT: frames that are free.
        free_pages: u64,
        /// OUT: frames that are to be emptied before they are free.
        scrub_pages: u64,
        /// OUT: frames that are set aside.
        outstanding_pages: u64,
        /// OUT: the highest number of a frame.
        max_mfn: u64,
        /// OUT: words of CPUID.
        hw_cap: [u32; 8],
    }

    /// Argument of [`XEN_SYSCTL_SCHED_ID`].
    struct SchedId("struct xen_sysctl_sched_id", 4) {
        /// OUT: one of `XEN_SCHEDULER_*`.
        sched_id: u32,
    }

    /// A counter, or several of one name.
    struct PerfcDesc("struct xen_sysctl_perfc_desc", 84) {
        /// OUT: its name, ended by a zero.
        name: [u8; 80],
        /// OUT: its values.
        nr_vals: u32,
    }

    /// Argument of [`XEN_SYSCTL_PERFC_OP`].
    struct PerfcOp("struct xen_sysctl_perfc_op", 32) {
        /// IN: one of `XEN_SYSCTL_PERFCOP_*`.
        cmd: u32,
        /// OUT: counters.
        nr_counters: u32,
        /// OUT: values of all counters.
        nr_vals: u32,
        /// Padding.
        _pad: u32 => [],
        /// IN: address of an array of [`PerfcDesc`]; 0: only how many there are.
        desc: u64,
        /// IN: address of an array of 32-bit values.
        val: u64,
    }

    /// Argument of [`XEN_SYSCTL_GETDOMAININFOLIST`].
    struct Getdomaininfolist("struct xen_sysctl_getdomaininfolist", 24) {
        /// IN: the lowest number.
        first_domain: DomId,
        /// Padding.
        _pad0: u16 => [],
        /// IN: elements of the array.
        max_domains: u32,
        /// IN: address of an array of [`Getdomaininfo`](crate::domctl::Getdomaininfo).
        buffer: u64,
        /// OUT: elements that were written.
        num_domains: u32,
        /// Padding.
        _pad1: u32 => [],
    }

    /// Argument of [`XEN_SYSCTL_DEBUG_KEYS`].
    struct DebugKeys("struct xen_sysctl_debug_keys", 16) {
        /// IN: address of the keys.
        keys: u64,
        /// IN: how many.
        nr_keys: u32,
        /// Padding.
        _pad: u32 => [],
    }

    /// About a CPU.
    struct Cpuinfo("struct xen_sysctl_cpuinfo", 8) {
        /// OUT: nanoseconds that it idled.
        idletime: u64,
    }

    /// Argument of [`XEN_SYSCTL_GETCPUINFO`].
    struct Getcpuinfo("struct xen_sysctl_getcpuinfo", 24) {
        /// IN: elements of the array.
        max_cpus: u32,
        /// Padding.
        _pad0: u32 => [],
        /// IN: address of an array of [`Cpuinfo`].
        info: u64,
        /// OUT: elements that were written.
        nr_cpus: u32,
        /// Padding.
        _pad1: u32 => [],
    }

    /// Argument of [`XEN_SYSCTL_AVAILHEAP`].
    struct Availheap("struct xen_sysctl_availheap", 24) {
        /// IN: the least width of the addresses; 0: any.
        min_bitwidth: u32,
        /// IN: the greatest width; 0: any.
        max_bitwidth: u32,
        /// IN: the node; -1: all.
        node: i32,
        /// Padding.
        _pad: u32 => [],
        /// OUT: free bytes.
        avail_bytes: u64,
    }

    /// Where a CPU is.
    struct Cputopo("struct xen_sysctl_cputopo", 12) {
        /// OUT: its core.
        core: u32,
        /// OUT: its socket.
        socket: u32,
        /// OUT: its node.
        node: u32,
    }

    /// Argument of [`XEN_SYSCTL_CPUTOPOINFO`].
    struct Cputopoinfo("struct xen_sysctl_cputopoinfo", 16) {
        /// IN: elements of the array; OUT: CPUs, or elements that were written.
        num_cpus: u32,
        /// Padding.
        _pad: u32 => [],
        /// IN: address of an array of [`Cputopo`]; 0: only how many there are.
        cputopo: u64,
    }

    /// A node's memory.
    struct Meminfo("struct xen_sysctl_meminfo", 16) {
        /// OUT: bytes.
        memsize: u64,
        /// OUT: bytes that are free.
        memfree: u64,
    }

    /// Argument of [`XEN_SYSCTL_NUMAINFO`].
    struct Numainfo("struct xen_sysctl_numainfo", 24) {
        /// IN: nodes that there is room for; OUT: nodes, or those that were told.
        num_nodes: u32,
        /// Padding.
        _pad: u32 => [],
        /// IN: address of an array of [`Meminfo`], or 0.
        meminfo: u64,
        /// IN: address of a square of 32-bit distances, or 0.
        distance: u64,
    }

    /// Argument of [`XEN_SYSCTL_CPUPOOL_OP`].
    struct CpupoolOp("struct xen_sysctl_cpupool_op", 40) {
        /// IN: one of `XEN_SYSCTL_CPUPOOL_OP_*`.
        op: u32,
        /// IN: the pool; OUT: of [`XEN_SYSCTL_CPUPOOL_OP_INFO`], the first from there on.
        cpupool_id: u32,
        /// OUT: its scheduler.
        sched_id: u32,
        /// IN: the domain to move.
        domid: u32,
        /// IN: the CPU to add or to take.
        cpu: u32,
        /// OUT: domains in the pool.
        n_dom: u32,
        /// OUT: its CPUs, or those in no pool.
        cpumap: Bitmap,
    }

    /// How the scheduler `credit` goes about it.
    struct CreditSchedule("struct xen_sysctl_credit_schedule", 12) {
        /// How long a turn is at most, in ms.
        tslice_ms: u32,
        /// How long it is at least, in us; 0: no minimum.
        ratelimit_us: u32,
        /// How long a vCPU stays where it ran, in us.
        vcpu_migr_delay_us: u32,
    }

    /// Argument of [`XEN_SYSCTL_SCHEDULER_OP`].
    struct SchedulerOp("struct xen_sysctl_scheduler_op", 32) {
        /// IN: the pool.
        cpupool_id: u32,
        /// IN: one of `XEN_SCHEDULER_*`.
        sched_id: u32,
        /// IN: one of `XEN_SYSCTL_SCHEDOP_*`.
        cmd: u32,
        /// Padding.
        _pad0: u32 => [],
        /// IN or OUT: the scheduler's settings.
        credit: CreditSchedule => ["u.sched_credit"],
        /// The rest of a union.
        _pad1: u32 => [],
    }

    /// Argument of [`XEN_SYSCTL_GET_CPU_LEVELLING_CAPS`].
    struct CpuLevellingCaps("struct xen_sysctl_cpu_levelling_caps", 4) {
        /// OUT: `XEN_SYSCTL_CPU_LEVELCAP_*`.
        caps: u32,
    }
}

pub(crate) mod numbers;
pub use numbers::*;

//! Numbers of `sysctl`.

constants! { in "sysctl.h";
    /// The version of this interface: any other is refused.
    XEN_SYSCTL_INTERFACE_VERSION: u32 = 0x15;
    /// Reads the hypervisor's log; argument `Readconsole`.
    XEN_SYSCTL_READCONSOLE: u32 = 1 => "XEN_SYSCTL_readconsole";
    /// Trace buffers; argument `TbufOp`.
    XEN_SYSCTL_TBUF_OP: u32 = 2 => "XEN_SYSCTL_tbuf_op";
    /// Tells about the machine; argument `Physinfo`.
    XEN_SYSCTL_PHYSINFO: u32 = 3 => "XEN_SYSCTL_physinfo";
    /// Tells the scheduler; argument `SchedId`.
    XEN_SYSCTL_SCHED_ID: u32 = 4 => "XEN_SYSCTL_sched_id";
    /// Performance counters; argument `PerfcOp`.
    XEN_SYSCTL_PERFC_OP: u32 = 5 => "XEN_SYSCTL_perfc_op";
    /// Tells about domains; argument `Getdomaininfolist`.
    XEN_SYSCTL_GETDOMAININFOLIST: u32 = 6 => "XEN_SYSCTL_getdomaininfolist";
    /// Presses debug keys; argument `DebugKeys`.
    XEN_SYSCTL_DEBUG_KEYS: u32 = 7 => "XEN_SYSCTL_debug_keys";
    /// Tells about CPUs; argument `Getcpuinfo`.
    XEN_SYSCTL_GETCPUINFO: u32 = 8 => "XEN_SYSCTL_getcpuinfo";
    /// Tells how much memory is free; argument `Availheap`.
    XEN_SYSCTL_AVAILHEAP: u32 = 9 => "XEN_SYSCTL_availheap";
    /// Power management of CPUs.
    XEN_SYSCTL_GET_PMSTAT: u32 = 10 => "XEN_SYSCTL_get_pmstat";
    /// Brings CPUs up and down.
    XEN_SYSCTL_CPU_HOTPLUG: u32 = 11 => "XEN_SYSCTL_cpu_hotplug";
    /// Power management of CPUs.
    XEN_SYSCTL_PM_OP: u32 = 12 => "XEN_SYSCTL_pm_op";
    /// Takes broken frames out of use.
    XEN_SYSCTL_PAGE_OFFLINE_OP: u32 = 14 => "XEN_SYSCTL_page_offline_op";
    /// Profile of the hypervisor's locks.
    XEN_SYSCTL_LOCKPROF_OP: u32 = 15 => "XEN_SYSCTL_lockprof_op";
    /// Tells where CPUs are; argument `Cputopoinfo`.
    XEN_SYSCTL_CPUTOPOINFO: u32 = 16 => "XEN_SYSCTL_cputopoinfo";
    /// Tells about nodes; argument `Numainfo`.
    XEN_SYSCTL_NUMAINFO: u32 = 17 => "XEN_SYSCTL_numainfo";
    /// Pools of CPUs; argument `CpupoolOp`.
    XEN_SYSCTL_CPUPOOL_OP: u32 = 18 => "XEN_SYSCTL_cpupool_op";
    /// Sets or tells how the scheduler goes about it; argument `SchedulerOp`.
    XEN_SYSCTL_SCHEDULER_OP: u32 = 19 => "XEN_SYSCTL_scheduler_op";
    /// Coverage of the hypervisor's code.
    XEN_SYSCTL_COVERAGE_OP: u32 = 20 => "XEN_SYSCTL_coverage_op";
    /// Monitoring of caches.
    XEN_SYSCTL_PSR_CMT_OP: u32 = 21 => "XEN_SYSCTL_psr_cmt_op";
    /// Tells where PCI devices are.
    XEN_SYSCTL_PCITOPOINFO: u32 = 22 => "XEN_SYSCTL_pcitopoinfo";
    /// Allocation of caches.
    XEN_SYSCTL_PSR_ALLOC: u32 = 23 => "XEN_SYSCTL_psr_alloc";
    /// Tells which of CPUID can be masked; argument `CpuLevellingCaps`.
    XEN_SYSCTL_GET_CPU_LEVELLING_CAPS: u32 = 25 => "XEN_SYSCTL_get_cpu_levelling_caps";
    /// Tells features of CPUs.
    XEN_SYSCTL_GET_CPU_FEATURESET: u32 = 26 => "XEN_SYSCTL_get_cpu_featureset";
    /// Patches of the running hypervisor.
    XEN_SYSCTL_LIVEPATCH_OP: u32 = 27 => "XEN_SYSCTL_livepatch_op";
    /// Tells policies about CPUs.
    XEN_SYSCTL_GET_CPU_POLICY: u32 = 29 => "XEN_SYSCTL_get_cpu_policy";
    /// Trace buffers: tells where they are.
    XEN_SYSCTL_TBUFOP_GET_INFO: u32 = 0 => "XEN_SYSCTL_TBUFOP_get_info";
    /// Trace buffers: says which CPUs are traced.
    XEN_SYSCTL_TBUFOP_SET_CPU_MASK: u32 = 1 => "XEN_SYSCTL_TBUFOP_set_cpu_mask";
    /// Trace buffers: says which events are traced.
    XEN_SYSCTL_TBUFOP_SET_EVT_MASK: u32 = 2 => "XEN_SYSCTL_TBUFOP_set_evt_mask";
    /// Trace buffers: makes them.
    XEN_SYSCTL_TBUFOP_SET_SIZE: u32 = 3 => "XEN_SYSCTL_TBUFOP_set_size";
    /// Trace buffers: tracing goes on.
    XEN_SYSCTL_TBUFOP_ENABLE: u32 = 4 => "XEN_SYSCTL_TBUFOP_enable";
    /// Trace buffers: tracing stops.
    XEN_SYSCTL_TBUFOP_DISABLE: u32 = 5 => "XEN_SYSCTL_TBUFOP_disable";
    /// The machine can have HVM guests.
    XEN_SYSCTL_PHYSCAP_HVM: u32 = 1 << 0 => "XEN_SYSCTL_PHYSCAP_hvm";
    /// The machine can have PV guests.
    XEN_SYSCTL_PHYSCAP_PV: u32 = 1 << 1 => "XEN_SYSCTL_PHYSCAP_pv";
    /// The machine has an IOMMU.
    XEN_SYSCTL_PHYSCAP_DIRECTIO: u32 = 1 << 2 => "XEN_SYSCTL_PHYSCAP_directio";
    /// The machine has hardware-assisted paging.
    XEN_SYSCTL_PHYSCAP_HAP: u32 = 1 << 3 => "XEN_SYSCTL_PHYSCAP_hap";
    /// There are shadow page tables.
    XEN_SYSCTL_PHYSCAP_SHADOW: u32 = 1 << 4 => "XEN_SYSCTL_PHYSCAP_shadow";
    /// The IOMMU can share page tables.
    XEN_SYSCTL_PHYSCAP_IOMMU_HAP_PT_SHARE: u32 = 1 << 5 => "XEN_SYSCTL_PHYSCAP_iommu_hap_pt_share";
    /// HVM guests can be traced by the processor.
    XEN_SYSCTL_PHYSCAP_VMTRACE: u32 = 1 << 6 => "XEN_SYSCTL_PHYSCAP_vmtrace";
    /// Domains can have performance counters.
    XEN_SYSCTL_PHYSCAP_VPMU: u32 = 1 << 7 => "XEN_SYSCTL_PHYSCAP_vpmu";
    /// There are grant tables of version 1.
    XEN_SYSCTL_PHYSCAP_GNTTAB_V1: u32 = 1 << 8 => "XEN_SYSCTL_PHYSCAP_gnttab_v1";
    /// There are grant tables of version 2.
    XEN_SYSCTL_PHYSCAP_GNTTAB_V2: u32 = 1 << 9 => "XEN_SYSCTL_PHYSCAP_gnttab_v2";
    /// The highest capability.
    XEN_SYSCTL_PHYSCAP_MAX: u32 = 1 << 9;
    /// Performance counters: begins anew.
    XEN_SYSCTL_PERFCOP_RESET: u32 = 1 => "XEN_SYSCTL_PERFCOP_reset";
    /// Performance counters: tells them.
    XEN_SYSCTL_PERFCOP_QUERY: u32 = 2 => "XEN_SYSCTL_PERFCOP_query";
    /// Brings a CPU up.
    XEN_SYSCTL_CPU_HOTPLUG_ONLINE: u32 = 0;
    /// Takes a CPU down.
    XEN_SYSCTL_CPU_HOTPLUG_OFFLINE: u32 = 1;
    /// Brings second threads up.
    XEN_SYSCTL_CPU_HOTPLUG_SMT_ENABLE: u32 = 2;
    /// Takes second threads down.
    XEN_SYSCTL_CPU_HOTPLUG_SMT_DISABLE: u32 = 3;
    /// No such core.
    XEN_INVALID_CORE_ID: u32 = u32::MAX;
    /// No such socket.
    XEN_INVALID_SOCKET_ID: u32 = u32::MAX;
    /// No such node.
    XEN_INVALID_NODE_ID: u32 = u32::MAX;
    /// The memory of a node that is not there.
    XEN_INVALID_MEM_SZ: u32 = u32::MAX;
    /// The distance of a node that is not there.
    XEN_INVALID_NODE_DIST: u32 = u32::MAX;
    /// Pools: makes one.
    XEN_SYSCTL_CPUPOOL_OP_CREATE: u32 = 1;
    /// Pools: ends one.
    XEN_SYSCTL_CPUPOOL_OP_DESTROY: u32 = 2;
    /// Pools: tells about one.
    XEN_SYSCTL_CPUPOOL_OP_INFO: u32 = 3;
    /// Pools: gives it a CPU.
    XEN_SYSCTL_CPUPOOL_OP_ADDCPU: u32 = 4;
    /// Pools: takes a CPU.
    XEN_SYSCTL_CPUPOOL_OP_RMCPU: u32 = 5;
    /// Pools: moves a domain there.
    XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN: u32 = 6;
    /// Pools: tells which CPUs are in none.
    XEN_SYSCTL_CPUPOOL_OP_FREEINFO: u32 = 7;
    /// Any CPU, or any pool.
    XEN_SYSCTL_CPUPOOL_PAR_ANY: u32 = u32::MAX;
    /// Sets the scheduler's settings.
    XEN_SYSCTL_SCHEDOP_PUTINFO: u32 = 0 => "XEN_SYSCTL_SCHEDOP_putinfo";
    /// Tells the scheduler's settings.
    XEN_SYSCTL_SCHEDOP_GETINFO: u32 = 1 => "XEN_SYSCTL_SCHEDOP_getinfo";
    /// The longest minimum of a turn, in us.
    XEN_SYSCTL_SCHED_RATELIMIT_MAX: u32 = 500_000;
    /// The shortest, but for none.
    XEN_SYSCTL_SCHED_RATELIMIT_MIN: u32 = 100;
    /// The longest turn, in ms.
    XEN_SYSCTL_CSCHED_TSLICE_MAX: u32 = 1000;
    /// The shortest.
    XEN_SYSCTL_CSCHED_TSLICE_MIN: u32 = 1;
    /// The longest time that a vCPU stays where it ran, in us.
    XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US: u32 = 100_000;
}

//! Numbers of `domctl`.

constants! { in "domctl.h";
    /// The version of this interface: any other is refused.
    XEN_DOMCTL_INTERFACE_VERSION: u32 = 0x15;
    /// Makes a domain; argument `Createdomain`.
    XEN_DOMCTL_CREATEDOMAIN: u32 = 1 => "XEN_DOMCTL_createdomain";
    /// Destroys a domain.
    XEN_DOMCTL_DESTROYDOMAIN: u32 = 2 => "XEN_DOMCTL_destroydomain";
    /// Keeps a domain from running, once more.
    XEN_DOMCTL_PAUSEDOMAIN: u32 = 3 => "XEN_DOMCTL_pausedomain";
    /// Ends one pause.
    XEN_DOMCTL_UNPAUSEDOMAIN: u32 = 4 => "XEN_DOMCTL_unpausedomain";
    /// Tells about the first domain from the given number on; argument `Getdomaininfo`.
    XEN_DOMCTL_GETDOMAININFO: u32 = 5 => "XEN_DOMCTL_getdomaininfo";
    /// Says where a vCPU may run; argument `Vcpuaffinity`.
    XEN_DOMCTL_SETVCPUAFFINITY: u32 = 9 => "XEN_DOMCTL_setvcpuaffinity";
    /// Shadow page tables.
    XEN_DOMCTL_SHADOW_OP: u32 = 10 => "XEN_DOMCTL_shadow_op";
    /// Says how much memory a domain may have; argument `MaxMem`.
    XEN_DOMCTL_MAX_MEM: u32 = 11 => "XEN_DOMCTL_max_mem";
    /// Sets a vCPU's state; argument `Vcpucontext`.
    XEN_DOMCTL_SETVCPUCONTEXT: u32 = 12 => "XEN_DOMCTL_setvcpucontext";
    /// Tells a vCPU's state; argument `Vcpucontext`.
    XEN_DOMCTL_GETVCPUCONTEXT: u32 = 13 => "XEN_DOMCTL_getvcpucontext";
    /// Tells about a vCPU; argument `Getvcpuinfo`.
    XEN_DOMCTL_GETVCPUINFO: u32 = 14 => "XEN_DOMCTL_getvcpuinfo";
    /// Makes a domain's vCPUs; argument `MaxVcpus`.
    XEN_DOMCTL_MAX_VCPUS: u32 = 15 => "XEN_DOMCTL_max_vcpus";
    /// Sets or tells a domain's share; argument `SchedulerOp`.
    XEN_DOMCTL_SCHEDULER_OP: u32 = 16 => "XEN_DOMCTL_scheduler_op";
    /// Sets a domain's handle; argument `Setdomainhandle`.
    XEN_DOMCTL_SETDOMAINHANDLE: u32 = 17 => "XEN_DOMCTL_setdomainhandle";
    /// Attaches a debugger.
    XEN_DOMCTL_SETDEBUGGING: u32 = 18 => "XEN_DOMCTL_setdebugging";
    /// Allows an interrupt; argument `IrqPermission`.
    XEN_DOMCTL_IRQ_PERMISSION: u32 = 19 => "XEN_DOMCTL_irq_permission";
    /// Allows device memory; argument `IomemPermission`.
    XEN_DOMCTL_IOMEM_PERMISSION: u32 = 20 => "XEN_DOMCTL_iomem_permission";
    /// Allows I/O ports; argument `IoportPermission`.
    XEN_DOMCTL_IOPORT_PERMISSION: u32 = 21 => "XEN_DOMCTL_ioport_permission";
    /// Fills a hypercall page; argument `HypercallInit`.
    XEN_DOMCTL_HYPERCALL_INIT: u32 = 22 => "XEN_DOMCTL_hypercall_init";
    /// Sets a domain's wall clock; argument `Settimeoffset`.
    XEN_DOMCTL_SETTIMEOFFSET: u32 = 24 => "XEN_DOMCTL_settimeoffset";
    /// Tells where a vCPU may run; argument `Vcpuaffinity`.
    XEN_DOMCTL_GETVCPUAFFINITY: u32 = 25 => "XEN_DOMCTL_getvcpuaffinity";
    /// Obsolete.
    XEN_DOMCTL_REAL_MODE_AREA: u32 = 26 => "XEN_DOMCTL_real_mode_area";
    /// Lets a domain go on that was shut down.
    XEN_DOMCTL_RESUMEDOMAIN: u32 = 27 => "XEN_DOMCTL_resumedomain";
    /// Sends an NMI, or presses a button; argument `Sendtrigger`.
    XEN_DOMCTL_SENDTRIGGER: u32 = 28 => "XEN_DOMCTL_sendtrigger";
    /// Says which port to ring when the domain suspends; argument `Subscribe`.
    XEN_DOMCTL_SUBSCRIBE: u32 = 29 => "XEN_DOMCTL_subscribe";
    /// HVM guests.
    XEN_DOMCTL_GETHVMCONTEXT: u32 = 33 => "XEN_DOMCTL_gethvmcontext";
    /// HVM guests.
    XEN_DOMCTL_SETHVMCONTEXT: u32 = 34 => "XEN_DOMCTL_sethvmcontext";
    /// Sets the width of a domain; argument `AddressSize`.
    XEN_DOMCTL_SET_ADDRESS_SIZE: u32 = 35 => "XEN_DOMCTL_set_address_size";
    /// Tells the width of a domain; argument `AddressSize`.
    XEN_DOMCTL_GET_ADDRESS_SIZE: u32 = 36 => "XEN_DOMCTL_get_address_size";
    /// The command of that name.
    XEN_DOMCTL_ASSIGN_DEVICE: u32 = 37 => "XEN_DOMCTL_assign_device";
    /// The command of that name.
    XEN_DOMCTL_BIND_PT_IRQ: u32 = 38 => "XEN_DOMCTL_bind_pt_irq";
    /// The command of that name.
    XEN_DOMCTL_MEMORY_MAPPING: u32 = 39 => "XEN_DOMCTL_memory_mapping";
    /// The command of that name.
    XEN_DOMCTL_IOPORT_MAPPING: u32 = 40 => "XEN_DOMCTL_ioport_mapping";
    /// The command of that name.
    XEN_DOMCTL_SET_EXT_VCPUCONTEXT: u32 = 42 => "XEN_DOMCTL_set_ext_vcpucontext";
    /// The command of that name.
    XEN_DOMCTL_GET_EXT_VCPUCONTEXT: u32 = 43 => "XEN_DOMCTL_get_ext_vcpucontext";
    /// The command of that name.
    XEN_DOMCTL_SET_OPT_FEATURE: u32 = 44 => "XEN_DOMCTL_set_opt_feature";
    /// The command of that name.
    XEN_DOMCTL_TEST_ASSIGN_DEVICE: u32 = 45 => "XEN_DOMCTL_test_assign_device";
    /// The command of that name.
    XEN_DOMCTL_SET_TARGET: u32 = 46 => "XEN_DOMCTL_set_target";
    /// The command of that name.
    XEN_DOMCTL_DEASSIGN_DEVICE: u32 = 47 => "XEN_DOMCTL_deassign_device";
    /// The command of that name.
    XEN_DOMCTL_UNBIND_PT_IRQ: u32 = 48 => "XEN_DOMCTL_unbind_pt_irq";
    /// The command of that name.
    XEN_DOMCTL_GET_DEVICE_GROUP: u32 = 50 => "XEN_DOMCTL_get_device_group";
    /// The command of that name.
    XEN_DOMCTL_DEBUG_OP: u32 = 54 => "XEN_DOMCTL_debug_op";
    /// The command of that name.
    XEN_DOMCTL_GETHVMCONTEXT_PARTIAL: u32 = 55 => "XEN_DOMCTL_gethvmcontext_partial";
    /// The command of that name.
    XEN_DOMCTL_VM_EVENT_OP: u32 = 56 => "XEN_DOMCTL_vm_event_op";
    /// The command of that name.
    XEN_DOMCTL_MEM_SHARING_OP: u32 = 57 => "XEN_DOMCTL_mem_sharing_op";
    /// Tells how time stamps are told to a domain; argument `TscInfo`.
    XEN_DOMCTL_GETTSCINFO: u32 = 59 => "XEN_DOMCTL_gettscinfo";
    /// Says how time stamps are told to a domain; argument `TscInfo`.
    XEN_DOMCTL_SETTSCINFO: u32 = 60 => "XEN_DOMCTL_settscinfo";
    /// Tells the types of frames; argument `Getpageframeinfo3`.
    XEN_DOMCTL_GETPAGEFRAMEINFO3: u32 = 61 => "XEN_DOMCTL_getpageframeinfo3";
    /// The command of that name.
    XEN_DOMCTL_SETVCPUEXTSTATE: u32 = 62 => "XEN_DOMCTL_setvcpuextstate";
    /// The command of that name.
    XEN_DOMCTL_GETVCPUEXTSTATE: u32 = 63 => "XEN_DOMCTL_getvcpuextstate";
    /// The command of that name.
    XEN_DOMCTL_SET_ACCESS_REQUIRED: u32 = 64 => "XEN_DOMCTL_set_access_required";
    /// The command of that name.
    XEN_DOMCTL_AUDIT_P2M: u32 = 65 => "XEN_DOMCTL_audit_p2m";
    /// Says whom a virtual interrupt goes to; argument `SetVirqHandler`.
    XEN_DOMCTL_SET_VIRQ_HANDLER: u32 = 66 => "XEN_DOMCTL_set_virq_handler";
    /// The command of that name.
    XEN_DOMCTL_SET_BROKEN_PAGE_P2M: u32 = 67 => "XEN_DOMCTL_set_broken_page_p2m";
    /// Says on which nodes a domain is to be; argument `Nodeaffinity`.
    XEN_DOMCTL_SETNODEAFFINITY: u32 = 68 => "XEN_DOMCTL_setnodeaffinity";
    /// Tells on which nodes a domain is to be; argument `Nodeaffinity`.
    XEN_DOMCTL_GETNODEAFFINITY: u32 = 69 => "XEN_DOMCTL_getnodeaffinity";
    /// The command of that name.
    XEN_DOMCTL_CACHEFLUSH: u32 = 71 => "XEN_DOMCTL_cacheflush";
    /// Tells a vCPU's MSRs; argument `VcpuMsrs`.
    XEN_DOMCTL_GET_VCPU_MSRS: u32 = 72 => "XEN_DOMCTL_get_vcpu_msrs";
    /// Sets a vCPU's MSRs; argument `VcpuMsrs`.
    XEN_DOMCTL_SET_VCPU_MSRS: u32 = 73 => "XEN_DOMCTL_set_vcpu_msrs";
    /// The command of that name.
    XEN_DOMCTL_SETVNUMAINFO: u32 = 74 => "XEN_DOMCTL_setvnumainfo";
    /// The command of that name.
    XEN_DOMCTL_PSR_CMT_OP: u32 = 75 => "XEN_DOMCTL_psr_cmt_op";
    /// The command of that name.
    XEN_DOMCTL_MONITOR_OP: u32 = 77 => "XEN_DOMCTL_monitor_op";
    /// The command of that name.
    XEN_DOMCTL_PSR_ALLOC: u32 = 78 => "XEN_DOMCTL_psr_alloc";
    /// The command of that name.
    XEN_DOMCTL_SOFT_RESET: u32 = 79 => "XEN_DOMCTL_soft_reset";
    /// The command of that name.
    XEN_DOMCTL_VUART_OP: u32 = 81 => "XEN_DOMCTL_vuart_op";
    /// The command of that name.
    XEN_DOMCTL_GET_CPU_POLICY: u32 = 82 => "XEN_DOMCTL_get_cpu_policy";
    /// The command of that name.
    XEN_DOMCTL_SET_CPU_POLICY: u32 = 83 => "XEN_DOMCTL_set_cpu_policy";
    /// The command of that name.
    XEN_DOMCTL_VMTRACE_OP: u32 = 84 => "XEN_DOMCTL_vmtrace_op";
    /// The command of that name.
    XEN_DOMCTL_GET_PAGING_MEMPOOL_SIZE: u32 = 85 => "XEN_DOMCTL_get_paging_mempool_size";
    /// The command of that name.
    XEN_DOMCTL_SET_PAGING_MEMPOOL_SIZE: u32 = 86 => "XEN_DOMCTL_set_paging_mempool_size";
    /// The command of that name.
    XEN_DOMCTL_GDBSX_GUESTMEMIO: u32 = 1000 => "XEN_DOMCTL_gdbsx_guestmemio";
    /// The command of that name.
    XEN_DOMCTL_GDBSX_PAUSEVCPU: u32 = 1001 => "XEN_DOMCTL_gdbsx_pausevcpu";
    /// The command of that name.
    XEN_DOMCTL_GDBSX_UNPAUSEVCPU: u32 = 1002 => "XEN_DOMCTL_gdbsx_unpausevcpu";
    /// The command of that name.
    XEN_DOMCTL_GDBSX_DOMSTATUS: u32 = 1003 => "XEN_DOMCTL_gdbsx_domstatus";

    /// Flag of a new domain: an HVM guest.
    XEN_DOMCTL_CDF_HVM: u32 = 1 << 0 => "XEN_DOMCTL_CDF_hvm";
    /// Flag of a new domain: hardware-assisted paging.
    XEN_DOMCTL_CDF_HAP: u32 = 1 << 1 => "XEN_DOMCTL_CDF_hap";
    /// Flag of a new domain: its memory is measured over S3.
    XEN_DOMCTL_CDF_S3_INTEGRITY: u32 = 1 << 2 => "XEN_DOMCTL_CDF_s3_integrity";
    /// Flag of a new domain: shadow page tables are never out of sync.
    XEN_DOMCTL_CDF_OOS_OFF: u32 = 1 << 3 => "XEN_DOMCTL_CDF_oos_off";
    /// Flag of a new domain: it has the XenStore.
    XEN_DOMCTL_CDF_XS_DOMAIN: u32 = 1 << 4 => "XEN_DOMCTL_CDF_xs_domain";
    /// Flag of a new domain: it may use the IOMMU.
    XEN_DOMCTL_CDF_IOMMU: u32 = 1 << 5 => "XEN_DOMCTL_CDF_iommu";
    /// Flag of a new domain: nested virtualization.
    XEN_DOMCTL_CDF_NESTED_VIRT: u32 = 1 << 6 => "XEN_DOMCTL_CDF_nested_virt";
    /// Flag of a new domain: performance counters.
    XEN_DOMCTL_CDF_VPMU: u32 = 1 << 7 => "XEN_DOMCTL_CDF_vpmu";
    /// The highest flag of a new domain.
    XEN_DOMCTL_CDF_MAX: u32 = 1 << 7;
    /// IOMMU option: page tables of its own.
    XEN_DOMCTL_IOMMU_NO_SHAREPT: u32 = 1 << 0 => "XEN_DOMCTL_IOMMU_no_sharept";
    /// The highest IOMMU option.
    XEN_DOMCTL_IOMMU_MAX: u32 = 1 << 0;
    /// The bits of `Createdomain::grant_opts` with the version.
    XEN_DOMCTL_GRANT_VERSION_MASK: u32 = 0xf => "XEN_DOMCTL_GRANT_version_mask";
    /// Emulated device of a domain: the timer chip, the only one that a PV domain may ask for.
    XEN_X86_EMU_PIT: u32 = 1 << 8;
    /// Flag of an x86 domain: unknown MSRs read as zero.
    XEN_X86_MSR_RELAXED: u32 = 1 << 0;
    /// State of a domain: it was destroyed.
    XEN_DOMINF_DYING: u32 = 1 << 0 => "XEN_DOMINF_dying";
    /// State of a domain: an HVM guest.
    XEN_DOMINF_HVM_GUEST: u32 = 1 << 1 => "XEN_DOMINF_hvm_guest";
    /// State of a domain: it has shut down.
    XEN_DOMINF_SHUTDOWN: u32 = 1 << 2 => "XEN_DOMINF_shutdown";
    /// State of a domain: it is paused.
    XEN_DOMINF_PAUSED: u32 = 1 << 3 => "XEN_DOMINF_paused";
    /// State of a domain: all its vCPUs sleep.
    XEN_DOMINF_BLOCKED: u32 = 1 << 4 => "XEN_DOMINF_blocked";
    /// State of a domain: one of its vCPUs runs.
    XEN_DOMINF_RUNNING: u32 = 1 << 5 => "XEN_DOMINF_running";
    /// State of a domain: a debugger is attached.
    XEN_DOMINF_DEBUGGED: u32 = 1 << 6 => "XEN_DOMINF_debugged";
    /// State of a domain: it has the XenStore.
    XEN_DOMINF_XS_DOMAIN: u32 = 1 << 7 => "XEN_DOMINF_xs_domain";
    /// State of a domain: hardware-assisted paging.
    XEN_DOMINF_HAP: u32 = 1 << 8 => "XEN_DOMINF_hap";
    /// The shutdown code, once it is shifted down.
    XEN_DOMINF_SHUTDOWNMASK: u32 = 255 => "XEN_DOMINF_shutdownmask";
    /// Where the shutdown code is.
    XEN_DOMINF_SHUTDOWNSHIFT: u32 = 16 => "XEN_DOMINF_shutdownshift";
    /// The highest vCPU of a domain without any.
    XEN_INVALID_MAX_VCPU_ID: u32 = u32::MAX;
    /// Where the type is in what tells about a frame.
    XEN_DOMCTL_PFINFO_LTAB_SHIFT: u32 = 28;
    /// Frame: no page table.
    XEN_DOMCTL_PFINFO_NOTAB: u32 = 0;
    /// Frame: a table of level 1.
    XEN_DOMCTL_PFINFO_L1TAB: u32 = 1 << 28;
    /// Frame: a table of level 2.
    XEN_DOMCTL_PFINFO_L2TAB: u32 = 2 << 28;
    /// Frame: a table of level 3.
    XEN_DOMCTL_PFINFO_L3TAB: u32 = 3 << 28;
    /// Frame: a table of level 4.
    XEN_DOMCTL_PFINFO_L4TAB: u32 = 4 << 28;
    /// Frame: the level.
    XEN_DOMCTL_PFINFO_LTABTYPE_MASK: u32 = 7 << 28;
    /// Frame: it is pinned.
    XEN_DOMCTL_PFINFO_LPINTAB: u32 = 1 << 31;
    /// Frame: not the domain's.
    XEN_DOMCTL_PFINFO_XTAB: u32 = 0xf << 28;
    /// Frame: only to be allocated.
    XEN_DOMCTL_PFINFO_XALLOC: u32 = 0xe << 28;
    /// Frame: broken.
    XEN_DOMCTL_PFINFO_BROKEN: u32 = 0xd << 28;
    /// Frame: all of the type.
    XEN_DOMCTL_PFINFO_LTAB_MASK: u32 = 0xf << 28;
    /// Affinity: where the vCPU may run.
    XEN_VCPUAFFINITY_HARD: u32 = 1 << 0;
    /// Affinity: where it is to run if it can.
    XEN_VCPUAFFINITY_SOFT: u32 = 1 << 1;
    /// Affinity: end what `SCHEDOP_pin_override` did.
    XEN_VCPUAFFINITY_FORCE: u32 = 1 << 2;
    /// The scheduler `credit`.
    XEN_SCHEDULER_CREDIT: u32 = 5;
    /// The scheduler `credit2`.
    XEN_SCHEDULER_CREDIT2: u32 = 6;
    /// The scheduler `arinc653`.
    XEN_SCHEDULER_ARINC653: u32 = 7;
    /// The scheduler `rtds`.
    XEN_SCHEDULER_RTDS: u32 = 8;
    /// The scheduler `null`.
    XEN_SCHEDULER_NULL: u32 = 9;
    /// Sets a domain's share.
    XEN_DOMCTL_SCHEDOP_PUTINFO: u32 = 0 => "XEN_DOMCTL_SCHEDOP_putinfo";
    /// Tells a domain's share.
    XEN_DOMCTL_SCHEDOP_GETINFO: u32 = 1 => "XEN_DOMCTL_SCHEDOP_getinfo";
    /// Sets a vCPU's share.
    XEN_DOMCTL_SCHEDOP_PUTVCPUINFO: u32 = 2 => "XEN_DOMCTL_SCHEDOP_putvcpuinfo";
    /// Tells a vCPU's share.
    XEN_DOMCTL_SCHEDOP_GETVCPUINFO: u32 = 3 => "XEN_DOMCTL_SCHEDOP_getvcpuinfo";
    /// Trigger: an NMI.
    XEN_DOMCTL_SENDTRIGGER_NMI: u32 = 0;
    /// Trigger: a reset.
    XEN_DOMCTL_SENDTRIGGER_RESET: u32 = 1;
    /// Trigger: INIT.
    XEN_DOMCTL_SENDTRIGGER_INIT: u32 = 2;
    /// Trigger: the power button.
    XEN_DOMCTL_SENDTRIGGER_POWER: u32 = 3;
    /// Trigger: the sleep button.
    XEN_DOMCTL_SENDTRIGGER_SLEEP: u32 = 4;
}

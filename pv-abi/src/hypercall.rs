//! Hypercall numbers and the register convention.
//!
//! | | 32-bit (Ring 1) | 64-bit |
//! |---|---|---|
//! | entry | `int $0x82` | `syscall` |
//! | number | `eax` | `rax` (Xen looks at `eax`) |
//! | arguments 1 to 5 | `ebx ecx edx esi edi` | `rdi rsi rdx r10 r8` |
//! | result | `eax` | `rax` |
//! | clobbered | argument registers used | the same, and `rcx`, `r11` |
//!
//! A guest calls through the *hypercall page*, which the hypervisor fills:
//! slot *n* is at byte `n * 32`. An unknown number returns `-ENOSYS`. The entry
//! instruction itself is not in the headers: it is what Xen writes to that page
//! (Xen 4.17, `pv_ring1_init_hypercall_page` and `pv_ring3_init_hypercall_page`).
//! Both forms are 2 bytes long, which is what a continuation rewinds.

/// Bytes of a slot of the hypercall page: number n is called at byte n * 32.
///
/// Stated in the comments of `xen/arch-x86/xen-x86_32.h` and `xen-x86_64.h`.
pub const PAGE_SLOT_BYTES: usize = 32;

constants! { in "xen.h";
    /// Sets virtual IDT entries. 1: address of `TrapInfo`s, ended by one with
    /// `address` 0; null clears all.
    SET_TRAP_TABLE: u32 = 0 => "__HYPERVISOR_set_trap_table";
    /// Updates page tables and the M2P. 1: address of [`crate::mmu::MmuUpdate`]s,
    /// 2: count, 3: address for the number done (u32) or null, 4: `foreigndom`.
    MMU_UPDATE: u32 = 1 => "__HYPERVISOR_mmu_update";
    /// Sets the GDT. 1: address of up to 14 frame numbers, 2: number of entries.
    SET_GDT: u32 = 2 => "__HYPERVISOR_set_gdt";
    /// Sets the stack on which the kernel is entered from user mode. 1: SS,
    /// 2: stack pointer.
    STACK_SWITCH: u32 = 3 => "__HYPERVISOR_stack_switch";
    /// Sets event, failsafe (and syscall) callbacks: 32-bit CS, EIP, CS, EIP;
    /// 64-bit three addresses.
    SET_CALLBACKS: u32 = 4 => "__HYPERVISOR_set_callbacks";
    /// Sets (1: not 0) or clears CR0.TS.
    FPU_TASKSWITCH: u32 = 5 => "__HYPERVISOR_fpu_taskswitch";
    /// Scheduling before 3.1: 1: command, 2: immediate argument.
    SCHED_OP_COMPAT: u32 = 6 => "__HYPERVISOR_sched_op_compat";
    /// Hardware platform operations of domain 0. 1: address of the operation.
    PLATFORM_OP: u32 = 7 => "__HYPERVISOR_platform_op";
    /// Writes a debug register. 1: number, 2: value.
    SET_DEBUGREG: u32 = 8 => "__HYPERVISOR_set_debugreg";
    /// Returns a debug register. 1: number 0 to 7.
    GET_DEBUGREG: u32 = 9 => "__HYPERVISOR_get_debugreg";
    /// Writes a segment descriptor. 1 (and 2 if 32-bit): machine address,
    /// 2 (3 and 4): the descriptor.
    UPDATE_DESCRIPTOR: u32 = 10 => "__HYPERVISOR_update_descriptor";
    /// Memory: see [`crate::memory`]. 1: command, 2: address of the argument.
    MEMORY_OP: u32 = 12 => "__HYPERVISOR_memory_op";
    /// Makes several calls. 1: address of `MulticallEntry`s, 2: count.
    MULTICALL: u32 = 13 => "__HYPERVISOR_multicall";
    /// Writes the L1 entry that maps an address. 1: address, 2 (and 3 if
    /// 32-bit): entry, 3 (4): flags `UVMF_*`.
    UPDATE_VA_MAPPING: u32 = 14 => "__HYPERVISOR_update_va_mapping";
    /// Sets the one-shot timer. 1 (and 2 if 32-bit): absolute system time in
    /// nanoseconds, 0 stops it.
    SET_TIMER_OP: u32 = 15 => "__HYPERVISOR_set_timer_op";
    /// Event channels before 3.2.2. 1: address of command and argument.
    EVENT_CHANNEL_OP_COMPAT: u32 = 16 => "__HYPERVISOR_event_channel_op_compat";
    /// What the hypervisor is: see [`crate::version`]. 1: command, 2: address of
    /// the argument.
    XEN_VERSION: u32 = 17 => "__HYPERVISOR_xen_version";
    /// The hypervisor's console: see [`crate::console`]. 1: command, 2: count,
    /// 3: address.
    CONSOLE_IO: u32 = 18 => "__HYPERVISOR_console_io";
    /// Physical devices before 3.2.2. 1: address of command and argument.
    PHYSDEV_OP_COMPAT: u32 = 19 => "__HYPERVISOR_physdev_op_compat";
    /// Grant tables. 1: command, 2: address of arguments, 3: count.
    GRANT_TABLE_OP: u32 = 20 => "__HYPERVISOR_grant_table_op";
    /// Opts into behaviour: see [`crate::vm_assist`]. 1: command, 2: type.
    VM_ASSIST: u32 = 21 => "__HYPERVISOR_vm_assist";
    /// As [`UPDATE_VA_MAPPING`], mapping a frame of the domain in a last argument.
    UPDATE_VA_MAPPING_OTHERDOMAIN: u32 = 22 => "__HYPERVISOR_update_va_mapping_otherdomain";
    /// Returns from a trap; the frame is on the stack. Does not return.
    IRET: u32 = 23 => "__HYPERVISOR_iret";
    /// vCPUs: see [`crate::vcpu`]. 1: command, 2: vCPU, 3: address of the argument.
    VCPU_OP: u32 = 24 => "__HYPERVISOR_vcpu_op";
    /// 64-bit: sets FS or GS bases. 1: `SEGBASE_*`, 2: base.
    SET_SEGMENT_BASE: u32 = 25 => "__HYPERVISOR_set_segment_base";
    /// Pins, bases, flushes: see [`crate::mmu`]. 1: address of `MmuextOp`s,
    /// 2: count, 3: address for the number done (u32) or null, 4: `foreigndom`.
    MMUEXT_OP: u32 = 26 => "__HYPERVISOR_mmuext_op";
    /// Security module.
    XSM_OP: u32 = 27 => "__HYPERVISOR_xsm_op";
    /// NMI callback of domain 0. 1: command, 2: address of the argument.
    NMI_OP: u32 = 28 => "__HYPERVISOR_nmi_op";
    /// Scheduling: see [`crate::sched`]. 1: command, 2: address of the argument.
    SCHED_OP: u32 = 29 => "__HYPERVISOR_sched_op";
    /// Callbacks: see [`crate::callback`]. 1: command, 2: address of the argument.
    CALLBACK_OP: u32 = 30 => "__HYPERVISOR_callback_op";
    /// Profiling.
    XENOPROF_OP: u32 = 31 => "__HYPERVISOR_xenoprof_op";
    /// Event channels: see [`crate::event_channel`]. 1: command, 2: address of the
    /// argument.
    EVENT_CHANNEL_OP: u32 = 32 => "__HYPERVISOR_event_channel_op";
    /// Physical devices: see [`crate::physdev`]. 1: command, 2: address of the
    /// argument.
    PHYSDEV_OP: u32 = 33 => "__HYPERVISOR_physdev_op";
    /// HVM guests.
    HVM_OP: u32 = 34 => "__HYPERVISOR_hvm_op";
    /// Control of the machine, for toolstacks. 1: address of the operation.
    SYSCTL: u32 = 35 => "__HYPERVISOR_sysctl";
    /// Control of domains, for toolstacks. 1: address of the operation.
    DOMCTL: u32 = 36 => "__HYPERVISOR_domctl";
    /// Loading of crash kernels.
    KEXEC_OP: u32 = 37 => "__HYPERVISOR_kexec_op";
    /// Transcendent memory; gone from Xen.
    TMEM_OP: u32 = 38 => "__HYPERVISOR_tmem_op";
    /// Argo messages.
    ARGO_OP: u32 = 39 => "__HYPERVISOR_argo_op";
    /// Performance counters.
    XENPMU_OP: u32 = 40 => "__HYPERVISOR_xenpmu_op";
    /// Device models of HVM guests.
    DM_OP: u32 = 41 => "__HYPERVISOR_dm_op";
    /// The hypervisor's file system.
    HYPFS_OP: u32 = 42 => "__HYPERVISOR_hypfs_op";
    /// Architecture's own, number 0. (On x86, 0 is the machine check call.)
    ARCH_0: u32 = 48 => "__HYPERVISOR_arch_0";
    /// Architecture's own, number 1.
    ARCH_1: u32 = 49 => "__HYPERVISOR_arch_1";
    /// Architecture's own, number 2.
    ARCH_2: u32 = 50 => "__HYPERVISOR_arch_2";
    /// Architecture's own, number 3.
    ARCH_3: u32 = 51 => "__HYPERVISOR_arch_3";
    /// Architecture's own, number 4.
    ARCH_4: u32 = 52 => "__HYPERVISOR_arch_4";
    /// Architecture's own, number 5.
    ARCH_5: u32 = 53 => "__HYPERVISOR_arch_5";
    /// Architecture's own, number 6.
    ARCH_6: u32 = 54 => "__HYPERVISOR_arch_6";
    /// Architecture's own, number 7.
    ARCH_7: u32 = 55 => "__HYPERVISOR_arch_7";
}

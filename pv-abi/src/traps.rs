//! Trap tables and the frames in which a guest kernel is entered and left.
//!
//! `TrapInfo` has the guest's width: see [`crate::x86_32`], [`crate::x86_64`].

constants! { in "arch-x86/xen.h";
    /// Bits of `TrapInfo::flags`: the least privileged ring that may enter the
    /// vector by `int n`. A kernel counts as level 1 (or 2), users as 3.
    TI_DPL_MASK: u8 = 3 => "(TI_GET_DPL(&(struct trap_info){ .flags = 0xff }))";
    /// Bit of `TrapInfo::flags`: mask event upcalls on entry, as an interrupt
    /// gate clears IF.
    TI_IF: u8 = 4 => "(TI_GET_IF(&(struct trap_info){ .flags = 0xff }))";

    /// The guest's FPU state in `VcpuGuestContext` is valid.
    VGCF_I387_VALID: u32 = 1 << 0 => "VGCF_i387_valid";
    /// The vCPU is in guest kernel mode.
    VGCF_IN_KERNEL: u32 = 1 << 2 => "VGCF_in_kernel";
    /// The failsafe callback masks event upcalls.
    VGCF_FAILSAFE_DISABLES_EVENTS: u32 = 1 << 3 => "VGCF_failsafe_disables_events";
    /// The syscall callback masks event upcalls.
    VGCF_SYSCALL_DISABLES_EVENTS: u32 = 1 << 4 => "VGCF_syscall_disables_events";
    /// The vCPU is up.
    VGCF_ONLINE: u32 = 1 << 5 => "VGCF_online";
    /// First page of the GDT that is the hypervisor's.
    FIRST_RESERVED_GDT_PAGE: u32 = 14;
    /// Its offset in bytes.
    FIRST_RESERVED_GDT_BYTE: u32 = 14 * 4096;
    /// Number of entries before it: all that a guest may have.
    FIRST_RESERVED_GDT_ENTRY: u32 = 14 * 4096 / 8;
}

//! Trap tables, and the frames in which a guest kernel is entered and left.
//!
//! `TrapInfo` has the guest's width: [`crate::x86_32::TrapInfo`],
//! [`crate::x86_64::TrapInfo`]. The headers state the 64-bit iret frame alone
//! ([`crate::x86_64::IretContext`]); for all other frames they are silent, and
//! what Xen 4.17 builds decides (`arch/x86/x86_64/entry.S` and
//! `compat/entry.S`). Words from the lowest address up:
//!
//! | frame | 32-bit, words of 4 bytes | 64-bit, words of 8 bytes |
//! |---|---|---|
//! | trap, upcall | \[error\] eip cs eflags \[esp ss\] | rcx r11 \[error\] rip cs rflags rsp ss |
//! | failsafe | ds es fs gs eip cs eflags \[esp ss\] | rcx r11 ds es fs gs rip cs rflags rsp ss |
//! | iret | eax eip cs eflags \[esp ss\] | rax r11 rcx flags rip cs rflags rsp ss |
//!
//! * The error word is there for the vectors of
//!   [`crate::vectors::has_error_code`] only.
//! * esp and ss are there if the other side is Ring 3. A 64-bit frame always has
//!   rsp and ss; the stack is aligned down to 16 bytes first.
//! * The word of cs holds the saved upcall mask: bits 23..16 of a 32-bit frame,
//!   bits 39..32 of a 64-bit one. IF in the flags word is its negation.
//! * The RPL in the pushed cs of a 64-bit frame tells kernel (0) from user (3),
//!   though both run in Ring 3.

constants! { in "arch-x86/xen.h";
    /// Bits of `TrapInfo::flags`: the least privileged ring that may enter the
    /// vector by `int n`. A kernel counts as level 1 (or 2), users as 3; at
    /// level 0 nobody may.
    TI_DPL_MASK: u8 = 3 => "TI_GET_DPL(&trap_info_all_ones)";
    /// Bit of `TrapInfo::flags`: mask event upcalls on entry, as an interrupt
    /// gate clears IF.
    TI_IF: u8 = 4 => "TI_GET_IF(&trap_info_all_ones)";

    /// Flag of `VcpuGuestContext`: the FPU state is valid.
    VGCF_I387_VALID: u32 = 1 << 0;
    /// Flag of `VcpuGuestContext`: the vCPU is in guest kernel mode.
    VGCF_IN_KERNEL: u32 = 1 << 2;
    /// Flag of `VcpuGuestContext`: the failsafe callback masks event upcalls.
    VGCF_FAILSAFE_DISABLES_EVENTS: u32 = 1 << 3 => "VGCF_failsafe_disables_events";
    /// Flag of `VcpuGuestContext`: the syscall callback masks event upcalls.
    VGCF_SYSCALL_DISABLES_EVENTS: u32 = 1 << 4 => "VGCF_syscall_disables_events";
    /// Flag of `VcpuGuestContext`: the vCPU is up.
    VGCF_ONLINE: u32 = 1 << 5 => "VGCF_online";

    /// First page of the GDT that is the hypervisor's.
    FIRST_RESERVED_GDT_PAGE: u32 = 14;
    /// Its offset in bytes.
    FIRST_RESERVED_GDT_BYTE: u32 = 14 * 4096;
    /// Number of entries before it: all that a guest may have.
    FIRST_RESERVED_GDT_ENTRY: u32 = 14 * 4096 / 8;
}

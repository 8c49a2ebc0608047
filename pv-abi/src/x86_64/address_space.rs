//! The hypervisor's part of a 64-bit guest's address space, segment bases, and
//! CR3's form.

constants! { in "arch-x86/xen-x86_64.h";
    /// First address that is the hypervisor's: L4 slot 256.
    HYPERVISOR_VIRT_START: u64 = 0xFFFF_8000_0000_0000;
    /// Address after the hypervisor's part: L4 slot 272.
    HYPERVISOR_VIRT_END: u64 = 0xFFFF_8800_0000_0000;
    /// First address of the M2P table: 8-byte entries, read-only.
    MACH2PHYS_VIRT_START: u64 = 0xFFFF_8000_0000_0000;
    /// Address after the M2P table.
    MACH2PHYS_VIRT_END: u64 = 0xFFFF_8040_0000_0000;
    /// Number of M2P entries.
    MACH2PHYS_NR_ENTRIES: u64 = 0x40_0000_0000 >> 3;

    /// `set_segment_base`: FS.
    SEGBASE_FS: u32 = 0;
    /// `set_segment_base`: GS of user mode.
    SEGBASE_GS_USER: u32 = 1;
    /// `set_segment_base`: GS of kernel mode.
    SEGBASE_GS_KERNEL: u32 = 2;
    /// `set_segment_base`: load the user's GS selector, bits 15..0 of the base.
    SEGBASE_GS_USER_SEL: u32 = 3;
    /// Flag of [`super::IretContext::flags`]: return with `sysret`; RCX, R11,
    /// CS and SS of the frame are not restored.
    VGCF_IN_SYSCALL: u64 = 1 << 8 => "VGCF_in_syscall";
}

/// The form of a page-table root in CR3: its machine address.
///
/// C: `xen_pfn_to_cr3` in `xen/arch-x86/xen-x86_64.h`.
#[must_use]
pub const fn pfn_to_cr3(pfn: u64) -> u64 {
    pfn << 12
}

/// The frame of a root in CR3.
///
/// C: `xen_cr3_to_pfn` in `xen/arch-x86/xen-x86_64.h`.
#[must_use]
pub const fn cr3_to_pfn(cr3: u64) -> u64 {
    cr3 >> 12
}

//! The hypervisor's part of a 32-bit guest's address space, and CR3's form.

constants! { in "arch-x86/xen-x86_32.h";
    /// First address that is the hypervisor's.
    HYPERVISOR_VIRT_START: u32 = 0xF580_0000;
    /// First address of the M2P table: 4-byte entries, read-only.
    MACH2PHYS_VIRT_START: u32 = 0xF580_0000;
    /// Address after the M2P table of a 32-bit Xen. On a 64-bit one the table
    /// can be longer: `XENMEM_machphys_mapping` tells.
    MACH2PHYS_VIRT_END: u32 = 0xF680_0000;
    /// Number of M2P entries within those bounds.
    MACH2PHYS_NR_ENTRIES: u32 = (0xF680_0000 - 0xF580_0000) >> 2;
}

/// The form of a page-table root in CR3: frame bits 31..20 are folded into bits
/// 11..0, as roots above 4 GiB do not fit.
///
/// C: `xen_pfn_to_cr3` in `xen/arch-x86/xen-x86_32.h`.
#[must_use]
pub const fn pfn_to_cr3(pfn: u32) -> u32 {
    pfn.rotate_left(12)
}

/// The frame of a root in CR3's folded form.
///
/// C: `xen_cr3_to_pfn` in `xen/arch-x86/xen-x86_32.h`.
#[must_use]
pub const fn cr3_to_pfn(cr3: u32) -> u32 {
    cr3.rotate_right(12)
}

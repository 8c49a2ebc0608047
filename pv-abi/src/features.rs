//! Feature numbers of `XENVER_get_features` and of a kernel's ELF notes.

constants! { in "features.h";
    /// The guest may write its page tables directly.
    XENFEAT_WRITABLE_PAGE_TABLES: u32 = 0 => "XENFEAT_writable_page_tables";
    /// The guest may write its descriptor tables directly.
    XENFEAT_WRITABLE_DESCRIPTOR_TABLES: u32 = 1 => "XENFEAT_writable_descriptor_tables";
    /// The hypervisor translates pseudo-physical to machine frames.
    XENFEAT_AUTO_TRANSLATED_PHYSMAP: u32 = 2 => "XENFEAT_auto_translated_physmap";
    /// The guest runs in Ring 0.
    XENFEAT_SUPERVISOR_MODE_KERNEL: u32 = 3 => "XENFEAT_supervisor_mode_kernel";
    /// A PAE guest's L3 tables may lie above 4 GiB.
    XENFEAT_PAE_PGDIR_ABOVE_4GB: u32 = 4 => "XENFEAT_pae_pgdir_above_4gb";
    /// `MMU_PT_UPDATE_PRESERVE_AD` is supported.
    XENFEAT_MMU_PT_UPDATE_PRESERVE_AD: u32 = 5 => "XENFEAT_mmu_pt_update_preserve_ad";
    /// `MMUEXT_CLEAR_PAGE` and `MMUEXT_COPY_PAGE` are supported.
    XENFEAT_HIGHMEM_ASSIST: u32 = 6 => "XENFEAT_highmem_assist";
    /// Grant maps put flags into the available bits of entries.
    XENFEAT_GNTTAB_MAP_AVAIL_BITS: u32 = 7 => "XENFEAT_gnttab_map_avail_bits";
    /// HVM: callback vectors are supported.
    XENFEAT_HVM_CALLBACK_VECTOR: u32 = 8 => "XENFEAT_hvm_callback_vector";
    /// HVM: the PV clock is safe to use.
    XENFEAT_HVM_SAFE_PVCLOCK: u32 = 9 => "XENFEAT_hvm_safe_pvclock";
    /// HVM: physical interrupts can be used.
    XENFEAT_HVM_PIRQS: u32 = 10 => "XENFEAT_hvm_pirqs";
    /// The kernel can be domain 0.
    XENFEAT_DOM0: u32 = 11 => "XENFEAT_dom0";
    /// `XENMEMF_vnode` may be used.
    XENFEAT_MEMORY_OP_VNODE_SUPPORTED: u32 = 13 => "XENFEAT_memory_op_vnode_supported";
    /// ARM only.
    XENFEAT_ARM_SMCCC_SUPPORTED: u32 = 14 => "XENFEAT_ARM_SMCCC_supported";
    /// PVH: the RSDP may lie anywhere.
    XENFEAT_LINUX_RSDP_UNRESTRICTED: u32 = 15 => "XENFEAT_linux_rsdp_unrestricted";
    /// The domain's frames are not mapped 1:1.
    XENFEAT_NOT_DIRECT_MAPPED: u32 = 16 => "XENFEAT_not_direct_mapped";
    /// The domain's frames are mapped 1:1 (which Xen 4.17 reports to PV guests).
    XENFEAT_DIRECT_MAPPED: u32 = 17 => "XENFEAT_direct_mapped";
    /// Number of 32-bit submaps.
    XENFEAT_NR_SUBMAPS: u32 = 1;
}

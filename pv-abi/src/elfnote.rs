//! ELF notes of a kernel (owner name `Xen`): how it wants to be loaded.
//!
//! A *numeric* note has 1, 2, 4 or 8 bytes; a *string* is NUL-terminated. The
//! legacy form is one string section `__xen_guest` of `NAME=value` pairs
//! separated by commas.

constants! { in "elfnote.h";
    /// String: a `NAME=VALUE` pair.
    XEN_ELFNOTE_INFO: u32 = 0;
    /// Numeric: virtual address of the entry point.
    XEN_ELFNOTE_ENTRY: u32 = 1;
    /// Numeric: virtual address of the hypercall page (legacy: page number).
    XEN_ELFNOTE_HYPERCALL_PAGE: u32 = 2;
    /// Numeric: virtual address of pseudo-physical 0; default 0.
    XEN_ELFNOTE_VIRT_BASE: u32 = 3;
    /// Numeric: what is to be taken off an ELF `p_paddr` to get the
    /// pseudo-physical address; default 0 (legacy default: VIRT_BASE).
    XEN_ELFNOTE_PADDR_OFFSET: u32 = 4;
    /// String: the ABI, `xen-3.0`.
    XEN_ELFNOTE_XEN_VERSION: u32 = 5;
    /// String: name of the guest system.
    XEN_ELFNOTE_GUEST_OS: u32 = 6;
    /// String: its version.
    XEN_ELFNOTE_GUEST_VERSION: u32 = 7;
    /// String: `generic`.
    XEN_ELFNOTE_LOADER: u32 = 8;
    /// String: `yes`, `no` or `bimodal` (32-bit only).
    XEN_ELFNOTE_PAE_MODE: u32 = 9;
    /// String: feature names without `XENFEAT_`, separated by `|`, `!` before a
    /// required one.
    XEN_ELFNOTE_FEATURES: u32 = 10;
    /// String: `yes` if the symbol table is to be loaded.
    XEN_ELFNOTE_BSD_SYMTAB: u32 = 11;
    /// Numeric: lowest address where the hypervisor's part may begin.
    XEN_ELFNOTE_HV_START_LOW: u32 = 12;
    /// Pairs of mask and value that tell an L1 entry with a valid frame.
    XEN_ELFNOTE_L1_MFN_VALID: u32 = 13;
    /// Numeric: the guest can go on after a cancelled suspend.
    XEN_ELFNOTE_SUSPEND_CANCEL: u32 = 14;
    /// Numeric: virtual address for the initial p2m list (64-bit only).
    XEN_ELFNOTE_INIT_P2M: u32 = 15;
    /// Numeric: the initrd need not be mapped; `mod_start` is then a PFN.
    XEN_ELFNOTE_MOD_START_PFN: u32 = 16;
    /// Numeric: bitmap of features that the kernel supports.
    XEN_ELFNOTE_SUPPORTED_FEATURES: u32 = 17;
    /// Numeric: physical entry point (PVH only; ignored here).
    XEN_ELFNOTE_PHYS32_ENTRY: u32 = 18;
    /// The largest type of a kernel's notes.
    XEN_ELFNOTE_MAX: u32 = 18;
    /// In a crash image: system information.
    XEN_ELFNOTE_CRASH_INFO: u32 = 0x100_0001;
    /// In a crash image: registers.
    XEN_ELFNOTE_CRASH_REGS: u32 = 0x100_0002;
    /// In a core dump: marks it as Xen's.
    XEN_ELFNOTE_DUMPCORE_NONE: u32 = 0x200_0000;
    /// In a core dump: header.
    XEN_ELFNOTE_DUMPCORE_HEADER: u32 = 0x200_0001;
    /// In a core dump: version of Xen.
    XEN_ELFNOTE_DUMPCORE_XEN_VERSION: u32 = 0x200_0002;
    /// In a core dump: version of the format.
    XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION: u32 = 0x200_0003;
}

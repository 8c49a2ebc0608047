//! Numbers of the boot contract; `StartInfo` itself has the guest's width: see
//! [`crate::x86_32::StartInfo`], [`crate::x86_64::StartInfo`].

layouts! { in "xen.h";
    /// One entry of a multiboot module list at `mod_start`
    /// ([`SIF_MULTIBOOT_MOD`]); the last one has `mod_start` 0. Addresses are
    /// relative to the list.
    struct MultibootModList("struct xen_multiboot_mod_list", 16) {
        /// Address of the module's first byte.
        mod_start: u32,
        /// Address of the module's last byte (inclusive).
        mod_end: u32,
        /// Address of its NUL-terminated command line.
        cmdline: u32,
        /// Zero.
        pad: u32,
    }
}

constants! { in "xen.h";
    /// Bytes of `StartInfo::cmd_line`, its NUL included.
    MAX_GUEST_CMDLINE: usize = 1024;
    /// Flag: the domain is privileged.
    SIF_PRIVILEGED: u32 = 1 << 0;
    /// Flag: the domain is the initial one, domain 0.
    SIF_INITDOMAIN: u32 = 1 << 1;
    /// Flag: `mod_start` is a list of modules.
    SIF_MULTIBOOT_MOD: u32 = 1 << 2;
    /// Flag: `mod_start` is a PFN, not an address.
    SIF_MOD_START_PFN: u32 = 1 << 3;
    /// Flag: the tools understand a virtually mapped p2m list.
    SIF_VIRT_P2M_4TOOLS: u32 = 1 << 4 => "SIF_VIRT_P2M_4TOOLS";
    /// Byte of the flags for power management options.
    SIF_PM_MASK: u32 = 0xFF << 8;
    /// Number of vCPUs whose `VcpuInfo` is in `SharedInfo`.
    XEN_LEGACY_MAX_VCPUS: usize = 32;
}

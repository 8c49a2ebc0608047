//! `nmi_op(cmd, arg)` and the reasons for an NMI in `ArchSharedInfo`.
//!
//! `XennmiCallback` has the guest's width: see [`crate::x86_32`],
//! [`crate::x86_64`].

constants! { in "nmi.h";
    /// Registers the calling vCPU's callback (domain 0's vCPU 0 only).
    XENNMI_REGISTER_CALLBACK: u32 = 0 => "XENNMI_register_callback";
    /// Takes it back. No argument.
    XENNMI_UNREGISTER_CALLBACK: u32 = 1 => "XENNMI_unregister_callback";
    /// Bit of `ArchSharedInfo::nmi_reason`: I/O check (port 0x61, bit 6).
    XEN_NMIREASON_IO_ERROR: u32 = 1 << 0 => "XEN_NMIREASON_io_error";
    /// Bit of `ArchSharedInfo::nmi_reason`: PCI SERR (port 0x61, bit 7).
    XEN_NMIREASON_PCI_SERR: u32 = 1 << 1 => "XEN_NMIREASON_pci_serr";
    /// Bit of `ArchSharedInfo::nmi_reason`: unknown to the hypervisor.
    XEN_NMIREASON_UNKNOWN: u32 = 1 << 2 => "XEN_NMIREASON_unknown";
}

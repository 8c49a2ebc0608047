//! Numbers of `physdev_op`.

constants! { in "physdev.h";
    /// Tells that event channels of physical interrupts were unmasked: obsolete.
    PHYSDEVOP_IRQ_UNMASK_NOTIFY: u32 = 4;
    /// Tells whether an interrupt needs an end and is shared.
    PHYSDEVOP_IRQ_STATUS_QUERY: u32 = 5 => "PHYSDEVOP_irq_status_query";
    /// Sets the calling vCPU's virtual I/O privilege level.
    PHYSDEVOP_SET_IOPL: u32 = 6 => "PHYSDEVOP_set_iopl";
    /// Sets the calling vCPU's I/O port bitmap; argument `PhysdevSetIobitmap`.
    PHYSDEVOP_SET_IOBITMAP: u32 = 7 => "PHYSDEVOP_set_iobitmap";
    /// Reads an I/O APIC register; argument `PhysdevApic`.
    PHYSDEVOP_APIC_READ: u32 = 8 => "PHYSDEVOP_apic_read";
    /// Writes an I/O APIC register; argument `PhysdevApic`.
    PHYSDEVOP_APIC_WRITE: u32 = 9 => "PHYSDEVOP_apic_write";
    /// Allocates a vector for an interrupt.
    PHYSDEVOP_ALLOC_IRQ_VECTOR: u32 = 10 => "PHYSDEVOP_alloc_irq_vector";
    /// Frees the vector of an interrupt.
    PHYSDEVOP_FREE_IRQ_VECTOR: u32 = 11 => "PHYSDEVOP_free_irq_vector";
    /// Ends an interrupt.
    PHYSDEVOP_EOI: u32 = 12 => "PHYSDEVOP_eoi";
    /// Gives an interrupt a number in a domain; argument `PhysdevMapPirq`.
    PHYSDEVOP_MAP_PIRQ: u32 = 13 => "PHYSDEVOP_map_pirq";
    /// Takes that back.
    PHYSDEVOP_UNMAP_PIRQ: u32 = 14 => "PHYSDEVOP_unmap_pirq";
    /// Reports a PCI device.
    PHYSDEVOP_MANAGE_PCI_ADD: u32 = 15 => "PHYSDEVOP_manage_pci_add";
    /// Reports that a PCI device is gone.
    PHYSDEVOP_MANAGE_PCI_REMOVE: u32 = 16 => "PHYSDEVOP_manage_pci_remove";
    /// Registers the page of "needs an end" bits; ends unmask, too.
    PHYSDEVOP_PIRQ_EOI_GMFN_V1: u32 = 17 => "PHYSDEVOP_pirq_eoi_gmfn_v1";
    /// Writes a device's MSI state again.
    PHYSDEVOP_RESTORE_MSI: u32 = 19 => "PHYSDEVOP_restore_msi";
    /// Reports a PCI device that is an extended or virtual function.
    PHYSDEVOP_MANAGE_PCI_ADD_EXT: u32 = 20 => "PHYSDEVOP_manage_pci_add_ext";
    /// Sets trigger and polarity of an interrupt.
    PHYSDEVOP_SETUP_GSI: u32 = 21 => "PHYSDEVOP_setup_gsi";
    /// Tells a free interrupt number.
    PHYSDEVOP_GET_FREE_PIRQ: u32 = 23 => "PHYSDEVOP_get_free_pirq";
    /// Reports memory-mapped PCI configuration space.
    PHYSDEVOP_PCI_MMCFG_RESERVED: u32 = 24 => "PHYSDEVOP_pci_mmcfg_reserved";
    /// Reports a PCI device of any segment.
    PHYSDEVOP_PCI_DEVICE_ADD: u32 = 25 => "PHYSDEVOP_pci_device_add";
    /// Reports that such a device is gone.
    PHYSDEVOP_PCI_DEVICE_REMOVE: u32 = 26 => "PHYSDEVOP_pci_device_remove";
    /// Writes such a device's MSI state again.
    PHYSDEVOP_RESTORE_MSI_EXT: u32 = 27 => "PHYSDEVOP_restore_msi_ext";
    /// Registers the page of "needs an end" bits; ends do not unmask.
    PHYSDEVOP_PIRQ_EOI_GMFN_V2: u32 = 28 => "PHYSDEVOP_pirq_eoi_gmfn_v2";
    /// Debug port.
    PHYSDEVOP_DBGP_OP: u32 = 29 => "PHYSDEVOP_dbgp_op";
    /// Tells that a device's MSI-X memory will not change.
    PHYSDEVOP_PREPARE_MSIX: u32 = 30 => "PHYSDEVOP_prepare_msix";
    /// Tells that it may change.
    PHYSDEVOP_RELEASE_MSIX: u32 = 31 => "PHYSDEVOP_release_msix";

    /// The guest must end the interrupt.
    XENIRQSTAT_NEEDS_EOI: u32 = 1 << 0 => "XENIRQSTAT_needs_eoi";
    /// Several guests share the interrupt.
    XENIRQSTAT_SHARED: u32 = 1 << 1 => "XENIRQSTAT_shared";
    /// Interrupt to map: MSI or MSI-X.
    MAP_PIRQ_TYPE_MSI: i32 = 0;
    /// Interrupt to map: global system interrupt.
    MAP_PIRQ_TYPE_GSI: i32 = 1;
    /// Interrupt to map: unknown.
    MAP_PIRQ_TYPE_UNKNOWN: i32 = 2;
    /// Interrupt to map: MSI or MSI-X, with a PCI segment.
    MAP_PIRQ_TYPE_MSI_SEG: i32 = 3;
    /// Interrupt to map: MSI with several vectors.
    MAP_PIRQ_TYPE_MULTI_MSI: i32 = 4;
    /// The configuration space is reserved in the memory map.
    XEN_PCI_MMCFG_RESERVED: u32 = 1;
    /// The device is an extended function.
    XEN_PCI_DEV_EXTFN: u32 = 1;
    /// The device is a virtual function.
    XEN_PCI_DEV_VIRTFN: u32 = 2;
    /// A proximity domain follows.
    XEN_PCI_DEV_PXM: u32 = 4;
    /// Debug port: about to reset the controller.
    PHYSDEVOP_DBGP_RESET_PREPARE: u8 = 1;
    /// Debug port: the controller was reset.
    PHYSDEVOP_DBGP_RESET_DONE: u8 = 2;
    /// Debug port: the controller's bus is unknown.
    PHYSDEVOP_DBGP_BUS_UNKNOWN: u8 = 0;
    /// Debug port: the controller is on PCI.
    PHYSDEVOP_DBGP_BUS_PCI: u8 = 1;
}

//! `physdev_op(cmd, args)`: I/O privilege and physical interrupts.
//!
//! `PhysdevSetIobitmap`, `PhysdevApic`, `PhysdevPirqEoiGmfn` and
//! `PhysdevMapPirq` have the guest's width: see [`crate::x86_32`],
//! [`crate::x86_64`].

use crate::types::DomId;

layouts! { in "physdev.h";
    /// Argument of [`PHYSDEVOP_EOI`].
    struct PhysdevEoi("struct physdev_eoi", 4) {
        /// IN: the physical interrupt.
        irq: u32,
    }

    /// Argument of [`PHYSDEVOP_IRQ_STATUS_QUERY`].
    struct PhysdevIrqStatusQuery("struct physdev_irq_status_query", 8) {
        /// IN: the physical interrupt.
        irq: u32,
        /// OUT: bits `XENIRQSTAT_*`.
        flags: u32,
    }

    /// Argument of [`PHYSDEVOP_SET_IOPL`].
    struct PhysdevSetIopl("struct physdev_set_iopl", 4) {
        /// IN: 0 to 3; a kernel counts as level 1.
        iopl: u32,
    }

    /// Argument of [`PHYSDEVOP_ALLOC_IRQ_VECTOR`] and [`PHYSDEVOP_FREE_IRQ_VECTOR`].
    struct PhysdevIrq("struct physdev_irq", 8) {
        /// IN: the physical interrupt.
        irq: u32,
        /// OUT or IN: its vector.
        vector: u32,
    }

    /// Argument of [`PHYSDEVOP_UNMAP_PIRQ`].
    struct PhysdevUnmapPirq("struct physdev_unmap_pirq", 8) {
        /// IN: the domain.
        domid: DomId,
        /// Padding.
        _pad: [u8; 2] => [],
        /// IN: the interrupt's number in the domain.
        pirq: i32,
    }

    /// Argument of [`PHYSDEVOP_MANAGE_PCI_ADD`] and [`PHYSDEVOP_MANAGE_PCI_REMOVE`].
    struct PhysdevManagePci("struct physdev_manage_pci", 2) {
        /// IN: PCI bus.
        bus: u8,
        /// IN: PCI device and function.
        devfn: u8,
    }

    /// Argument of [`PHYSDEVOP_RESTORE_MSI`].
    struct PhysdevRestoreMsi("struct physdev_restore_msi", 2) {
        /// IN: PCI bus.
        bus: u8,
        /// IN: PCI device and function.
        devfn: u8,
    }

    /// Argument of [`PHYSDEVOP_MANAGE_PCI_ADD_EXT`].
    struct PhysdevManagePciExt("struct physdev_manage_pci_ext", 16) {
        /// IN: PCI bus.
        bus: u8,
        /// IN: PCI device and function.
        devfn: u8,
        /// Padding.
        _pad0: [u8; 2] => [],
        /// IN: not 0 for an extended function.
        is_extfn: u32,
        /// IN: not 0 for a virtual function.
        is_virtfn: u32,
        /// IN: bus, then device and function, of the physical function.
        physfn: [u8; 2] => ["physfn", "physfn.bus"],
        /// Padding.
        _pad1: [u8; 2] => [],
    }

    /// Argument of [`PHYSDEVOP_SETUP_GSI`].
    struct PhysdevSetupGsi("struct physdev_setup_gsi", 8) {
        /// IN: the global system interrupt.
        gsi: i32,
        /// IN: 0 edge, 1 level.
        triggering: u8,
        /// IN: 0 active high, 1 active low.
        polarity: u8,
        /// Padding.
        _pad: [u8; 2] => [],
    }

    /// Argument of [`PHYSDEVOP_GET_FREE_PIRQ`].
    struct PhysdevGetFreePirq("struct physdev_get_free_pirq", 8) {
        /// IN: [`MAP_PIRQ_TYPE_GSI`] or [`MAP_PIRQ_TYPE_MSI`].
        r#type: i32 => ["type"],
        /// OUT: a free number.
        pirq: u32,
    }

    /// Argument of [`PHYSDEVOP_PCI_MMCFG_RESERVED`].
    struct PhysdevPciMmcfgReserved("struct physdev_pci_mmcfg_reserved", 16) {
        /// IN: physical address of the configuration space.
        address: u64,
        /// IN: PCI segment.
        segment: u16,
        /// IN: first bus.
        start_bus: u8,
        /// IN: last bus.
        end_bus: u8,
        /// IN: 0 or [`XEN_PCI_MMCFG_RESERVED`].
        flags: u32,
    }

    /// Argument of [`PHYSDEVOP_PCI_DEVICE_ADD`]; words for its flags may follow.
    struct PhysdevPciDeviceAdd("struct physdev_pci_device_add", 12) {
        /// IN: PCI segment.
        seg: u16,
        /// IN: PCI bus.
        bus: u8,
        /// IN: PCI device and function.
        devfn: u8,
        /// IN: `XEN_PCI_DEV_*`.
        flags: u32,
        /// IN: bus, then device and function, of the physical function.
        physfn: [u8; 2] => ["physfn", "physfn.bus"],
        /// Padding.
        _pad: [u8; 2] => [],
    }

    /// Argument of [`PHYSDEVOP_PCI_DEVICE_REMOVE`], [`PHYSDEVOP_RESTORE_MSI_EXT`],
    /// [`PHYSDEVOP_PREPARE_MSIX`] and [`PHYSDEVOP_RELEASE_MSIX`].
    struct PhysdevPciDevice("struct physdev_pci_device", 4) {
        /// IN: PCI segment.
        seg: u16,
        /// IN: PCI bus.
        bus: u8,
        /// IN: PCI device and function.
        devfn: u8,
    }

    /// Argument of [`PHYSDEVOP_DBGP_OP`].
    struct PhysdevDbgpOp("struct physdev_dbgp_op", 6) {
        /// IN: `PHYSDEVOP_DBGP_RESET_*`.
        op: u8,
        /// IN: `PHYSDEVOP_DBGP_BUS_*`.
        bus: u8,
        /// IN: the device, on PCI.
        u: PhysdevPciDevice => ["u", "u.pci"],
    }
}

pub(crate) mod numbers;
pub use numbers::*;

//! Arguments of `physdev_op` that have the guest's width.

use super::width::{Handle, U64, ULong, by_width};
use crate::types::DomId;

layouts! { in "physdev.h";
    /// Argument of `PHYSDEVOP_set_iobitmap`.
    struct PhysdevSetIobitmap("struct physdev_set_iobitmap", by_width(8, 16)) {
        /// IN: address of the bitmap; a 0 bit allows the port, as in a TSS.
        /// Null: none is allowed.
        bitmap: Handle,
        /// IN: number of ports that it covers.
        nr_ports: u32,
        /// Padding.
        _pad: [u8; by_width(0, 4)] => [],
    }

    /// Argument of `PHYSDEVOP_apic_read` and `PHYSDEVOP_apic_write`.
    struct PhysdevApic("struct physdev_apic", by_width(12, 16)) {
        /// IN: physical address of the I/O APIC.
        apic_physbase: ULong,
        /// IN: register.
        reg: u32,
        /// OUT or IN: value.
        value: u32,
    }

    /// Argument of `PHYSDEVOP_pirq_eoi_gmfn_v1` and `_v2`.
    struct PhysdevPirqEoiGmfn("struct physdev_pirq_eoi_gmfn", by_width(4, 8)) {
        /// IN: frame of the page of bits, one a physical interrupt.
        gmfn: ULong,
    }

    /// Argument of `PHYSDEVOP_map_pirq`.
    struct PhysdevMapPirq("struct physdev_map_pirq", by_width(36, 40)) {
        /// IN: the domain.
        domid: DomId,
        /// Padding.
        _pad0: [u8; 2] => [],
        /// IN: `MAP_PIRQ_TYPE_*`.
        r#type: i32 => ["type"],
        /// IN: the interrupt, by type.
        index: i32,
        /// IN: wanted number, negative: any; OUT: the number.
        pirq: i32,
        /// IN: PCI bus; bits 31..16 the segment for some types.
        bus: i32,
        /// IN: PCI device and function.
        devfn: i32,
        /// IN: entry of MSI-X, or number of vectors of multi-vector MSI; OUT
        /// for the latter.
        entry_nr: i32,
        /// Padding.
        _pad1: [u8; by_width(0, 4)] => [],
        /// IN: address of the MSI-X table, 0 for MSI.
        table_base: U64,
    }
}

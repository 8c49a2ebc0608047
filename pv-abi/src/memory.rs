//! `memory_op(cmd, arg)`: reservations, memory maps, the M2P window.
//!
//! Most structures have the guest's width: see [`crate::x86_32`],
//! [`crate::x86_64`].

use crate::types::{DomId, U64A4};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

layouts! { in "memory.h";
    /// Argument of [`XENMEM_CURRENT_RESERVATION`], [`XENMEM_MAXIMUM_RESERVATION`]
    /// and [`XENMEM_MAXIMUM_GPFN`].
    struct MemoryDomain("struct xen_memory_domain", 2) {
        /// IN: the domain asked about.
        domid: DomId,
    }

    /// A range of guest memory of a virtual NUMA node.
    struct Vmemrange("struct xen_vmemrange", 24) {
        /// First address.
        start: u64,
        /// Address after the last.
        end: u64,
        /// Zero.
        flags: u32,
        /// Virtual node.
        nid: u32,
    }

    /// Argument of [`XENMEM_GET_VNUMAINFO`].
    struct VnumaTopologyInfo("struct xen_vnuma_topology_info", 40) {
        /// IN: the domain.
        domid: DomId,
        /// Zero.
        pad: u16,
        /// IN: room; OUT: number of nodes.
        nr_vnodes: u32,
        /// IN: room; OUT: number of vCPUs.
        nr_vcpus: u32,
        /// IN: room; OUT: number of ranges.
        nr_vmemranges: u32,
        /// IN: address for `nr_vnodes`² distances (u32); 32-bit guests: low half.
        vdistance: u64 => ["vdistance", "vdistance.h", "vdistance.pad"],
        /// IN: address for `nr_vcpus` node numbers (u32); 32-bit guests: low half.
        vcpu_to_vnode: u64 => ["vcpu_to_vnode", "vcpu_to_vnode.h"],
        /// IN: address for the ranges ([`Vmemrange`]); 32-bit guests: low half.
        vmemrange: u64 => ["vmemrange", "vmemrange.h"],
    }
}

/// The bits of `MemoryReservation::mem_flags` that limit the width of frame
/// addresses; 0: no limit.
///
/// C: `XENMEMF_address_bits` in `xen/memory.h`.
#[must_use]
pub const fn memf_address_bits(bits: u8) -> u32 {
    bits as u32
}

/// The width in `MemoryReservation::mem_flags`.
///
/// C: `XENMEMF_get_address_bits` in `xen/memory.h`.
#[must_use]
pub const fn memf_get_address_bits(flags: u32) -> u8 {
    flags.to_le_bytes()[0]
}

/// The bits of `MemoryReservation::mem_flags` that name a NUMA node.
///
/// C: `XENMEMF_node` in `xen/memory.h`.
#[must_use]
pub const fn memf_node(node: u8) -> u32 {
    (node as u32).wrapping_add(1) << 8
}

/// The node in `MemoryReservation::mem_flags`; 0xff: none.
///
/// C: `XENMEMF_get_node` in `xen/memory.h`.
#[must_use]
pub const fn memf_get_node(flags: u32) -> u8 {
    flags.to_le_bytes()[1].wrapping_sub(1)
}

/// An entry of a memory map, as `XENMEM_memory_map` copies them out.
///
/// The header refers to the BIOS call (int 0x15, EAX = 0xE820): 20 bytes,
/// without padding between entries. So it is in both widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct E820Entry {
    /// First byte.
    pub addr: U64A4,
    /// Number of bytes.
    pub size: U64A4,
    /// One of `E820_*`.
    pub r#type: u32,
}
const _: () = assert!(size_of::<E820Entry>() == 20);

/// Type of [`E820Entry`]: usable RAM (ACPI specification, table 15-4).
pub const E820_RAM: u32 = 1;
/// Type of [`E820Entry`]: reserved.
pub const E820_RESERVED: u32 = 2;
/// Type of [`E820Entry`]: ACPI tables, reclaimable.
pub const E820_ACPI: u32 = 3;
/// Type of [`E820Entry`]: ACPI non-volatile storage.
pub const E820_NVS: u32 = 4;
/// Type of [`E820Entry`]: unusable.
pub const E820_UNUSABLE: u32 = 5;

pub(crate) mod numbers;
pub use numbers::*;

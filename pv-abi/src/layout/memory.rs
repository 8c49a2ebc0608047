//! Arguments of `memory_op`.

use super::width::{Handle, U64, ULong, by_width};
use crate::types::DomId;

layouts! { in "memory.h";
    /// Argument of the reservation commands and of `XENMEM_claim_pages`.
    struct MemoryReservation("struct xen_memory_reservation", by_width(20, 32)) {
        /// IN or OUT, by command: address of an array of frame numbers.
        extent_start: Handle,
        /// IN: number of extents.
        nr_extents: ULong,
        /// IN: log2 of each extent's pages.
        extent_order: u32,
        /// IN: bits `XENMEMF_*`.
        mem_flags: u32,
        /// IN: the domain; unprivileged: `DOMID_SELF`.
        domid: DomId,
        /// Padding.
        _pad: [u8; by_width(2, 6)] => [],
    }

    /// Argument of `XENMEM_exchange`.
    struct MemoryExchange("struct xen_memory_exchange", by_width(44, 72)) {
        /// IN: extents to give away.
        r#in: MemoryReservation => ["in"],
        /// IN: PFNs to populate; OUT: the new frames.
        out: MemoryReservation,
        /// OUT: input extents exchanged; zero on call.
        nr_exchanged: ULong,
    }

    /// Argument of `XENMEM_machphys_mfn_list`.
    struct MachphysMfnList("struct xen_machphys_mfn_list", by_width(12, 24)) {
        /// IN: room in the array.
        max_extents: u32,
        /// Padding.
        _pad0: [u8; by_width(0, 4)] => [],
        /// IN: address of the array; OUT there: first frame of each 2 MiB of
        /// the M2P table.
        extent_start: Handle,
        /// OUT: entries written.
        nr_extents: u32,
        /// Padding.
        _pad1: [u8; by_width(0, 4)] => [],
    }

    /// Argument of `XENMEM_machphys_mapping`.
    struct MachphysMapping("struct xen_machphys_mapping", by_width(12, 24)) {
        /// OUT: first address of the M2P table.
        v_start: ULong,
        /// OUT: address after it.
        v_end: ULong,
        /// OUT: highest frame that can be looked up.
        max_mfn: ULong,
    }

    /// Argument of `XENMEM_add_to_physmap`.
    struct AddToPhysmap("struct xen_add_to_physmap", by_width(16, 24)) {
        /// IN: the domain.
        domid: DomId,
        /// IN: pages of a range.
        size: u16,
        /// IN: what to map, `XENMAPSPACE_*`.
        space: u32,
        /// IN: index in that space.
        idx: ULong,
        /// IN: where to map it.
        gpfn: ULong,
    }

    /// Argument of `XENMEM_memory_map` and `XENMEM_machine_memory_map`.
    struct MemoryMap("struct xen_memory_map", by_width(8, 16)) {
        /// IN: room in the buffer, in entries; OUT: entries stored.
        nr_entries: u32,
        /// Padding.
        _pad: [u8; by_width(0, 4)] => [],
        /// IN: address of the buffer of 20-byte E820 entries.
        buffer: Handle,
    }

    /// Argument of `XENMEM_set_memory_map`.
    struct ForeignMemoryMap("struct xen_foreign_memory_map", by_width(12, 24)) {
        /// IN: the domain.
        domid: DomId,
        /// Padding.
        _pad: [u8; by_width(2, 6)] => [],
        /// IN: the map.
        map: MemoryMap,
    }

    /// Argument of `XENMEM_remove_from_physmap`.
    struct RemoveFromPhysmap("struct xen_remove_from_physmap", by_width(8, 16)) {
        /// IN: the domain.
        domid: DomId,
        /// Padding.
        _pad: [u8; by_width(2, 6)] => [],
        /// IN: the page to unmap.
        gpfn: ULong,
    }

    /// Argument of `XENMEM_acquire_resource`.
    struct MemAcquireResource("struct xen_mem_acquire_resource", by_width(28, 32)) {
        /// IN: the domain.
        domid: DomId,
        /// IN: kind of resource.
        r#type: u16 => ["type"],
        /// IN: which one of that kind.
        id: u32,
        /// IN: frames wanted; OUT: the resource's size if 0 and no list.
        nr_frames: u32,
        /// Zero.
        pad: u32,
        /// IN: first frame of the resource.
        frame: U64,
        /// IN or OUT: address of an array of frame numbers.
        frame_list: Handle,
    }

    /// Argument of `XENMEM_add_to_physmap_batch`.
    struct AddToPhysmapBatch("struct xen_add_to_physmap_batch", by_width(20, 32)) {
        /// IN: the domain.
        domid: DomId,
        /// IN: what to map, `XENMAPSPACE_*`.
        space: u16,
        /// IN: number of pages.
        size: u16,
        /// IN: the other domain for `XENMAPSPACE_gmfn_foreign`, else 0.
        foreign_domid: DomId => ["u", "u.foreign_domid", "u.res0"],
        /// IN: address of an array of indices in that space.
        idxs: Handle,
        /// IN: address of an array of places to map them.
        gpfns: Handle,
        /// IN: address of an array of i32; OUT there: 0 or an error each.
        errs: Handle,
    }

    /// Argument of `XENMEM_set_pod_target` and `XENMEM_get_pod_target`.
    struct PodTarget("struct xen_pod_target", by_width(36, 40)) {
        /// IN: pages wanted.
        target_pages: U64,
        /// OUT: pages that the domain has.
        tot_pages: U64,
        /// OUT: pages in the cache.
        pod_cache_pages: U64,
        /// OUT: entries not populated yet.
        pod_entries: U64,
        /// IN: the domain.
        domid: DomId,
        /// Padding.
        _pad: [u8; by_width(2, 6)] => [],
    }

    /// An entry that `XENMEM_reserved_device_memory_map` writes.
    struct ReservedDeviceMemory("struct xen_reserved_device_memory", by_width(8, 16)) {
        /// First frame.
        start_pfn: ULong,
        /// Number of frames.
        nr_pages: ULong,
    }

    /// Argument of `XENMEM_reserved_device_memory_map`.
    struct ReservedDeviceMemoryMap(
        "struct xen_reserved_device_memory_map",
        by_width(16, 24)
    ) {
        /// IN: 0 or `XENMEM_RDM_ALL`.
        flags: u32,
        /// IN: room; OUT: entries needed (with `-ERANGE` if there was less room).
        nr_entries: u32,
        /// IN: address of an array of [`ReservedDeviceMemory`]; OUT there.
        buffer: Handle,
        /// IN: the device, unless all regions are wanted.
        dev: crate::physdev::PhysdevPciDevice => ["dev", "dev.pci"],
        /// Padding.
        _pad: [u8; by_width(0, 4)] => [],
    }
}

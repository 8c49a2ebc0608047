//! Numbers of `memory_op`.

constants! { in "memory.h";
    /// Gives frames of the hypervisor's choice to a domain (OUT: MFNs).
    XENMEM_INCREASE_RESERVATION: u32 = 0 => "XENMEM_increase_reservation";
    /// Takes frames from a domain.
    XENMEM_DECREASE_RESERVATION: u32 = 1 => "XENMEM_decrease_reservation";
    /// Returns the highest frame number of RAM. No argument.
    XENMEM_MAXIMUM_RAM_PAGE: u32 = 2 => "XENMEM_maximum_ram_page";
    /// Returns how many pages a domain has.
    XENMEM_CURRENT_RESERVATION: u32 = 3 => "XENMEM_current_reservation";
    /// Returns how many pages a domain may have.
    XENMEM_MAXIMUM_RESERVATION: u32 = 4 => "XENMEM_maximum_reservation";
    /// Tells the frames of the M2P table; argument `MachphysMfnList`.
    XENMEM_MACHPHYS_MFN_LIST: u32 = 5 => "XENMEM_machphys_mfn_list";
    /// Gives frames to a domain at given PFNs; argument `MemoryReservation`.
    XENMEM_POPULATE_PHYSMAP: u32 = 6 => "XENMEM_populate_physmap";
    /// Places a page in a translated guest; argument `AddToPhysmap`.
    XENMEM_ADD_TO_PHYSMAP: u32 = 7 => "XENMEM_add_to_physmap";
    /// Tells the domain's memory map (E820); argument `MemoryMap`.
    XENMEM_MEMORY_MAP: u32 = 9 => "XENMEM_memory_map";
    /// Tells the machine's memory map (E820); argument `MemoryMap`.
    XENMEM_MACHINE_MEMORY_MAP: u32 = 10 => "XENMEM_machine_memory_map";
    /// Exchanges frames for contiguous ones; argument `MemoryExchange`.
    XENMEM_EXCHANGE: u32 = 11 => "XENMEM_exchange";
    /// Tells where the M2P table is mapped; argument `MachphysMapping`.
    XENMEM_MACHPHYS_MAPPING: u32 = 12 => "XENMEM_machphys_mapping";
    /// Sets a domain's memory map; argument `ForeignMemoryMap`.
    XENMEM_SET_MEMORY_MAP: u32 = 13 => "XENMEM_set_memory_map";
    /// Returns the highest PFN of a domain.
    XENMEM_MAXIMUM_GPFN: u32 = 14 => "XENMEM_maximum_gpfn";
    /// Takes a page out of a translated guest; argument `RemoveFromPhysmap`.
    XENMEM_REMOVE_FROM_PHYSMAP: u32 = 15 => "XENMEM_remove_from_physmap";
    /// Sets a populate-on-demand target.
    XENMEM_SET_POD_TARGET: u32 = 16 => "XENMEM_set_pod_target";
    /// Tells a populate-on-demand target.
    XENMEM_GET_POD_TARGET: u32 = 17 => "XENMEM_get_pod_target";
    /// Returns the number of frames saved by sharing.
    XENMEM_GET_SHARING_FREED_PAGES: u32 = 18 => "XENMEM_get_sharing_freed_pages";
    /// Returns the number of shared frames.
    XENMEM_GET_SHARING_SHARED_PAGES: u32 = 19 => "XENMEM_get_sharing_shared_pages";
    /// Paging of a domain's memory.
    XENMEM_PAGING_OP: u32 = 20 => "XENMEM_paging_op";
    /// Access rights of a domain's memory.
    XENMEM_ACCESS_OP: u32 = 21 => "XENMEM_access_op";
    /// Memory sharing.
    XENMEM_SHARING_OP: u32 = 22 => "XENMEM_sharing_op";
    /// Places pages in a translated guest; argument `AddToPhysmapBatch`.
    XENMEM_ADD_TO_PHYSMAP_BATCH: u32 = 23 => "XENMEM_add_to_physmap_batch";
    /// Claims an amount of memory for a domain; argument `MemoryReservation`.
    XENMEM_CLAIM_PAGES: u32 = 24 => "XENMEM_claim_pages";
    /// Tells the frames of the 32-bit guests' M2P table.
    XENMEM_MACHPHYS_COMPAT_MFN_LIST: u32 = 25 => "XENMEM_machphys_compat_mfn_list";
    /// Tells the virtual NUMA topology.
    XENMEM_GET_VNUMAINFO: u32 = 26 => "XENMEM_get_vnumainfo";
    /// Tells memory reserved for devices.
    XENMEM_RESERVED_DEVICE_MEMORY_MAP: u32 = 27 => "XENMEM_reserved_device_memory_map";
    /// Maps a resource of a domain; argument `MemAcquireResource`.
    XENMEM_ACQUIRE_RESOURCE: u32 = 28 => "XENMEM_acquire_resource";

    /// Flag of reservations: populate on demand.
    XENMEMF_POPULATE_ON_DEMAND: u32 = 1 << 16 => "XENMEMF_populate_on_demand";
    /// Flag of reservations: from the given node or not at all.
    XENMEMF_EXACT_NODE_REQUEST: u32 = 1 << 17 => "XENMEMF_exact_node_request";
    /// Flag of reservations: the node is a virtual one.
    XENMEMF_VNODE: u32 = 1 << 18 => "XENMEMF_vnode";

    /// What to map: the shared info page.
    XENMAPSPACE_SHARED_INFO: u32 = 0 => "XENMAPSPACE_shared_info";
    /// What to map: a page of the grant table.
    XENMAPSPACE_GRANT_TABLE: u32 = 1 => "XENMAPSPACE_grant_table";
    /// What to map: a frame of the guest.
    XENMAPSPACE_GMFN: u32 = 2 => "XENMAPSPACE_gmfn";
    /// What to map: a range of frames of the guest (single calls only).
    XENMAPSPACE_GMFN_RANGE: u32 = 3 => "XENMAPSPACE_gmfn_range";
    /// What to map: frames of another domain (batched calls only).
    XENMAPSPACE_GMFN_FOREIGN: u32 = 4 => "XENMAPSPACE_gmfn_foreign";
    /// What to map: a device's memory (ARM only).
    XENMAPSPACE_DEV_MMIO: u32 = 5 => "XENMAPSPACE_dev_mmio";
    /// Bit of the index into the grant table: its status frames.
    XENMAPIDX_GRANT_TABLE_STATUS: u32 = 0x8000_0000 => "XENMAPIDX_grant_table_status";

    /// Kind of resource: an I/O request server's pages.
    XENMEM_RESOURCE_IOREQ_SERVER: u16 = 0 => "XENMEM_resource_ioreq_server";
    /// Kind of resource: grant table.
    XENMEM_RESOURCE_GRANT_TABLE: u16 = 1 => "XENMEM_resource_grant_table";
    /// Kind of resource: trace buffer.
    XENMEM_RESOURCE_VMTRACE_BUF: u16 = 2 => "XENMEM_resource_vmtrace_buf";
    /// Which part of a grant table: entries.
    XENMEM_RESOURCE_GRANT_TABLE_ID_SHARED: u32 = 0 => "XENMEM_resource_grant_table_id_shared";
    /// Which part of a grant table: status words of version 2.
    XENMEM_RESOURCE_GRANT_TABLE_ID_STATUS: u32 = 1 => "XENMEM_resource_grant_table_id_status";
    /// First frame of an I/O request server: buffered requests.
    XENMEM_RESOURCE_IOREQ_SERVER_FRAME_BUFIOREQ: u64 = 0 => "XENMEM_resource_ioreq_server_frame_bufioreq";
    /// Flag of `XENMEM_reserved_device_memory_map`: all regions.
    XENMEM_RDM_ALL: u32 = 1;
}

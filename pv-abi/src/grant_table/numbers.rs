//! Numbers of grant tables.

constants! { in "grant_table.h";
    /// Maps granted pages; argument `GnttabMapGrantRef`.
    GNTTABOP_MAP_GRANT_REF: u32 = 0 => "GNTTABOP_map_grant_ref";
    /// Unmaps granted pages; argument `GnttabUnmapGrantRef`.
    GNTTABOP_UNMAP_GRANT_REF: u32 = 1 => "GNTTABOP_unmap_grant_ref";
    /// Sizes a table and tells its frames; argument `GnttabSetupTable`.
    GNTTABOP_SETUP_TABLE: u32 = 2 => "GNTTABOP_setup_table";
    /// Prints a table on the hypervisor's console; argument `GnttabDumpTable`.
    GNTTABOP_DUMP_TABLE: u32 = 3 => "GNTTABOP_dump_table";
    /// Gives frames to other domains; argument `GnttabTransfer`.
    GNTTABOP_TRANSFER: u32 = 4 => "GNTTABOP_transfer";
    /// Copies between pages, granted or own; argument `GnttabCopy`.
    GNTTABOP_COPY: u32 = 5 => "GNTTABOP_copy";
    /// Tells sizes; argument `GnttabQuerySize`.
    GNTTABOP_QUERY_SIZE: u32 = 6 => "GNTTABOP_query_size";
    /// Unmaps and maps another page there; argument `GnttabUnmapAndReplace`.
    GNTTABOP_UNMAP_AND_REPLACE: u32 = 7 => "GNTTABOP_unmap_and_replace";
    /// Chooses the version of the table; argument `GnttabSetVersion`.
    GNTTABOP_SET_VERSION: u32 = 8 => "GNTTABOP_set_version";
    /// Tells the frames of a version 2 table's status words; argument
    /// `GnttabGetStatusFrames`.
    GNTTABOP_GET_STATUS_FRAMES: u32 = 9 => "GNTTABOP_get_status_frames";
    /// Tells the version of a table; argument `GnttabGetVersion`.
    GNTTABOP_GET_VERSION: u32 = 10 => "GNTTABOP_get_version";
    /// Swaps two entries; argument `GnttabSwapGrantRef`.
    GNTTABOP_SWAP_GRANT_REF: u32 = 11 => "GNTTABOP_swap_grant_ref";
    /// Flushes caches for a granted page; argument `GnttabCacheFlush`.
    GNTTABOP_CACHE_FLUSH: u32 = 12 => "GNTTABOP_cache_flush";

    /// Number of entries that tools fill in and that survive a change of version.
    GNTTAB_NR_RESERVED_ENTRIES: u32 = 8;
    /// The entry of the console page.
    GNTTAB_RESERVED_CONSOLE: u32 = 0;
    /// The entry of the XenStore page.
    GNTTAB_RESERVED_XENSTORE: u32 = 1;

    /// Type of entry: grants nothing.
    GTF_INVALID: u16 = 0 => "GTF_invalid";
    /// Type of entry: the domain may map and access the frame.
    GTF_PERMIT_ACCESS: u16 = 1 => "GTF_permit_access";
    /// Type of entry: the domain may give us a frame.
    GTF_ACCEPT_TRANSFER: u16 = 2 => "GTF_accept_transfer";
    /// Type of entry: the domain may copy from a grant that we were given.
    GTF_TRANSITIVE: u16 = 3 => "GTF_transitive";
    /// Bits of the type.
    GTF_TYPE_MASK: u16 = 3 => "GTF_type_mask";
    /// Access: reading only.
    GTF_READONLY: u16 = 1 << 2 => "GTF_readonly";
    /// Access: mapped for reading; set by the hypervisor.
    GTF_READING: u16 = 1 << 3 => "GTF_reading";
    /// Access: mapped for writing; set by the hypervisor.
    GTF_WRITING: u16 = 1 << 4 => "GTF_writing";
    /// Access: PWT of mappings.
    GTF_PWT: u16 = 1 << 5;
    /// Access: PCD of mappings.
    GTF_PCD: u16 = 1 << 6;
    /// Access: PAT of mappings.
    GTF_PAT: u16 = 1 << 7;
    /// Access (version 2): a part of the page, for copies only.
    GTF_SUB_PAGE: u16 = 1 << 8 => "GTF_sub_page";
    /// Transfer: under way; the entry must not be changed.
    GTF_TRANSFER_COMMITTED: u16 = 1 << 2 => "GTF_transfer_committed";
    /// Transfer: done; the frame is in the entry.
    GTF_TRANSFER_COMPLETED: u16 = 1 << 3 => "GTF_transfer_completed";

    /// Map: for access by devices.
    GNTMAP_DEVICE_MAP: u32 = 1 << 0 => "GNTMAP_device_map";
    /// Map: for access by CPUs.
    GNTMAP_HOST_MAP: u32 = 1 << 1 => "GNTMAP_host_map";
    /// Map: for reading only.
    GNTMAP_READONLY: u32 = 1 << 2 => "GNTMAP_readonly";
    /// Map: for the guest's users, too.
    GNTMAP_APPLICATION_MAP: u32 = 1 << 3 => "GNTMAP_application_map";
    /// Map: the address is the machine address of a page-table entry.
    GNTMAP_CONTAINS_PTE: u32 = 1 << 4 => "GNTMAP_contains_pte";
    /// Map: bits to put into the entry's available bits, with
    /// `XENFEAT_gnttab_map_avail_bits`.
    GNTMAP_GUEST_AVAIL_MASK: u32 = 0xffff_0000 => "GNTMAP_guest_avail_mask";
    /// Map: number of the lowest of those bits.
    GNTMAP_GUEST_AVAIL0: u32 = 16 => "_GNTMAP_guest_avail0";

    /// Copy: the source is a reference.
    GNTCOPY_SOURCE_GREF: u16 = 1 << 0 => "GNTCOPY_source_gref";
    /// Copy: the destination is a reference.
    GNTCOPY_DEST_GREF: u16 = 1 << 1 => "GNTCOPY_dest_gref";

    /// Cache flush: write back.
    GNTTAB_CACHE_CLEAN: u32 = 1 << 0;
    /// Cache flush: invalidate.
    GNTTAB_CACHE_INVAL: u32 = 1 << 1;
    /// Cache flush: the page is given as a reference.
    GNTTAB_CACHE_SOURCE_GREF: u32 = 1 << 31;

    /// Done.
    GNTST_OKAY: i16 = 0 => "GNTST_okay";
    /// Failed for no reason below.
    GNTST_GENERAL_ERROR: i16 = -1 => "GNTST_general_error";
    /// No such domain.
    GNTST_BAD_DOMAIN: i16 = -2 => "GNTST_bad_domain";
    /// No such reference, or not fit.
    GNTST_BAD_GNTREF: i16 = -3 => "GNTST_bad_gntref";
    /// No such handle, or not fit.
    GNTST_BAD_HANDLE: i16 = -4 => "GNTST_bad_handle";
    /// Nothing can be mapped at the address.
    GNTST_BAD_VIRT_ADDR: i16 = -5 => "GNTST_bad_virt_addr";
    /// Nothing to unmap at the devices' address.
    GNTST_BAD_DEV_ADDR: i16 = -6 => "GNTST_bad_dev_addr";
    /// No room in the I/O MMU.
    GNTST_NO_DEVICE_SPACE: i16 = -7 => "GNTST_no_device_space";
    /// Not permitted.
    GNTST_PERMISSION_DENIED: i16 = -8 => "GNTST_permission_denied";
    /// The page does not fit.
    GNTST_BAD_PAGE: i16 = -9 => "GNTST_bad_page";
    /// A copy crosses the end of a page.
    GNTST_BAD_COPY_ARG: i16 = -10 => "GNTST_bad_copy_arg";
    /// The address of a transferred page is too large.
    GNTST_ADDRESS_TOO_BIG: i16 = -11 => "GNTST_address_too_big";
    /// Not done; try again.
    GNTST_EAGAIN: i16 = -12 => "GNTST_eagain";
    /// No room for handles or the like.
    GNTST_NO_SPACE: i16 = -13 => "GNTST_no_space";
}

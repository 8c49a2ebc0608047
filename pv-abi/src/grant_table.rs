//! `grant_table_op(cmd, args, count)` and the entries of grant tables.
//!
//! `args` is an array of `count` structures. Those with the guest's width
//! (`GnttabSetupTable`, `GnttabTransfer`, `GnttabCopy`,
//! `GnttabGetStatusFrames`) are in [`crate::x86_32`] and [`crate::x86_64`].
//! A result is a status `GNTST_*`, zero or negative.
//!
//! Entries are shared memory: never referenced, only copied.

use crate::types::{DomId, GrantHandle, GrantRef};

layouts! { in "grant_table.h";
    /// An entry of a version 1 table.
    struct GrantEntryV1("struct grant_entry_v1", 8) {
        /// `GTF_*`; written last by the guest, updated by the hypervisor.
        flags: u16,
        /// The domain that is granted something.
        domid: DomId,
        /// The frame that it may access, or may transfer into; after a transfer
        /// the MFN.
        frame: u32,
    }

    /// What entries of both versions begin with.
    struct GrantEntryHeader("struct grant_entry_header", 4) {
        /// `GTF_*`.
        flags: u16,
        /// The domain that is granted something.
        domid: DomId,
    }

    /// An entry of a version 2 table: a union of three forms over the same
    /// bytes, told apart by `hdr.flags`.
    struct GrantEntryV2("union grant_entry_v2", 16) {
        /// Flags and domain, in every form.
        hdr: GrantEntryHeader => ["hdr", "full_page.hdr", "sub_page.hdr", "transitive.hdr"],
        /// Sub-page: first byte. Transitive: the domain of `gref`.
        page_off: u16 => ["sub_page.page_off", "transitive.trans_domid"],
        /// Sub-page: number of bytes. Else unused.
        length: u16 => ["sub_page.length", "transitive.pad0"],
        /// Full page and sub-page: the frame. Transitive: a grant reference, in
        /// bits 31..0.
        frame: u64 => ["full_page.frame", "sub_page.frame", "transitive.gref"],
    }

    /// Argument of [`GNTTABOP_MAP_GRANT_REF`].
    struct GnttabMapGrantRef("struct gnttab_map_grant_ref", 32) {
        /// IN: virtual address to map at, or machine address of the entry to
        /// write with [`GNTMAP_CONTAINS_PTE`].
        host_addr: u64,
        /// IN: `GNTMAP_*`.
        flags: u32,
        /// IN: reference in the granter's table.
        r#ref: GrantRef => ["ref"],
        /// IN: the granter.
        dom: DomId,
        /// OUT: `GNTST_*`.
        status: i16,
        /// OUT: to unmap with.
        handle: GrantHandle,
        /// OUT: address for devices.
        dev_bus_addr: u64,
    }

    /// Argument of [`GNTTABOP_UNMAP_GRANT_REF`].
    struct GnttabUnmapGrantRef("struct gnttab_unmap_grant_ref", 24) {
        /// IN: as mapped, or 0 to leave that mapping alone.
        host_addr: u64,
        /// IN: as mapped, or 0 to leave that mapping alone.
        dev_bus_addr: u64,
        /// IN: the mapping.
        handle: GrantHandle,
        /// OUT: `GNTST_*`.
        status: i16,
        /// Padding.
        _pad: [u8; 2] => [],
    }

    /// Argument of [`GNTTABOP_UNMAP_AND_REPLACE`].
    struct GnttabUnmapAndReplace("struct gnttab_unmap_and_replace", 24) {
        /// IN: as mapped.
        host_addr: u64,
        /// IN: virtual address whose mapping takes its place.
        new_addr: u64,
        /// IN: the mapping.
        handle: GrantHandle,
        /// OUT: `GNTST_*`.
        status: i16,
        /// Padding.
        _pad: [u8; 2] => [],
    }

    /// Argument of [`GNTTABOP_DUMP_TABLE`].
    struct GnttabDumpTable("struct gnttab_dump_table", 4) {
        /// IN: the domain.
        dom: DomId,
        /// OUT: `GNTST_*`.
        status: i16,
    }

    /// Argument of [`GNTTABOP_QUERY_SIZE`].
    struct GnttabQuerySize("struct gnttab_query_size", 16) {
        /// IN: the domain, `DOMID_SELF` if unprivileged.
        dom: DomId,
        /// Padding.
        _pad0: [u8; 2] => [],
        /// OUT: frames of the table.
        nr_frames: u32,
        /// OUT: frames that it may have.
        max_nr_frames: u32,
        /// OUT: `GNTST_*`.
        status: i16,
        /// Padding.
        _pad1: [u8; 2] => [],
    }

    /// Argument of [`GNTTABOP_SET_VERSION`].
    struct GnttabSetVersion("struct gnttab_set_version", 4) {
        /// IN: 1 or 2; OUT: the version in use.
        version: u32,
    }

    /// Argument of [`GNTTABOP_GET_VERSION`].
    struct GnttabGetVersion("struct gnttab_get_version", 8) {
        /// IN: the domain.
        dom: DomId,
        /// Padding.
        pad: u16,
        /// OUT: 1 or 2.
        version: u32,
    }

    /// Argument of [`GNTTABOP_SWAP_GRANT_REF`].
    struct GnttabSwapGrantRef("struct gnttab_swap_grant_ref", 12) {
        /// IN: one entry.
        ref_a: GrantRef,
        /// IN: the other.
        ref_b: GrantRef,
        /// OUT: `GNTST_*`.
        status: i16,
        /// Padding.
        _pad: [u8; 2] => [],
    }

    /// Argument of [`GNTTABOP_CACHE_FLUSH`].
    struct GnttabCacheFlush("struct gnttab_cache_flush", 16) {
        /// IN: address for devices, or a reference in bits 31..0 with
        /// [`GNTTAB_CACHE_SOURCE_GREF`].
        a: u64 => ["a", "a.dev_bus_addr", "a.ref"],
        /// IN: first byte in the page.
        offset: u16,
        /// IN: number of bytes.
        length: u16,
        /// IN: `GNTTAB_CACHE_*`.
        op: u32,
    }
}

pub(crate) mod numbers;
pub use numbers::*;

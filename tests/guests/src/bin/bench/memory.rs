//! Rows about grants to oneself, and about a page given back and taken.

use crate::entries::hypercall;
use crate::measure::{fail, row};
use pv_abi::grant_table::*;
use pv_abi::hypercall::{GRANT_TABLE_OP, MEMORY_OP};
use pv_abi::memory::{XENMEM_DECREASE_RESERVATION, XENMEM_POPULATE_PHYSMAP};
use pv_abi::types::{DOMID_SELF, DomId, GrantRef};
use pv_guests::call::address_of;
use pv_guests::pages::{self, KRW, Page, map, pfn_of, read32, write32};
use pv_guests::{Outcome, must};
use ring1::abi::{GnttabCopy, GnttabSetupTable, MemoryReservation};
use zerocopy::FromZeros;

/// The first reference of ours.
const FIRST: u32 = 16;
/// Mappings of the batch.
const BATCH: usize = 16;
const ROWS: [&str; 4] =
    ["grant_map_unmap", "grant_map_unmap_batch16_total", "grant_copy_4k", "grant_copy_64b"];

/// Grants of a page of `domain`, which is this one.
pub fn grants(domain: DomId) -> Outcome {
    let (table, granted, window, copied) = (Page::take(), Page::take(), Page::take(), Page::take());
    let mut frame = 0u32;
    let mut setup = GnttabSetupTable::new_zeroed();
    (setup.dom, setup.nr_frames) = (DomId::new(DOMID_SELF), 1);
    setup.frame_list = address_of(&mut frame);
    let result = hypercall!(GRANT_TABLE_OP, GNTTABOP_SETUP_TABLE, address_of(&mut setup), 1u32);
    if result < 0 || setup.status < 0 {
        ROWS.iter().for_each(|name| fail(name, result.min(setup.status.into())));
        return Ok(());
    }
    let frame = core::hint::black_box(frame);
    must(map(table.va, pages::entry(frame, KRW)), "mapping the grant table")?;
    for reference in FIRST..FIRST + BATCH as u32 {
        // The frame before the flags, by which the entry becomes valid.
        write32(table.va + reference * 8 + 4, granted.mfn);
        write32(
            table.va + reference * 8,
            u32::from(domain.raw()) << 16 | u32::from(GTF_PERMIT_ACCESS),
        );
    }

    let (mut mapping, mut unmapping) =
        (GnttabMapGrantRef::new_zeroed(), GnttabUnmapGrantRef::new_zeroed());
    row(ROWS[0], 200, || {
        mapping.host_addr = window.va.into();
        mapping.flags = GNTMAP_HOST_MAP;
        (mapping.r#ref, mapping.dom) = (GrantRef::new(FIRST), domain);
        let mapped =
            hypercall!(GRANT_TABLE_OP, GNTTABOP_MAP_GRANT_REF, address_of(&mut mapping), 1u32);
        unmapping.host_addr = window.va.into();
        unmapping.dev_bus_addr = 0;
        unmapping.handle = mapping.handle;
        let at = address_of(&mut unmapping);
        let unmapped = hypercall!(GRANT_TABLE_OP, GNTTABOP_UNMAP_GRANT_REF, at, 1u32);
        mapped | unmapped | i32::from(mapping.status) | i32::from(unmapping.status)
    });
    must(map(window.va, window.entry(KRW)), "mapping a page again")?;
    batch(domain);

    let mut copy = GnttabCopy::new_zeroed();
    (copy.len, copy.flags) = (4096, GNTCOPY_SOURCE_GREF);
    (copy.source.u, copy.source.domid) = (FIRST, domain);
    (copy.dest.u, copy.dest.domid) = (copied.mfn, DomId::new(DOMID_SELF));
    write32(granted.va + 4092, 0x5a5a_5a5a);
    let mut one = |name, len| {
        copy.len = len;
        row(name, 200, || {
            hypercall!(GRANT_TABLE_OP, GNTTABOP_COPY, address_of(&mut copy), 1u32)
                | i32::from(copy.status)
        });
    };
    one(ROWS[2], 4096);
    if read32(copied.va + 4092) != 0x5a5a_5a5a {
        fail(ROWS[2], -1);
    }
    one(ROWS[3], 64);
    Ok(())
}

/// Sixteen mappings with one call, and sixteen ends of them.
fn batch(domain: DomId) {
    let windows: [Page; BATCH] = core::array::from_fn(|_| Page::take());
    let mut mappings = [GnttabMapGrantRef::new_zeroed(); BATCH];
    let mut unmappings = [GnttabUnmapGrantRef::new_zeroed(); BATCH];
    let count = BATCH as u32;
    row(ROWS[1], 20, || {
        let mut worst = 0;
        for ((mapping, window), reference) in mappings.iter_mut().zip(&windows).zip(FIRST..) {
            mapping.host_addr = window.va.into();
            mapping.flags = GNTMAP_HOST_MAP;
            (mapping.r#ref, mapping.dom) = (GrantRef::new(reference), domain);
        }
        let at = address_of(&mut mappings);
        worst |= hypercall!(GRANT_TABLE_OP, GNTTABOP_MAP_GRANT_REF, at, count);
        for ((unmapping, mapping), window) in unmappings.iter_mut().zip(&mappings).zip(&windows) {
            worst |= i32::from(mapping.status);
            unmapping.host_addr = window.va.into();
            unmapping.dev_bus_addr = 0;
            unmapping.handle = mapping.handle;
        }
        let at = address_of(&mut unmappings);
        worst |= hypercall!(GRANT_TABLE_OP, GNTTABOP_UNMAP_GRANT_REF, at, count);
        unmappings.iter().fold(worst, |worst, one| worst | i32::from(one.status))
    });
    for window in windows {
        let _ = map(window.va, window.entry(KRW));
    }
}

/// Gives a page back, and takes one for the same pseudo-physical number.
pub fn reservation() -> Outcome {
    let page = Page::take();
    let pfn = pfn_of(page.mfn);
    must(map(page.va, 0), "unmapping a page")?;
    let mut frame = page.mfn;
    let mut argument = MemoryReservation::new_zeroed();
    argument.extent_start = address_of(&mut frame);
    (argument.nr_extents, argument.domid) = (1, DomId::new(DOMID_SELF));
    row("decrease_populate_pair", 50, || {
        let at = address_of(&mut argument);
        let given = hypercall!(MEMORY_OP, XENMEM_DECREASE_RESERVATION, at);
        write32(address_of(&mut frame), pfn);
        let taken = hypercall!(MEMORY_OP, XENMEM_POPULATE_PHYSMAP, at);
        if (given, taken) == (1, 1) { 0 } else { given | taken | -1 }
    });
    let frame = core::hint::black_box(frame);
    must(map(page.va, pages::entry(frame, KRW)), "mapping the new frame")
}

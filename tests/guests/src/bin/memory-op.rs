//! memory_op as a domain 0 asks it at boot, and balloon calls of one page.
//!
//! `xen/include/public/memory.h`; Xen 4.17 `common/memory.c`, `common/compat/memory.c`. Expected:
//! sane numbers; a machine memory map in order; the M2P's frames; decrease and populate of a page
//! give it back and take one; unknown commands -ENOSYS.
#![no_std]
#![no_main]
use pv_abi::hypercall::MEMORY_OP;
use pv_abi::memory::*;
use pv_abi::types::{DOMID_SELF, DomId};
use pv_guests::call::address_of;
use pv_guests::pages::{self, KRW, Page, map, pfn_of, read32, read64, write32};
use pv_guests::{Outcome, StartInfo, check, check_eq, guest, hypercall, must, with_argument};
use ring1::abi::{MachphysMfnList, MemoryMap, MemoryReservation};
use ring1::calls;

guest!(run);

fn run(start: &'static StartInfo) -> Outcome {
    let mut own = DomId::new(DOMID_SELF);
    let pages_now = with_argument(MEMORY_OP, XENMEM_CURRENT_RESERVATION, &mut own);
    check_eq!(pages_now as u32, start.nr_pages, "current_reservation");
    let most = with_argument(MEMORY_OP, XENMEM_MAXIMUM_RESERVATION, &mut own);
    check!(most >= pages_now, "maximum_reservation {most}");
    let top = hypercall(MEMORY_OP, &[XENMEM_MAXIMUM_RAM_PAGE, 0]);
    check!(top > 0x1000, "maximum_ram_page {top:#x}");
    let mapping = must(calls::machphys_mapping(), "machphys_mapping")?;
    check!(mapping.v_start >= 0xf580_0000 && mapping.v_end > mapping.v_start, "{mapping:x?}");
    check!(mapping.max_mfn >= top as u32, "max_mfn {:#x} of {top:#x}", mapping.max_mfn);
    balloon()?;
    let page = Page::take();
    for command in [8, 29, 63] {
        let result = hypercall(MEMORY_OP, &[command, page.va]);
        check!(result < 0, "memory_op {command}: {result}");
    }
    check_eq!(hypercall(MEMORY_OP, &[40, page.va]), -38, "memory_op 40");
    machine_map()?;
    let mut list = MachphysMfnList {
        max_extents: 1,
        _pad0: [],
        extent_start: page.va,
        nr_extents: 0,
        _pad1: [],
    };
    for command in [XENMEM_MACHPHYS_MFN_LIST, XENMEM_MACHPHYS_COMPAT_MFN_LIST] {
        check_eq!(with_argument(MEMORY_OP, command, &mut list), 0, "machphys_mfn_list {command}");
        check_eq!(list.nr_extents, 1, "extents of the M2P, {command}");
        check!(read32(page.va) != 0, "the M2P's first frame");
    }
    Ok(())
}

fn machine_map() -> Outcome {
    // Entries of 20 bytes: address, size, type.
    let buffer = Page::take();
    let mut argument = MemoryMap { nr_entries: 128, _pad: [], buffer: buffer.va };
    let result = with_argument(MEMORY_OP, XENMEM_MACHINE_MEMORY_MAP, &mut argument);
    check_eq!(result, 0, "machine_memory_map");
    check!((2..=128).contains(&argument.nr_entries), "{} entries", argument.nr_entries);
    let (mut last, mut ram) = (0, 0);
    for index in 0..argument.nr_entries.min(128) {
        let at = buffer.va + index * 20;
        let (address, size) = (read64(at), read64(at + 8));
        check!(address >= last, "entry {index} at {address:#x} after {last:#x}");
        last = address + size;
        ram += if read32(at + 16) == 1 { size } else { 0 };
    }
    check!(ram > 16 << 20, "{ram} bytes of RAM");
    let mut none = MemoryMap { nr_entries: 1, _pad: [], buffer: buffer.va };
    let result = with_argument(MEMORY_OP, XENMEM_MACHINE_MEMORY_MAP, &mut none);
    check!(result <= 0, "a map in too small a buffer: {result}");
    Ok(())
}

/// Gives a page back and takes one for the same pseudo-physical number.
fn balloon() -> Outcome {
    let page = Page::take();
    let pfn = pfn_of(page.mfn);
    let mut frame = page.mfn;
    let mut argument = MemoryReservation {
        extent_start: address_of(&mut frame),
        nr_extents: 1,
        extent_order: 0,
        mem_flags: 0,
        domid: DomId::new(DOMID_SELF),
        _pad: [0; 2],
    };
    // While it is mapped the page is only marked: take the mapping away first.
    must(map(page.va, 0), "unmapping")?;
    let result = with_argument(MEMORY_OP, XENMEM_DECREASE_RESERVATION, &mut argument);
    check_eq!(result, 1, "decrease_reservation");
    check!(map(page.va, page.entry(KRW)).is_err(), "a page given back was mapped");
    frame = pfn;
    argument.extent_start = address_of(&mut frame);
    let result = with_argument(MEMORY_OP, XENMEM_POPULATE_PHYSMAP, &mut argument);
    check_eq!(result, 1, "populate_physmap");
    let frame = core::hint::black_box(frame);
    check_eq!(pfn_of(frame), pfn, "the M2P entry of the new frame");
    must(map(page.va, pages::entry(frame, KRW)), "mapping the new frame")?;
    for offset in (0..4096).step_by(4) {
        check!(read32(page.va + offset) == 0 || offset > 0, "the new frame is not zero");
    }
    write32(page.va, 1);
    Ok(())
}

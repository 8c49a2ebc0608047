//! Kernel addresses that are mapped as needed: the heap's, and devices' registers.
#![allow(unsafe_code)] // UNSAFETY: maps device memory.

use super::frames::{self, Use};
use super::{PAGE, table};
use crate::arch::calls;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::mmu::UVMF_INVLPG;

/// First address of the heap.
pub const HEAP: u32 = 0xb000_0000;
/// Address after the heap's window.
pub const HEAP_END: u32 = super::foreign::FOREIGN;
/// First address of devices' registers.
pub const DEVICES: u32 = super::foreign::END;
/// Address after them.
const DEVICES_END: u32 = super::stacks::STACKS;
/// Where the next device's registers are mapped.
static NEXT_DEVICE: AtomicU32 = AtomicU32::new(DEVICES);
/// Entry bits: not cached.
const UNCACHED: u64 = 0x18;

/// Gives the heap its window.
pub(super) fn init() {
    crate::heap::set_growth(HEAP, grow_heap);
}

fn grow_heap(address: u32, bytes: u32) -> bool {
    address.checked_add(bytes).is_some_and(|end| end <= HEAP_END)
        && map(address, bytes / PAGE, Use::Heap)
}

/// Maps `pages` fresh frames from kernel address `va` on, all or none. False: out of memory.
pub(super) fn map(va: u32, pages: u32, used_for: Use) -> bool {
    let mut batch = table::Batch::new();
    for page in 0..pages {
        let at = va + page * PAGE;
        let mapped = table::kernel_l1(at).zip(frames::allocate(used_for));
        let Some((l1, pfn)) = mapped else {
            batch.send();
            unmap(va, page);
            return false;
        };
        batch.set(l1, at >> 12, table::entry(pfn, table::kernel_data()));
    }
    true
}

/// Takes `pages` back that [`map`] mapped.
fn unmap(va: u32, pages: u32) {
    for page in 0..pages {
        let at = va + page * PAGE;
        let Some(l1) = table::kernel_l1(at) else { continue };
        if let Some(pfn) = table::target(table::read(l1, at >> 12)) {
            table::set_va(at, 0);
            frames::release(pfn);
        }
    }
}

/// Maps device memory, uncached, for good. None: no such memory, none of ours, or no addresses left.
pub fn map_device(machine_address: u64, bytes: usize) -> Option<NonNull<u8>> {
    let offset = (machine_address % u64::from(PAGE)) as u32;
    let pages = offset.checked_add(u32::try_from(bytes).ok()?)?.div_ceil(PAGE);
    let first = NEXT_DEVICE.load(Ordering::Relaxed);
    let end = pages.checked_mul(PAGE).and_then(|bytes| first.checked_add(bytes))?;
    if end > DEVICES_END {
        return None;
    }
    let flags = table::kernel_data() | UNCACHED;
    for page in 0..pages {
        let at = first + page * PAGE;
        table::kernel_l1(at)?;
        let frame = machine_address - u64::from(offset) + u64::from(page * PAGE);
        // SAFETY: 1. The address is in the devices' window, and nothing was mapped there.
        unsafe { calls::update_va_mapping(at, frame | flags, UVMF_INVLPG) }.ok()?;
    }
    NEXT_DEVICE.store(end, Ordering::Relaxed);
    NonNull::new(core::ptr::with_exposed_provenance_mut((first + offset) as usize))
}

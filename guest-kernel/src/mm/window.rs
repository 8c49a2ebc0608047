//! Kernel addresses that are mapped as needed: the heap's, those of pages that domains share, and
//! those of what stays mapped for good: devices' registers, the grant table.
#![allow(unsafe_code)] // UNSAFETY: maps device memory and frames of the hypervisor's.

use super::frames::{self, Use};
use super::{PAGE, table};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::mmu::UVMF_INVLPG;
use pv_abi::types::Mfn;
use ring1::calls;
use ring1::events::Masked;

/// First address of the heap.
pub const HEAP: u32 = 0xb000_0000;
/// Address after the heap's window.
pub const HEAP_END: u32 = SHARED;
/// First address of pages that domains share by grants.
pub const SHARED: u32 = 0xb640_0000;
/// Address after them.
pub const SHARED_END: u32 = super::foreign::FOREIGN;
/// First address of what is mapped for good.
const LASTING: u32 = super::foreign::END;
/// Address after it.
const LASTING_END: u32 = super::stacks::STACKS;
/// Where the next of it is mapped.
static NEXT_LASTING: AtomicU32 = AtomicU32::new(LASTING);
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
pub(crate) fn map(va: u32, pages: u32, used_for: Use) -> bool {
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
pub(crate) fn unmap(va: u32, pages: u32) {
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
    let page = u64::from(PAGE);
    let offset = (machine_address % page) as u32;
    let pages = offset.checked_add(u32::try_from(bytes).ok()?)?.div_ceil(PAGE);
    let first = machine_address / page;
    let frames = (first..first + u64::from(pages)).map(Mfn::new);
    map_for_good(pages, frames, UNCACHED)?.checked_add(offset).and_then(pointer)
}

/// Maps a frame that the hypervisor shares with us, for good. None: it does not, or no addresses or
/// memory are left.
pub fn map_frame(frame: Mfn) -> Option<NonNull<u8>> {
    map_for_good(1, core::iter::once(frame), 0).and_then(pointer)
}

/// Maps so many machine frames that are no memory of ours side by side; the address of the first.
fn map_for_good(pages: u32, frames: impl Iterator<Item = Mfn>, flags: u64) -> Option<u32> {
    // Others that map something for good wait until it is known where this ends.
    let _masked = Masked::new();
    let first = NEXT_LASTING.load(Ordering::Relaxed);
    let end = pages.checked_mul(PAGE).and_then(|bytes| first.checked_add(bytes))?;
    if end > LASTING_END {
        return None;
    }
    for (at, frame) in (first..end).step_by(PAGE as usize).zip(frames) {
        table::kernel_l1(at)?;
        let entry = frame.raw() << 12 | table::kernel_data() | flags;
        // SAFETY: 1. The address is in the window, and nothing was mapped there.
        unsafe { calls::update_va_mapping(at, entry, UVMF_INVLPG) }.ok()?;
    }
    NEXT_LASTING.store(end, Ordering::Relaxed);
    Some(first)
}

fn pointer(address: u32) -> Option<NonNull<u8>> {
    NonNull::new(core::ptr::with_exposed_provenance_mut(address as usize))
}

//! Kernel addresses that are mapped as needed: the heap's.

use super::frames::{self, Use};
use super::{PAGE, table};

/// First address of the heap.
pub const HEAP: u32 = 0xb000_0000;
/// Address after the heap's window.
pub const HEAP_END: u32 = super::foreign::FOREIGN;

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

//! Kernel addresses that are mapped as needed: the heap's.

use super::PAGE;
use super::frames::{self, Use};
use super::table::{self, KERNEL_RW};

/// First address of the heap.
pub const HEAP: u32 = 0xb000_0000;
/// Address after the heap's window.
pub const HEAP_END: u32 = super::stacks::STACKS;

/// Gives the heap its window.
pub(super) fn init() {
    crate::heap::set_growth(HEAP, grow_heap);
}

fn grow_heap(address: u32, bytes: u32) -> bool {
    address.checked_add(bytes).is_some_and(|end| end <= HEAP_END)
        && map(address, bytes / PAGE, Use::Heap)
}

/// Maps `pages` fresh frames from kernel address `va` on. On failure (out of memory) what was mapped
/// stays, lost to its window: the kernel is then at its end anyway.
pub(super) fn map(va: u32, pages: u32, used_for: Use) -> bool {
    let mut batch = table::Batch::new();
    for page in 0..pages {
        let va = va + page * PAGE;
        let Some(l1) = table::kernel_l1(va) else { return false };
        let Some(pfn) = frames::allocate(used_for) else { return false };
        batch.set(l1, va >> 12, table::entry(pfn, KERNEL_RW));
    }
    true
}

//! Address spaces beside the builder's.
//!
//! A pv32 root (L3) needs a table of its own in slot 3, where the hypervisor puts its window; the
//! kernel's slot 2 can be shared with the builder's root. Slot 0 is empty at start.

use crate::pages::{self, P, Page, TABLE};
use crate::verdict::{Outcome, must};
use pv_abi::mmu::{MMUEXT_NEW_BASEPTR, MMUEXT_PIN_L1_TABLE, MMUEXT_PIN_L3_TABLE};

/// The L3 slot of the kernel.
pub const KERNEL_SLOT: u32 = 2;

/// A root that shares the kernel's slot with the builder's, not pinned yet: the root and the table
/// in its slot 3, both already read-only.
pub fn unpinned() -> Outcome<(Page, Page)> {
    let (root, top) = (Page::take(), Page::take());
    root.write(KERNEL_SLOT, pages::read64(pages::root() + KERNEL_SLOT * 8));
    root.write(3, top.entry(P));
    Ok((root.protect()?, top.protect()?))
}

/// The same, pinned.
pub fn pinned() -> Outcome<Page> {
    let (root, _) = unpinned()?;
    must(pages::extended(MMUEXT_PIN_L3_TABLE, root.mfn, 0), "pinning a root")?;
    Ok(root)
}

/// An L2 and an L1, read-only, that map the first pages of their slot by `entries`. Not pinned.
pub fn low_tables(entries: &[u64]) -> Outcome<(Page, Page)> {
    let (l2, l1) = (Page::take(), Page::take());
    for (index, entry) in entries.iter().enumerate() {
        l1.write(index as u32, *entry);
    }
    l2.write(0, l1.entry(TABLE));
    Ok((l2.protect()?, l1.protect()?))
}

/// Gives a live root (its frame) an L2 in slot 0.
pub fn attach_low(root_mfn: u32, l2: Page) -> Outcome {
    let slot = u64::from(root_mfn) << 12;
    must(pages::update(slot, l2.entry(P)), "filling slot 0 of a root").map(|_| ())
}

/// Frame of the builder's root.
pub fn builder() -> u32 {
    pages::mfn_of(pages::root())
}

/// Makes a root current.
pub fn switch_to(root_mfn: u32) -> Outcome {
    must(pages::extended(MMUEXT_NEW_BASEPTR, root_mfn, 0), "switching roots").map(|_| ())
}

/// Pins a page as an L1.
pub fn pin_l1(page: Page) -> ring1::calls::Result<u32> {
    pages::extended(MMUEXT_PIN_L1_TABLE, page.mfn, 0)
}

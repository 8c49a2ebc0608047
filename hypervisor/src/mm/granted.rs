//! Where grants are mapped: level-1 entries, named by an address that they map or by their own.
//!
//! What is put there, and taken from there, is [`PageTypes::exchange_page_entry`]'s business: an
//! entry owns the reference that it rests on, and it changes hands with the entry.

use pv_abi::types::Mfn;

use super::types::PageTypes;
use super::update_va::find_l1;
use crate::platform::Platform;

/// A level-1 entry of a domain's, for as long as its paging lock is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The table.
    pub table: Mfn,
    /// Which of its entries.
    pub index: u16,
}

impl<P: Platform> PageTypes<'_, P> {
    /// The level-1 entry that maps `va` below `root`; `None` if there is no such table, or the
    /// address is not the guest's.
    #[inline(always)]
    pub fn place_of(&self, root: Mfn, va: u64) -> Option<Place> {
        if !self.width.range_ok(va, 1) {
            return None;
        }
        let table = find_l1(self.sys, self.domain, root, va)?;
        Some(Place { table, index: (va >> 12 & 511) as u16 })
    }

    /// The level-1 entry at machine address `maddr`; `None` if it is not aligned, or no entry of
    /// a validated level-1 table of the domain's (XSA-227).
    pub fn place_at(&self, maddr: u64) -> Option<Place> {
        let table = Mfn::new(maddr >> 12);
        let usable = self.sys.memory.frame(table)?.is_l1_of(self.domain.id);
        (usable && maddr.is_multiple_of(8))
            .then_some(Place { table, index: (maddr >> 3 & 511) as u16 })
    }
}

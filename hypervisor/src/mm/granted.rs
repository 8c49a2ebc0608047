//! Level-1 entries that a grant put there: they name a frame of another domain's.
//!
//! The entry owns the reference that it rests on, as any entry does: plain if it is
//! read-only, else writable. It was taken before, from the frame's owner, so here only
//! ownership changes hands: installing gives the entry the caller's reference, removing
//! gives the caller the entry's.

use core::sync::atomic::Ordering;

use pv_abi::types::Mfn;

use super::frame::Type;
use super::pte;
use super::types::PageTypes;
use super::update_va::find_l1;
use crate::platform::Platform;

/// A level-1 entry of a domain's, for as long as its paging lock is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    table: Mfn,
    index: u16,
}

impl<P: Platform> PageTypes<'_, P> {
    /// The level-1 entry that maps `va` below `root`; `None` if there is no such table, or the
    /// address is not the guest's.
    #[inline(always)]
    pub fn place_of(&self, root: Mfn, va: u64) -> Option<Place> {
        if !self.domain.width.range_ok(va, 1) {
            return None;
        }
        let table = find_l1(self.sys, self.domain, root, va)?;
        Some(Place { table, index: (va >> 12 & 511) as u16 })
    }

    /// The level-1 entry at machine address `maddr`; `None` if it is not aligned, or no entry of
    /// a validated level-1 table of the domain's (XSA-227).
    pub fn place_at(&self, maddr: u64) -> Option<Place> {
        let table = Mfn::new(maddr >> 12);
        let frame = self.sys.memory.frame(table)?;
        let word = frame.load();
        let usable = frame.is_owned_by(self.domain.id)
            && word.kind() == Type::L1
            && word.type_count() > 0
            && word.validated();
        (usable && maddr.is_multiple_of(8))
            .then_some(Place { table, index: (maddr >> 3 & 511) as u16 })
    }

    /// The entry at a place.
    #[inline(always)]
    pub fn entry(&self, place: Place) -> u64 {
        self.words(place.table)
            .get(usize::from(place.index))
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Replaces the entry at a place by one whose reference the caller gives away; the caller
    /// gets the reference of the old one, which is returned.
    #[inline(always)]
    pub fn exchange(&mut self, place: Place, new: u64) -> u64 {
        self.words(place.table)
            .get(usize::from(place.index))
            .map_or(0, |word| word.swap(new, Ordering::AcqRel))
    }

    /// Puts an entry whose reference the caller gives away at a place; the old one's is dropped.
    #[inline(always)]
    pub fn install(&mut self, place: Place, new: u64) {
        self.begin();
        let old = self.exchange(place, new);
        if old & pte::P != 0 {
            self.put_entry_page(old);
        }
    }
}

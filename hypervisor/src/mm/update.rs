//! Changing one entry of a validated page table.

use core::sync::atomic::{AtomicU64, Ordering};

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use super::frame::Type;
use super::pte;
use super::types::PageTypes;
use super::validate::{Child, PV32_ROOT_ENTRIES, child};
use crate::error::Stop;
use crate::platform::Platform;
use crate::width::Width;

impl<P: Platform> PageTypes<'_, P> {
    /// Writes entry `index` of `table`, a validated page table on which the caller holds a reference.
    ///
    /// The new entry takes its reference first, so nothing has changed if that is refused
    /// (`EINVAL`); the old entry's is dropped last. With `preserve_ad` the accessed and
    /// dirty bits that the CPU has set meanwhile stay set.
    #[inline(always)]
    pub fn write_entry(
        &mut self,
        table: Mfn,
        kind: Type,
        index: u16,
        new: u64,
        preserve_ad: bool,
    ) -> Result<(), Stop> {
        let word = self.words(table).get(usize::from(index)).ok_or(Errno::EINVAL)?;
        self.begin();
        if kind == Type::L1 {
            self.write_page_entry(word, new, preserve_ad)
        } else {
            self.write_table_entry(table, word, kind, index, new, preserve_ad)
        }
    }

    #[inline(always)]
    fn write_page_entry(&mut self, word: &AtomicU64, new: u64, ad: bool) -> Result<(), Stop> {
        let old = word.load(Ordering::Relaxed);
        let mut new = new;
        if new & pte::P != 0 {
            if old & pte::P != 0 && (old ^ new) & !pte::SOFT == 0 {
                exchange(word, new, ad);
                return Ok(());
            }
            new = self.get_page(new)?;
        }
        let old = exchange(word, new, ad);
        self.begin();
        self.drop_entry(old);
        Ok(())
    }

    /// Replaces entry `index` of the level-1 `table` and leaves the references to the caller: the
    /// new entry's, if it is present, must be held and are the entry's from now on; the old entry
    /// is returned, and its references are the caller's ([`PageTypes::drop_entry`]).
    ///
    /// `EINVAL`: the frame is no level-1 table of the domain's; or `accept`, which is shown the old
    /// entry, refuses it. Nothing has changed then.
    pub fn exchange_page_entry(
        &mut self,
        table: Mfn,
        index: u16,
        new: u64,
        preserve_ad: bool,
        accept: impl Fn(u64) -> bool,
    ) -> Result<u64, Stop> {
        if !self.sys.memory.frame(table).ok_or(Errno::EINVAL)?.is_l1_of(self.domain.id) {
            return Err(Errno::EINVAL.into());
        }
        let word = self.words(table).get(usize::from(index)).ok_or(Errno::EINVAL)?;
        // Under the paging lock nobody but the CPU's walker changes it, so what was accepted is
        // what is replaced.
        if !accept(word.load(Ordering::Relaxed)) {
            return Err(Errno::EINVAL.into());
        }
        let old = exchange(word, new, preserve_ad);
        self.begin();
        Ok(old)
    }

    /// Drops the references of an entry that [`PageTypes::exchange_page_entry`] returned.
    pub fn drop_entry(&mut self, old: u64) {
        if old & pte::P != 0 {
            self.put_entry_page(old);
        }
    }

    /// Writes entry `index` of the level-1 `table` if it still is `old`; else nothing, and `false`.
    ///
    /// The caller holds a reference of the table's. `EINVAL` if the new entry is refused.
    pub fn replace_page_entry(
        &mut self,
        table: Mfn,
        index: u16,
        old: u64,
        new: u64,
    ) -> Result<bool, Stop> {
        let word = self.words(table).get(usize::from(index)).ok_or(Errno::EINVAL)?;
        self.begin();
        // The new entry takes over the reference of the old one if it needs the same.
        let same = old & new & pte::P != 0 && (old ^ new) & !pte::SOFT == 0;
        let new = if new & pte::P != 0 && !same { self.get_page(new)? } else { new };
        let written = word.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        self.begin();
        let gone = if written { old } else { new };
        if gone & pte::P != 0 && !same {
            self.put_entry_page(gone);
        }
        Ok(written)
    }

    fn write_table_entry(
        &mut self,
        table: Mfn,
        word: &AtomicU64,
        kind: Type,
        index: u16,
        new: u64,
        ad: bool,
    ) -> Result<(), Stop> {
        let width = self.width;
        // Slot 3 carries the hypervisor's window; it stays as it was validated.
        if width == Width::Pv32 && kind == Type::L3 && index >= PV32_ROOT_ENTRIES - 1 {
            return Err(Errno::EINVAL.into());
        }
        let Child::Table(below) = child(width, self.domain.hv_start, kind, index) else {
            return Err(Errno::EINVAL.into());
        };
        let new = pte::adjust(width, kind, new);
        let old = word.load(Ordering::Relaxed);
        if new & pte::P != 0 {
            let same = old & pte::P != 0 && (old ^ new) & !(pte::SOFT | pte::RW) == 0;
            // RW of a higher entry only narrows what the leaves permit: unless it is itself taken
            // for a leaf (XSA-182).
            if same && (new & pte::RW == 0 || !self.is_linear(table, below, old)) {
                if new & pte::forbidden(width, kind) != 0 {
                    return Err(Errno::EINVAL.into());
                }
                exchange(word, new, ad);
                return Ok(());
            }
            self.get_table(table, kind, below, new)?;
        }
        let old = exchange(word, new, ad);
        self.begin();
        if old & pte::P != 0 {
            self.put_table(table, below, old);
            // The CPU may hold the way through the old table; the leaves it led to are guarded
            // by their own types, but what is unmapped should be unmapped.
            self.sys.flush_domain(self.domain);
        }
        Ok(())
    }
}

/// Replaces an entry that only the CPU's walker changes besides us; returns the old one.
#[inline(always)]
fn exchange(word: &AtomicU64, new: u64, preserve_ad: bool) -> u64 {
    if !preserve_ad {
        return word.swap(new, Ordering::AcqRel);
    }
    let mut old = word.load(Ordering::Relaxed);
    loop {
        let merged = if old & pte::P != 0 { new | old & (pte::A | pte::D) } else { new };
        match word.compare_exchange_weak(old, merged, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return old,
            Err(found) => old = found,
        }
    }
}

//! The page tables that a new domain starts with, as the guest itself would have written them.
//!
//! One algorithm for both widths: a table of level n covers `2^(12 + 9 n)` bytes, the tables of
//! a level follow each other in the order of what they cover, and levels follow each other
//! from the root down. They map themselves read-only and all else writable.

use core::ops::Range;
use core::sync::atomic::Ordering;

use pv_abi::types::Mfn;

use super::BuildError;
use super::contents::Contents;
use super::layout::Layout;
use crate::mm::pte;
use crate::platform::Platform;
use crate::width::Width;

/// pv32: the root entry whose table carries the hypervisor's window.
const TOP_SLOT: u64 = 3;

/// The page tables in the making.
struct Tables<'a, P: Platform> {
    contents: &'a Contents<'a, P>,
    layout: &'a Layout,
    width: Width,
}

/// Writes the page tables; returns the root.
pub fn write<P: Platform>(
    contents: &Contents<'_, P>,
    layout: &Layout,
    width: Width,
) -> Result<Mfn, BuildError> {
    let tables = Tables { contents, layout, width };
    for pfn in layout.table_pfns() {
        contents.platform.zero(tables.frame(pfn)?);
    }
    for level in (1..tables.root_level()).rev() {
        for number in tables.covered(level) {
            let child = tables.frame(tables.table_pfn(level, number))?;
            let flags = tables.table_flags(level + 1);
            tables.set(level + 1, number, pte::make(child, flags))?;
        }
    }
    tables.ensure_top()?;
    tables.map_pages()?;
    tables.frame(tables.table_pfn(tables.root_level(), 0))
}

impl<P: Platform> Tables<'_, P> {
    fn root_level(&self) -> u32 {
        match self.width {
            Width::Pv32 => 3,
            Width::Pv64 => 4,
        }
    }

    /// Flags of an entry of level `level`, if it names a table.
    fn table_flags(&self, level: u32) -> u64 {
        if self.width == Width::Pv32 && level == self.root_level() {
            // PAE has no permissions there.
            return pte::P;
        }
        pte::P | pte::RW | pte::US | pte::A | pte::D
    }

    /// The numbers of the tables of a level, counted from address 0.
    fn covered(&self, level: u32) -> Range<u64> {
        let shift = 12 + 9 * level;
        self.layout.start >> shift..((self.layout.end - 1) >> shift) + 1
    }

    /// pv32: whether the mapping ends below the top table's GiB, so that it is an extra one.
    fn extra_top(&self) -> bool {
        self.width == Width::Pv32 && !self.covered(2).contains(&TOP_SLOT)
    }

    /// Where table `number` of a level lies.
    fn table_pfn(&self, level: u32, number: u64) -> u64 {
        let first = self.layout.pfn(self.layout.tables);
        if level == self.root_level() {
            return first;
        }
        let above: u64 = (level + 1..self.root_level())
            .map(|l| self.covered(l).count() as u64 + u64::from(l == 2 && self.extra_top()))
            .sum();
        let within = number - self.covered(level).start;
        first + 1 + above + within
    }

    fn frame(&self, pfn: u64) -> Result<Mfn, BuildError> {
        let address = self.layout.start + pfn * super::layout::PAGE;
        self.contents.mfn_at(address)
    }

    /// Writes entry `number` (counted from address 0) of level `level`.
    fn set(&self, level: u32, number: u64, entry: u64) -> Result<(), BuildError> {
        let table = self.frame(self.table_pfn(level, number >> 9))?;
        let words = self.contents.platform.words(table);
        if let Some(word) = words.get((number & 0x1ff) as usize) {
            word.store(entry, Ordering::Relaxed);
        }
        Ok(())
    }

    /// pv32: slot 3 has a table even if nothing of the guest's is there.
    fn ensure_top(&self) -> Result<(), BuildError> {
        if !self.extra_top() {
            return Ok(());
        }
        let last = self.table_pfn(2, self.covered(2).end);
        self.set(3, TOP_SLOT, pte::make(self.frame(last)?, self.table_flags(3)))
    }

    /// Maps all pages from the layout's start to its end.
    fn map_pages(&self) -> Result<(), BuildError> {
        let user = match self.width {
            Width::Pv32 => 0,
            Width::Pv64 => pte::US,
        };
        let tables = self.layout.table_pfns();
        let pages = self.layout.start >> 12..self.layout.end >> 12;
        for (pfn, number) in pages.enumerate() {
            let pfn = pfn as u64;
            let writable = if tables.contains(&pfn) { 0 } else { pte::RW };
            let flags = pte::P | pte::A | writable | user;
            self.set(1, number, pte::make(self.frame(pfn)?, flags))?;
        }
        Ok(())
    }
}

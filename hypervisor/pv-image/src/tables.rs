//! The page tables that a new domain starts with, as the guest itself would have written them.
//!
//! One algorithm for both widths: a table of level n covers `2^(12 + 9 n)` bytes, the tables of
//! a level follow each other in the order of what they cover, and levels follow each other
//! from the root down. They map themselves read-only and all else writable.
//!
//! Entries are told in terms of pseudo-physical frames; whoever builds the domain knows which
//! machine frames those are. Entries that are not told are zero.

use core::ops::Range;

use crate::layout::Layout;
use crate::width::Width;

/// Entry bit: present.
pub const PRESENT: u64 = 1 << 0;
/// Entry bit: writable.
pub const WRITE: u64 = 1 << 1;
/// Entry bit: for Ring 3, too.
pub const USER: u64 = 1 << 2;
/// Entry bit: accessed.
pub const ACCESSED: u64 = 1 << 5;
/// Entry bit: dirty.
pub const DIRTY: u64 = 1 << 6;

/// pv32: the root entry whose table carries the hypervisor's window.
const TOP_SLOT: u64 = 3;

/// An entry of a page table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The table's pseudo-physical frame.
    pub table: u64,
    /// Its place there, below 512.
    pub index: u16,
    /// The pseudo-physical frame that it leads to.
    pub target: u64,
    /// Its other bits.
    pub flags: u64,
}

/// The page tables of a layout.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    layout: &'a Layout,
    width: Width,
}

impl<'a> Tables<'a> {
    /// Those of `layout`.
    pub fn new(layout: &'a Layout, width: Width) -> Tables<'a> {
        Tables { layout, width }
    }

    /// The root's pseudo-physical frame.
    pub fn root(&self) -> u64 {
        self.layout.pfn(self.layout.tables)
    }

    /// Calls `put` with each entry, table after table on the lowest level, which is most of them.
    /// Ends with the first error.
    pub fn entries<E>(&self, mut put: impl FnMut(Entry) -> Result<(), E>) -> Result<(), E> {
        for level in (1..self.root_level()).rev() {
            for number in self.covered(level) {
                let child = self.table_pfn(level, number);
                put(self.entry(level + 1, number, child, self.table_flags(level + 1)))?;
            }
        }
        if self.extra_top() {
            // Slot 3 has a table even if nothing of the guest's is there.
            let last = self.table_pfn(2, self.covered(2).end);
            put(self.entry(3, TOP_SLOT, last, self.table_flags(3)))?;
        }
        let user = match self.width {
            Width::Pv32 => 0,
            Width::Pv64 => USER,
        };
        let tables = self.layout.table_pfns();
        let pages = self.layout.start >> 12..self.layout.end >> 12;
        for number in self.covered(1) {
            // Most entries by far are in these: where a table lies is found once for all of them.
            let table = self.table_pfn(1, number);
            let covered = (number << 9).max(pages.start)..((number + 1) << 9).min(pages.end);
            for page in covered {
                let target = page - pages.start;
                let writable = if tables.contains(&target) { 0 } else { WRITE };
                let flags = PRESENT | ACCESSED | writable | user;
                put(Entry { table, index: (page & 0x1ff) as u16, target, flags })?;
            }
        }
        Ok(())
    }

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
            return PRESENT;
        }
        PRESENT | WRITE | USER | ACCESSED | DIRTY
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
        if level == self.root_level() {
            return self.root();
        }
        let above: u64 = (level + 1..self.root_level())
            .map(|l| self.covered(l).count() as u64 + u64::from(l == 2 && self.extra_top()))
            .sum();
        let within = number - self.covered(level).start;
        self.root() + 1 + above + within
    }

    /// Entry `number` (counted from address 0) of level `level`.
    fn entry(&self, level: u32, number: u64, target: u64, flags: u64) -> Entry {
        let table = self.table_pfn(level, number >> 9);
        Entry { table, index: (number & 0x1ff) as u16, target, flags }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Wanted;
    use core::convert::Infallible;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    fn layout(width: Width, virt_base: u64) -> Layout {
        Layout::new(&Wanted {
            width,
            virt_base,
            kernel_end: virt_base + 0x11_0000,
            initrd_len: 0,
            initrd_unmapped: false,
            ring_pages: 2,
            pages: 4096,
            limit: u64::MAX,
        })
        .unwrap()
    }

    /// Follows the entries from the root as a CPU does.
    fn walk(
        entries: &BTreeMap<(u64, u16), Entry>,
        root: u64,
        levels: u32,
        va: u64,
    ) -> Option<Entry> {
        let mut table = root;
        for level in (1..=levels).rev() {
            let index = (va >> (3 + 9 * level) & 0x1ff) as u16;
            let entry = entries.get(&(table, index))?;
            if level == 1 {
                return Some(*entry);
            }
            table = entry.target;
        }
        None
    }

    #[test]
    fn every_page_is_mapped_at_its_place_and_tables_are_read_only() {
        let cases = [
            (Width::Pv32, 0xc000_0000, 3),
            (Width::Pv32, 0x8000_0000, 3),
            (Width::Pv32, 0, 3),
            (Width::Pv64, 0xffff_ffff_8000_0000, 4),
        ];
        for (width, base, levels) in cases {
            let layout = layout(width, base);
            let tables = Tables::new(&layout, width);
            let mut all = Vec::new();
            let Ok(()) = tables.entries(|entry| {
                all.push(entry);
                Ok::<(), Infallible>(())
            });
            let entries: BTreeMap<_, _> = all.iter().map(|e| ((e.table, e.index), *e)).collect();
            assert_eq!(entries.len(), all.len(), "no entry is told twice");
            let used: std::collections::BTreeSet<u64> = all.iter().map(|e| e.table).collect();
            assert!(used.iter().all(|table| layout.table_pfns().contains(table)));
            for pfn in 0..layout.mapped_pages() {
                let va = layout.start + pfn * 4096;
                let entry = walk(&entries, tables.root(), levels, va).unwrap();
                assert_eq!(entry.target, pfn);
                let writable = entry.flags & WRITE != 0;
                assert_eq!(writable, !layout.table_pfns().contains(&pfn), "{va:#x}");
            }
            if width == Width::Pv32 {
                let top = entries[&(tables.root(), 3)];
                assert!(layout.table_pfns().contains(&top.target));
                assert_eq!(top.flags, PRESENT);
            }
        }
    }

    #[test]
    fn an_error_ends_it() {
        let layout = layout(Width::Pv32, 0xc000_0000);
        let mut told = 0;
        let outcome = Tables::new(&layout, Width::Pv32).entries(|_| {
            told += 1;
            if told == 3 { Err("enough") } else { Ok(()) }
        });
        assert_eq!((outcome, told), (Err("enough"), 3));
    }
}

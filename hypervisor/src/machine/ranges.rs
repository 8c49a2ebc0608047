//! Ranges of physical memory: the firmware's map, and what of it is free to use.
//!
//! The map may be unsorted, overlap itself and start or end inside a page. [`RamRanges`] is
//! what comes out: whole pages that are RAM and nothing else, sorted and disjoint. Where the
//! map contradicts itself, the entry that says "not RAM" wins.

use heapless::Vec;

/// Bytes in a page.
const PAGE: u64 = 4096;
/// Most entries of a firmware map; real ones have up to about forty.
pub const MAX_MAP_ENTRIES: usize = 128;
/// Most ranges of usable memory after everything was cut out.
pub const MAX_RANGES: usize = 128;

/// What a range of the firmware's map is (ACPI specification, section 15, address range types).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// Usable memory.
    Ram,
    /// Not to be touched.
    Reserved,
    /// ACPI tables: memory once they have been read.
    AcpiTables,
    /// Memory that the firmware needs across sleep.
    AcpiNvs,
    /// Broken memory.
    Unusable,
}

impl MemoryKind {
    /// The firmware's number for the kind (`E820_*`).
    pub const fn firmware(self) -> u32 {
        match self {
            Self::Ram => 1,
            Self::Reserved => 2,
            Self::AcpiTables => 3,
            Self::AcpiNvs => 4,
            Self::Unusable => 5,
        }
    }

    /// The kind for the firmware's number; what is unknown is reserved.
    pub const fn from_firmware(number: u32) -> Self {
        match number {
            1 => Self::Ram,
            3 => Self::AcpiTables,
            4 => Self::AcpiNvs,
            5 => Self::Unusable,
            _ => Self::Reserved,
        }
    }
}

/// One entry of the firmware's map, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRange {
    /// First byte.
    pub start: u64,
    /// Byte after the last.
    pub end: u64,
    /// What it is.
    pub kind: MemoryKind,
}

/// The firmware's map of physical memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryMap {
    entries: Vec<MemoryRange, MAX_MAP_ENTRIES>,
    dropped: usize,
}

impl MemoryMap {
    /// Appends an entry; empty ones and those beyond the capacity are dropped.
    pub fn add(&mut self, range: MemoryRange) {
        if range.start < range.end && self.entries.push(range).is_err() {
            self.dropped += 1;
        }
    }

    /// The entries, in the firmware's order.
    pub fn iter(&self) -> impl Iterator<Item = &MemoryRange> {
        self.entries.iter()
    }

    /// Entries that did not fit.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// The whole pages that are RAM, sorted and disjoint.
    pub fn usable_ram(&self) -> RamRanges {
        let mut usable = RamRanges::default();
        let ram = |range: &&MemoryRange| range.kind == MemoryKind::Ram;
        for range in self.iter().filter(ram) {
            usable.add(range.start, range.end);
        }
        for range in self.iter().filter(|range| !ram(range)) {
            usable.remove(range.start, range.end);
        }
        usable
    }
}

/// A range of whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRange {
    /// First byte, page-aligned.
    pub start: u64,
    /// Byte after the last, page-aligned.
    pub end: u64,
}

impl PageRange {
    /// Bytes in the range.
    pub const fn size(&self) -> u64 {
        self.end - self.start
    }
}

/// Disjoint ranges of whole pages, in ascending order.
#[derive(Clone, Debug, Default)]
pub struct RamRanges {
    ranges: Vec<PageRange, MAX_RANGES>,
}

impl RamRanges {
    /// The ranges, lowest first.
    pub fn as_slice(&self) -> &[PageRange] {
        &self.ranges
    }

    /// Bytes in all ranges.
    pub fn total(&self) -> u64 {
        self.ranges.iter().map(PageRange::size).sum()
    }

    /// Byte after the highest range.
    pub fn end(&self) -> u64 {
        self.ranges.last().map_or(0, |range| range.end)
    }

    /// Adds the whole pages within `start..end`, merging with what touches them.
    ///
    /// A range for which there is no room is left out: losing memory is safe.
    pub fn add(&mut self, start: u64, end: u64) {
        let Some(start) = start.checked_next_multiple_of(PAGE) else { return };
        let (mut start, mut end) = (start, end & !(PAGE - 1));
        if start >= end {
            return;
        }
        self.ranges.retain(|range| {
            let apart = range.end < start || end < range.start;
            if !apart {
                start = start.min(range.start);
                end = end.max(range.end);
            }
            apart
        });
        let at = self.ranges.iter().take_while(|range| range.start < start).count();
        let _ = self.ranges.insert(at, PageRange { start, end });
    }

    /// Removes every page that `start..end` touches.
    pub fn remove(&mut self, start: u64, end: u64) {
        let end = end.checked_next_multiple_of(PAGE).unwrap_or(!(PAGE - 1));
        let start = start & !(PAGE - 1);
        if start >= end {
            return;
        }
        let mut at = 0;
        while let Some(range) = self.ranges.get(at).copied() {
            if range.end <= start || end <= range.start {
                at += 1;
                continue;
            }
            self.ranges.remove(at);
            if range.start < start {
                let _ = self.ranges.insert(at, PageRange { start: range.start, end: start });
                at += 1;
            }
            if end < range.end {
                // Without room for the upper part it is lost, which is safe.
                let _ = self.ranges.insert(at, PageRange { start: end, end: range.end });
                at += 1;
            }
        }
    }

    /// Takes `size` bytes (whole pages) at a multiple of `align` from the lowest range that
    /// has them below `limit`, and returns their address.
    pub fn take(&mut self, size: u64, align: u64, limit: u64) -> Option<u64> {
        let size = size.checked_next_multiple_of(PAGE)?;
        let fits = |range: &PageRange| {
            let start = range.start.checked_next_multiple_of(align)?;
            let end = start.checked_add(size)?;
            (end <= range.end && end <= limit).then_some(start)
        };
        let start = self.ranges.iter().find_map(fits)?;
        self.remove(start, start + size);
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec as List;

    fn pages(ranges: &RamRanges) -> List<(u64, u64)> {
        ranges.as_slice().iter().map(|range| (range.start / PAGE, range.end / PAGE)).collect()
    }

    fn of(list: &[(u64, u64)]) -> RamRanges {
        let mut ranges = RamRanges::default();
        for &(start, end) in list {
            ranges.add(start * PAGE, end * PAGE);
        }
        ranges
    }

    #[test]
    fn adding_sorts_and_merges() {
        assert_eq!(pages(&of(&[(8, 9), (1, 2), (4, 5)])), [(1, 2), (4, 5), (8, 9)]);
        assert_eq!(pages(&of(&[(1, 3), (5, 7), (3, 5)])), [(1, 7)]);
        assert_eq!(pages(&of(&[(2, 4), (3, 9), (1, 2)])), [(1, 9)]);
        assert_eq!(pages(&of(&[(2, 2), (9, 3)])), []);
    }

    #[test]
    fn parts_of_pages_do_not_count() {
        let mut ranges = RamRanges::default();
        ranges.add(1, 3 * PAGE - 1);
        assert_eq!(pages(&ranges), [(1, 2)]);
        ranges.add(u64::MAX - 5, u64::MAX);
        assert_eq!(pages(&ranges), [(1, 2)]);
    }

    #[test]
    fn removing_rounds_outwards() {
        let mut ranges = of(&[(0, 10), (20, 30)]);
        ranges.remove(4 * PAGE + 1, 4 * PAGE + 2);
        assert_eq!(pages(&ranges), [(0, 4), (5, 10), (20, 30)]);
        ranges.remove(9 * PAGE, 21 * PAGE);
        assert_eq!(pages(&ranges), [(0, 4), (5, 9), (21, 30)]);
        ranges.remove(0, u64::MAX);
        assert_eq!(pages(&ranges), []);
    }

    #[test]
    fn taking_honours_alignment_and_limit() {
        let mut ranges = of(&[(1, 3), (5, 40)]);
        assert_eq!(ranges.take(2 * PAGE, PAGE, u64::MAX), Some(PAGE));
        assert_eq!(ranges.take(3 * PAGE, 8 * PAGE, u64::MAX), Some(8 * PAGE));
        assert_eq!(pages(&ranges), [(5, 8), (11, 40)]);
        assert_eq!(ranges.take(4 * PAGE, PAGE, 12 * PAGE), None);
        assert_eq!(ranges.take(1, PAGE, 12 * PAGE), Some(5 * PAGE));
    }

    #[test]
    fn what_is_not_ram_wins() {
        let mut map = MemoryMap::default();
        let entry = |start: u64, end: u64, kind| MemoryRange { start, end, kind };
        map.add(entry(0x5000, 0x7000, MemoryKind::Reserved));
        map.add(entry(0, 0x10000, MemoryKind::Ram));
        map.add(entry(0x8000, 0x8010, MemoryKind::AcpiTables));
        assert_eq!(pages(&map.usable_ram()), [(0, 5), (7, 8), (9, 16)]);
        assert_eq!(map.usable_ram().total(), 13 * PAGE);
    }
}

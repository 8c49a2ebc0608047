//! The regions of a process's address space: what may be where, before any page is there.
//!
//! A [`Region`] is a range of whole pages with permissions and a source of contents; pages appear
//! when they are touched. [`Regions`] keeps them sorted and free of overlaps, and cuts them at the
//! edges of what is mapped, unmapped or protected, as `mmap`, `munmap` and `mprotect` do. No machine
//! here: the page tables follow in `mm::space`.

use crate::fs::image::Image;
use alloc::vec::Vec;

/// Bytes of a page.
const PAGE: u32 = 4096;

/// Most regions of an address space: their list is the kernel's memory.
const REGIONS: usize = 1024;

/// What a page shows when it is first touched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Zeroes.
    Zero,
    /// Bytes of a file, of which byte 0 lies at address `at`; zeroes where it has none.
    File {
        /// The bytes.
        bytes: Image,
        /// Address of the first one; need not be in the region, nor page aligned.
        at: u32,
    },
}

/// What a process may do in a region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// Read.
    pub read: bool,
    /// Write.
    pub write: bool,
    /// Execute.
    pub execute: bool,
}

impl Access {
    /// Read and write.
    pub const READ_WRITE: Self = Self { read: true, write: true, execute: false };
    /// Nothing: touching it is a fault.
    pub const NONE: Self = Self { read: false, write: false, execute: false };

    /// Whether every right is missing.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// What a region is for, where that matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Part of a program or a mapping.
    Mapping,
    /// What `brk` grows.
    Heap,
    /// The main stack.
    Stack,
}

/// A range of pages with the same properties.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Region {
    /// First address; a page's.
    pub start: u32,
    /// Address after the last; a page's.
    pub end: u32,
    /// Permissions.
    pub access: Access,
    /// First contents.
    pub source: Source,
    /// Purpose.
    pub kind: Kind,
}

impl Region {
    /// Whether `address` lies in it.
    pub fn contains(&self, address: u32) -> bool {
        self.start <= address && address < self.end
    }

    /// The first contents of the page at `page`, where they can be mapped in place: the initrd is in
    /// memory anyway.
    pub fn lasting_page(&self, page: u32) -> Option<&'static [u8; PAGE as usize]> {
        let Source::File { bytes, at } = &self.source else { return None };
        bytes.lasting_page(page.checked_sub(*at)? as usize)
    }

    /// Writes the first contents of the page at `page` into `contents`, which is zeroed.
    pub fn fill_page(&self, page: u32, contents: &mut [u8; PAGE as usize]) {
        let Source::File { bytes, at } = &self.source else { return };
        let (page, at) = (i64::from(page), i64::from(*at));
        let first = page.max(at);
        let last = (page + i64::from(PAGE)).min(at + bytes.len() as i64);
        if first < last {
            let from = (first - at) as usize..(last - at) as usize;
            let to = (first - page) as usize..(last - page) as usize;
            if let (Some(to), Some(from)) = (contents.get_mut(to), bytes.get(from)) {
                to.copy_from_slice(from);
            }
        }
    }
}

/// All regions of an address space, sorted by address.
#[derive(Clone, Debug, Default)]
pub struct Regions {
    list: Vec<Region>,
}

impl Regions {
    /// None yet.
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Whether there are as many as there may be; a change can add two.
    pub fn is_full(&self) -> bool {
        self.list.len() + 2 > REGIONS
    }

    /// In order of addresses.
    pub fn iter(&self) -> impl Iterator<Item = &Region> {
        self.list.iter()
    }

    /// The region in which `address` lies.
    pub fn find(&self, address: u32) -> Option<&Region> {
        let after = self.list.partition_point(|region| region.start <= address);
        self.list.get(after.checked_sub(1)?).filter(|region| region.contains(address))
    }

    /// The first region that ends above `address`.
    pub fn at_or_above(&self, address: u32) -> Option<&Region> {
        self.list.iter().find(|region| region.end > address)
    }

    /// Whether nothing is in `start..end`.
    pub fn is_free(&self, start: u32, end: u32) -> bool {
        !self.list.iter().any(|region| region.start < end && start < region.end)
    }

    /// Whether all of `start..end` is in regions.
    pub fn covers(&self, start: u32, end: u32) -> bool {
        let mut at = start;
        for region in self.list.iter().filter(|region| region.end > start) {
            if at >= end || region.start > at {
                break;
            }
            at = region.end;
        }
        at >= end
    }

    /// Cuts the region around `at` in two there, if it is inside one.
    fn cut(&mut self, at: u32) {
        let found = self.list.iter().position(|region| region.start < at && at < region.end);
        if let Some(index) = found
            && let Some(region) = self.list.get_mut(index)
        {
            let upper = Region { start: at, ..region.clone() };
            region.end = at;
            self.list.insert(index + 1, upper);
        }
    }

    /// Takes everything out of `start..end` (pages' addresses).
    pub fn remove(&mut self, start: u32, end: u32) {
        self.cut(start);
        self.cut(end);
        self.list.retain(|region| region.end <= start || end <= region.start);
    }

    /// Puts a region in, in place of what was there. Grows a neighbour where the two are alike.
    pub fn insert(&mut self, region: Region) {
        self.remove(region.start, region.end);
        let index = self.list.partition_point(|other| other.start < region.start);
        if region.source == Source::Zero
            && let Some(before) = index.checked_sub(1).and_then(|index| self.list.get_mut(index))
            && before.end == region.start
            && (before.access, &before.source, before.kind)
                == (region.access, &region.source, region.kind)
        {
            before.end = region.end;
            return;
        }
        self.list.insert(index, region);
    }

    /// Changes the permissions of `start..end`.
    pub fn protect(&mut self, start: u32, end: u32, access: Access) {
        self.cut(start);
        self.cut(end);
        for region in &mut self.list {
            if start <= region.start && region.end <= end {
                region.access = access;
            }
        }
    }

    /// The highest free range of `length` bytes (whole pages) within `low..high`.
    pub fn find_free(&self, length: u32, low: u32, high: u32) -> Option<u32> {
        let mut top = high;
        for region in self.list.iter().rev() {
            if region.start >= top {
                continue;
            }
            if region.end <= low {
                break;
            }
            let bottom = region.end.min(top);
            if top - bottom >= length {
                return Some(top - length);
            }
            top = region.start.max(low);
        }
        (top >= low && top - low >= length).then(|| top - length)
    }

    /// Whether the fault at `address` is a stack's that ran over: just below a stack region.
    pub fn is_below_stack(&self, address: u32, reach: u32) -> bool {
        self.list.iter().any(|region| {
            region.kind == Kind::Stack && address < region.start && region.start - address <= reach
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn zero(start: u32, end: u32) -> Region {
        Region { start, end, access: Access::READ_WRITE, source: Source::Zero, kind: Kind::Mapping }
    }

    fn ranges(regions: &Regions) -> Vec<(u32, u32)> {
        regions.iter().map(|region| (region.start, region.end)).collect()
    }

    #[test]
    fn neighbours_grow_together_and_are_cut_again() {
        let mut regions = Regions::new();
        regions.insert(zero(0x1000, 0x3000));
        regions.insert(zero(0x3000, 0x8000));
        assert_eq!(ranges(&regions), vec![(0x1000, 0x8000)]);
        regions.remove(0x4000, 0x5000);
        assert_eq!(ranges(&regions), vec![(0x1000, 0x4000), (0x5000, 0x8000)]);
        assert!(regions.covers(0x1000, 0x4000) && !regions.covers(0x1000, 0x5000));
        assert_eq!(regions.find(0x4000), None);
        assert_eq!(regions.find(0x5000).map(|region| region.start), Some(0x5000));
        assert_eq!(regions.find(0xfff), None);
    }

    #[test]
    fn protecting_the_middle_makes_three() {
        let mut regions = Regions::new();
        regions.insert(zero(0x1000, 0x9000));
        regions.protect(0x3000, 0x5000, Access::NONE);
        assert_eq!(ranges(&regions), vec![(0x1000, 0x3000), (0x3000, 0x5000), (0x5000, 0x9000)]);
        assert!(regions.find(0x4fff).unwrap().access.is_none());
        assert!(regions.covers(0x1000, 0x9000));
        regions.insert(zero(0x2000, 0x6000));
        assert_eq!(ranges(&regions), vec![(0x1000, 0x6000), (0x6000, 0x9000)]);
    }

    #[test]
    fn free_ranges_are_found_from_the_top() {
        let mut regions = Regions::new();
        assert_eq!(regions.find_free(0x1000, 0x1000, 0x9000), Some(0x8000));
        regions.insert(zero(0x7000, 0x9000));
        assert_eq!(regions.find_free(0x1000, 0x1000, 0x9000), Some(0x6000));
        regions.insert(zero(0x5000, 0x6000));
        assert_eq!(regions.find_free(0x2000, 0x1000, 0x9000), Some(0x3000));
        assert_eq!(regions.find_free(0x4000, 0x1000, 0x9000), Some(0x1000));
        assert_eq!(regions.find_free(0x5000, 0x1000, 0x9000), None);
        regions.insert(zero(0x0000, 0x2000));
        assert_eq!(regions.find_free(0x4000, 0x1000, 0x9000), None);
    }

    #[test]
    fn there_are_only_so_many() {
        let mut regions = Regions::new();
        let mut at = 0x1000;
        while !regions.is_full() {
            regions.insert(zero(at, at + 0x1000));
            at += 0x2000;
        }
        regions.remove(0, u32::MAX);
        assert!(!regions.is_full() && regions.iter().count() == 0);
    }

    #[test]
    fn pages_are_filled_from_files_that_start_and_end_anywhere() {
        let bytes: &'static [u8] = &[7; 0x1800];
        let source = Source::File { bytes: Image::lasting(bytes), at: 0x1ff0 };
        let region = Region { source, ..zero(0x1000, 0x5000) };
        let mut page = [0; 4096];
        region.fill_page(0x1000, &mut page);
        assert_eq!(page.iter().filter(|byte| **byte == 7).count(), 16);
        assert_eq!((page[0xfef], page[0xff0]), (0, 7));
        page = [0; 4096];
        region.fill_page(0x3000, &mut page);
        assert_eq!(page.iter().take_while(|byte| **byte == 7).count(), 0x7f0);
        page = [0; 4096];
        region.fill_page(0x4000, &mut page);
        assert_eq!(page, [0; 4096]);
    }

    #[test]
    fn what_is_just_below_a_stack_is_told_apart() {
        let mut regions = Regions::new();
        regions.insert(Region { kind: Kind::Stack, ..zero(0x8000, 0x9000) });
        assert!(regions.is_below_stack(0x7fff, 0x1000));
        assert!(!regions.is_below_stack(0x8000, 0x1000));
        assert!(!regions.is_below_stack(0x1000, 0x1000));
    }
}

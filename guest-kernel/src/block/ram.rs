//! A disk of memory: empty pages take none.
//!
//! Each page has a lock of its own, held while bytes are copied and nothing else is done: a thread
//! that loses the CPU meanwhile keeps others from that page until it has it again.

use super::{Disk, SECTOR, check};
use alloc::boxed::Box;
use alloc::vec::Vec;
use pv_abi::errno::Errno;
use spin::Mutex;

/// Bytes that are taken from the heap at a time.
const PAGE: usize = 4096;

/// A page's bytes. None: all zeroes.
type Page = Option<Box<[u8]>>;

/// The disk.
pub struct RamDisk {
    pages: Box<[Mutex<Page>]>,
    sectors: u64,
    sector_size: u32,
}

impl RamDisk {
    /// A disk of zeroes, `bytes` long, whose own sectors have `sector_size` bytes.
    ///
    /// # Errors
    /// EINVAL: the sector size is none, or the length is no multiple of it; ENOMEM: not even the
    /// list of its pages finds room.
    pub fn new(bytes: u64, sector_size: u32) -> Result<Self, Errno> {
        let fits = (SECTOR..=PAGE).contains(&(sector_size as usize));
        if !fits || !sector_size.is_power_of_two() || !bytes.is_multiple_of(sector_size.into()) {
            return Err(Errno::EINVAL);
        }
        let count = usize::try_from(bytes.div_ceil(PAGE as u64)).map_err(|_| Errno::ENOMEM)?;
        let mut pages = Vec::new();
        pages.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
        pages.resize_with(count, || Mutex::new(None));
        Ok(Self { pages: pages.into(), sectors: bytes / SECTOR as u64, sector_size })
    }

    /// Bytes of memory that its contents take.
    pub fn resident(&self) -> usize {
        self.pages.iter().filter(|page| page.lock().is_some()).count() * PAGE
    }

    /// Calls `f` for each page of a range that was [checked](check): with the page, where in it the
    /// range's part begins, and how long that is.
    fn for_each_part(
        &self,
        sector: u64,
        bytes: usize,
        mut f: impl FnMut(&mut Page, usize, usize) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        // The range lies in the disk, whose pages are counted by a usize.
        let mut at = sector as usize * SECTOR;
        let end = at + bytes;
        while at < end {
            let (page, offset) = (at / PAGE, at % PAGE);
            let length = (PAGE - offset).min(end - at);
            let page = self.pages.get(page).ok_or(Errno::EIO)?;
            f(&mut page.lock(), offset, length)?;
            at += length;
        }
        Ok(())
    }
}

/// A page of zeroes.
fn zeroes() -> Result<Box<[u8]>, Errno> {
    let mut page = Vec::new();
    page.try_reserve_exact(PAGE).map_err(|_| Errno::ENOSPC)?;
    page.resize(PAGE, 0);
    Ok(page.into())
}

impl Disk for RamDisk {
    fn sector_size(&self) -> u32 {
        self.sector_size
    }

    fn sectors(&self) -> u64 {
        self.sectors
    }

    fn read_only(&self) -> bool {
        false
    }

    fn read(&self, sector: u64, into: &mut [u8]) -> Result<(), Errno> {
        check(self, sector, into.len() as u64)?;
        let bytes = into.len();
        let mut rest = into;
        self.for_each_part(sector, bytes, |page, offset, length| {
            let (part, later) = core::mem::take(&mut rest).split_at_mut(length);
            match page {
                Some(page) => part.copy_from_slice(&page[offset..offset + length]),
                None => part.fill(0),
            }
            rest = later;
            Ok(())
        })
    }

    /// Also ENOSPC: no memory is left for it.
    fn write(&self, sector: u64, from: &[u8]) -> Result<(), Errno> {
        check(self, sector, from.len() as u64)?;
        let mut rest = from;
        self.for_each_part(sector, from.len(), |page, offset, length| {
            let (part, later) = rest.split_at(length);
            let page = match page {
                Some(page) => page,
                None => page.insert(zeroes()?),
            };
            page[offset..offset + length].copy_from_slice(part);
            rest = later;
            Ok(())
        })
    }

    fn flush(&self) -> Result<(), Errno> {
        Ok(())
    }

    /// Frees whole pages; what is left reads as zeroes.
    fn discard(&self, sector: u64, count: u64) -> Result<(), Errno> {
        let bytes = count.checked_mul(SECTOR as u64).ok_or(Errno::EIO)?;
        check(self, sector, bytes)?;
        // Within the disk, whose bytes are counted by a usize.
        self.for_each_part(sector, bytes as usize, |page, offset, length| {
            if length == PAGE {
                *page = None;
            } else if let Some(page) = page {
                page[offset..offset + length].fill(0);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::model;
    use proptest::prelude::*;
    use std::vec;

    #[test]
    fn it_is_a_disk_of_whole_sectors() {
        for (bytes, sector_size) in [(4096, 0), (4096, 256), (4096, 1000), (4096, 8192), (100, 512)]
        {
            assert!(RamDisk::new(bytes, sector_size).is_err(), "{bytes} {sector_size}");
        }
        let disk = RamDisk::new(3 * 4096, 4096).expect("fits");
        assert_eq!((disk.sectors(), disk.sector_size(), disk.read_only()), (24, 4096, false));
        assert_eq!(disk.read(0, &mut [0; 512]), Err(Errno::EINVAL));
        assert_eq!(disk.read(1, &mut [0; 4096]), Err(Errno::EINVAL));
        assert_eq!(disk.read(24, &mut [0; 4096]), Err(Errno::EIO));
        assert_eq!(disk.write(16, &[0; 8192]), Err(Errno::EIO));
        assert_eq!(disk.write(u64::MAX - 7, &[0; 8192]), Err(Errno::EIO));
        assert_eq!(disk.discard(0, u64::MAX), Err(Errno::EIO));
        assert_eq!(disk.write(24, &[]), Ok(()), "nothing, at the end");
        assert_eq!(disk.resident(), 0);
    }

    #[test]
    fn discarded_pages_take_no_memory() {
        let disk = RamDisk::new(4 * 4096, 512).expect("fits");
        assert_eq!(disk.write(4, &[7; 3 * 4096]), Ok(()));
        assert_eq!(disk.resident(), 4 * 4096);
        assert_eq!(disk.discard(7, 18), Ok(()));
        assert_eq!(disk.resident(), 2 * 4096);
        let mut all = vec![9; 4 * 4096];
        assert_eq!(disk.read(0, &mut all), Ok(()));
        let mut expected = vec![0; 4 * 4096];
        expected[4 * 512..7 * 512].fill(7);
        expected[25 * 512..28 * 512].fill(7);
        assert!(all == expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_written_is_read(writes in prop::collection::vec((0u64..40, 0usize..12, 1u8..), 1..20)) {
            let disk = RamDisk::new(model::BYTES as u64, 512).expect("fits");
            model::written(&disk, writes);
        }
    }
}

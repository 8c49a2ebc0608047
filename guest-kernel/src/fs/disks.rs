//! Disks as files: bytes at any place, through whole sectors.

use super::file::{BLOCKS, File, Flags, Result, Status, device};
use crate::block::{self, Disk, SECTOR};
use crate::errno::{EINVAL, EIO, ENOSPC, EROFS};
use alloc::sync::Arc;
use alloc::vec;
use ring1::uaccess::write_user;

/// `BLKROGET`: whether it is read-only.
const BLKROGET: u32 = 0x125e;
/// `BLKGETSIZE`: sectors of 512 bytes.
const BLKGETSIZE: u32 = 0x1260;
/// `BLKFLSBUF`: flush.
const BLKFLSBUF: u32 = 0x1261;
/// `BLKSSZGET`: bytes of a sector.
const BLKSSZGET: u32 = 0x1268;
/// `BLKGETSIZE64`: bytes; the size in the number is that of the i386's `size_t`.
const BLKGETSIZE64: u32 = 0x8004_1272;

/// The number that Linux would give a disk of this name: 202 is `xvd`, 254 what comes first of those
/// that it gives out, 1 memory.
pub fn number(name: &str) -> u64 {
    let letter =
        |rest: &str| rest.bytes().next().map_or(0, |byte| u32::from(byte.wrapping_sub(b'a')));
    if let Some(rest) = name.strip_prefix("xvd") {
        device(202, letter(rest) * 16)
    } else if let Some(rest) = name.strip_prefix("vd") {
        device(254, letter(rest) * 16)
    } else {
        let digits = name.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        device(1, digits.parse().unwrap_or(0))
    }
}

/// The disk of a number, as a file.
pub fn open(special: u64) -> Option<Arc<dyn File>> {
    let mut found: Option<Arc<dyn File>> = None;
    block::for_each(|name, disk| {
        if number(name) == special {
            found = Some(Arc::new(DiskFile { disk: Arc::clone(disk), special }));
        }
    });
    found
}

struct DiskFile {
    disk: Arc<dyn Disk>,
    special: u64,
}

impl DiskFile {
    fn bytes(&self) -> u64 {
        self.disk.sectors() * SECTOR as u64
    }

    /// The disk's own sectors that `count` bytes at `at` touch: the first byte of the first, and how
    /// many bytes they have.
    fn around(&self, at: u64, count: usize) -> (u64, usize) {
        let own = u64::from(self.disk.sector_size());
        let start = at - at % own;
        (start, (at + count as u64).next_multiple_of(own).saturating_sub(start) as usize)
    }
}

impl File for DiskFile {
    fn status(&self) -> Result<Status> {
        Ok(Status { special: self.special, ..Status::anonymous(BLOCKS | 0o660) })
    }

    fn read(&self, at: u64, into: &mut [u8], _: Flags) -> Result<usize> {
        let left = usize::try_from(self.bytes().saturating_sub(at)).unwrap_or(usize::MAX);
        let count = left.min(into.len());
        if count == 0 {
            return Ok(0);
        }
        let (start, length) = self.around(at, count);
        let mut sectors = vec![0; length];
        self.disk.read(start / SECTOR as u64, &mut sectors).map_err(|_| EIO)?;
        let from = sectors.get((at - start) as usize..).unwrap_or_default();
        into.iter_mut().take(count).zip(from).for_each(|(to, from)| *to = *from);
        Ok(count)
    }

    fn write(&self, at: u64, from: &[u8], flags: Flags) -> Result<usize> {
        if self.disk.read_only() {
            return Err(EROFS);
        }
        let left = usize::try_from(self.bytes().saturating_sub(at)).unwrap_or(usize::MAX);
        let count = left.min(from.len());
        if count == 0 {
            return if from.is_empty() { Ok(0) } else { Err(ENOSPC) };
        }
        let (start, length) = self.around(at, count);
        let mut sectors = vec![0; length];
        if length != count {
            self.disk.read(start / SECTOR as u64, &mut sectors).map_err(|_| EIO)?;
        }
        let to = sectors.get_mut((at - start) as usize..).unwrap_or_default();
        to.iter_mut().zip(from).take(count).for_each(|(to, from)| *to = *from);
        self.disk.write(start / SECTOR as u64, &sectors).map_err(|_| EIO)?;
        if flags.intersects(Flags::SYNC) {
            self.sync()?;
        }
        Ok(count)
    }

    fn end(&self) -> Option<u64> {
        Some(self.bytes())
    }

    fn sync(&self) -> Result {
        self.disk.flush().map_err(|_| EIO)
    }

    fn ioctl(&self, request: u32, argument: u32) -> Result<u32> {
        let value = match request {
            BLKROGET => u32::from(self.disk.read_only()),
            BLKGETSIZE => u32::try_from(self.disk.sectors()).map_err(|_| crate::errno::EFBIG)?,
            BLKSSZGET => self.disk.sector_size(),
            BLKGETSIZE64 => {
                write_user(argument, &self.bytes())?;
                return Ok(0);
            }
            BLKFLSBUF => return self.sync().map(|()| 0),
            _ => return Err(EINVAL),
        };
        write_user(argument, &value)?;
        Ok(0)
    }
}

//! Disks as files: bytes at any place, through a [`Cache`] that all who have a disk open share.
//!
//! What they write is on the disk when one of them asks for it, when the last of them closes it, or
//! after a while. A file system that is mounted has a cache of its own: who writes to its disk here
//! writes behind its back, and who reads here sees what it has written back.

use super::cache::Cache;
use super::file::{BLOCKS, File, Flags, Result, Status, device};
use super::lock::Mutex;
use super::root;
use crate::block::{self, Disk};
use crate::errno::{EFBIG, EINVAL, EIO, ENOSPC, EROFS};
use ::ext2::{Device, Failed, Order};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use ring1::println;
use ring1::uaccess::write_user;

/// Most bytes of an open disk's cache.
const CACHED: usize = 1 << 20;

/// `BLKROGET`: whether it is read-only.
const BLKROGET: u32 = 0x125e;
/// `BLKGETSIZE`: sectors of 512 bytes.
const BLKGETSIZE: u32 = 0x1260;
/// `BLKFLSBUF`: flush, and forget what is in memory.
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

/// A disk that somebody has open.
struct Opened {
    name: String,
    disk: Arc<dyn Disk>,
    cache: Cache,
}

/// All of them. Whoever opens or closes one has the lock, the last writing included.
static OPENED: Mutex<Vec<Arc<Opened>>> = Mutex::new(Vec::new());

/// The disk of a number, as a file.
pub fn open(special: u64) -> Option<Arc<dyn File>> {
    let mut found = None;
    block::for_each(|name, disk| {
        if number(name) == special {
            found = Some((name.to_string(), Arc::clone(disk)));
        }
    });
    let (name, disk) = found?;
    let mut all = OPENED.lock();
    // Another disk may have come under the same name.
    let known = all.iter().find(|opened| Arc::ptr_eq(&opened.disk, &disk)).map(Arc::clone);
    let opened = known.unwrap_or_else(|| {
        let cache = Cache::new(Arc::clone(&disk), CACHED);
        let opened = Arc::new(Opened { name, disk, cache });
        all.push(Arc::clone(&opened));
        root::start_writing_back();
        opened
    });
    Some(Arc::new(DiskFile { opened, special }))
}

/// Makes what was written to a disk last, if somebody has it open.
///
/// # Errors
/// EIO: some of it cannot be written.
pub fn write_back(disk: &Arc<dyn Disk>) -> Result {
    let all = OPENED.lock();
    let opened = all.iter().find(|opened| Arc::ptr_eq(&opened.disk, disk));
    opened.map_or(Ok(()), |opened| opened.cache.flush().map_err(|Failed| EIO))
}

/// Makes what was written to all disks last.
///
/// # Errors
/// EIO: some of it cannot be written.
pub fn sync() -> Result {
    let all = OPENED.lock();
    let synced = all.iter().map(|opened| opened.cache.flush()).collect::<Vec<_>>();
    synced.into_iter().collect::<core::result::Result<_, _>>().map_err(|_| EIO)
}

/// Writes back what has waited long. That something cannot be written is told to who asks next.
pub fn sync_by_time() {
    for opened in OPENED.lock().iter().filter(|opened| opened.cache.is_dirty()) {
        if opened.cache.flush().is_err() {
            opened.cache.lose();
        }
    }
}

/// One opening of a disk.
struct DiskFile {
    opened: Arc<Opened>,
    special: u64,
}

impl Drop for DiskFile {
    fn drop(&mut self) {
        let mut all = OPENED.lock();
        // The list's and this one.
        if Arc::strong_count(&self.opened) > 2 {
            return;
        }
        let Opened { name, cache, .. } = &*self.opened;
        if cache.is_dirty() && cache.flush().is_err() {
            println!("{name}: what was written to it last is lost");
        }
        all.retain(|opened| !Arc::ptr_eq(opened, &self.opened));
    }
}

impl File for DiskFile {
    fn status(&self) -> Result<Status> {
        Ok(Status { special: self.special, ..Status::anonymous(BLOCKS | 0o660) })
    }

    fn read(&self, at: u64, into: &mut [u8], _: Flags) -> Result<usize> {
        let cache = &self.opened.cache;
        let count = left(cache, at).min(into.len());
        cache.read(at, &mut into[..count]).map_err(|Failed| EIO)?;
        Ok(count)
    }

    fn write(&self, at: u64, from: &[u8], flags: Flags) -> Result<usize> {
        let Opened { disk, cache, .. } = &*self.opened;
        if disk.read_only() {
            return Err(EROFS);
        }
        let count = left(cache, at).min(from.len());
        if count == 0 {
            return if from.is_empty() { Ok(0) } else { Err(ENOSPC) };
        }
        cache.write(at, &from[..count], Order::Contents).map_err(|Failed| EIO)?;
        if flags.intersects(Flags::SYNC) {
            self.sync()?;
        }
        Ok(count)
    }

    fn end(&self) -> Option<u64> {
        Some(self.opened.cache.bytes())
    }

    fn sync(&self) -> Result {
        self.opened.cache.flush().map_err(|Failed| EIO)
    }

    fn ioctl(&self, request: u32, argument: u32) -> Result<u32> {
        let Opened { disk, cache, .. } = &*self.opened;
        let value = match request {
            BLKROGET => u32::from(disk.read_only()),
            BLKGETSIZE => u32::try_from(disk.sectors()).map_err(|_| EFBIG)?,
            BLKSSZGET => disk.sector_size(),
            BLKGETSIZE64 => {
                write_user(argument, &cache.bytes())?;
                return Ok(0);
            }
            BLKFLSBUF => return cache.forget().map(|()| 0).map_err(|Failed| EIO),
            _ => return Err(EINVAL),
        };
        write_user(argument, &value)?;
        Ok(0)
    }
}

/// Bytes from `at` to the end of a disk.
fn left(cache: &Cache, at: u64) -> usize {
    usize::try_from(cache.bytes().saturating_sub(at)).unwrap_or(usize::MAX)
}

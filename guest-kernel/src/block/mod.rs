//! Block devices: what file systems and back ends read and write, by name.
//!
//! A [`Disk`] is a row of sectors. Its calls wait until they are done, so they are for kernel
//! threads; several threads may be in one disk at a time, and each disk has as many requests under way.
//! Whoever drives a device [`register`]s its disk under the name that Linux would give it; whoever
//! wants a disk [`find`]s it by that name:
//!
//! | name | is | where |
//! |---|---|---|
//! | `vda`, `vdb`, … | a virtio disk ([`drives`]) | domain 0 |
//! | `vda1`, … | its partitions ([`partitions`]) | domain 0 |
//! | `xvda`, … | a disk of another domain's, through its back end ([`front`]) | any domain |
//! | `ram0`, … | memory ([`ram`]) | any domain |
//!
//! What stands behind a disk that a domain gives to another ([`back`]) is one of these, too
//! ([`backing`]), or a [`file`](mod@file); a virtio disk's queue is used directly then, for many things at a time.
//!
//! **Sectors** are of 512 bytes in every number of this module, whatever the disk's own
//! [sector size](Disk::sector_size) is; a range that does not begin and end at sectors of the disk's
//! own is EINVAL, one that ends behind the disk's end is EIO and reaches nothing.

pub mod file;
#[cfg(test)]
mod model;
pub mod names;
pub mod partitions;
pub mod ram;
pub mod registry;
pub mod sum;

#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod back;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod backing;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod drives;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod front;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod mailbox;

use pv_abi::errno::Errno;

#[cfg(all(target_os = "none", target_arch = "x86"))]
pub use registry::{find, for_each, register, remove, wait_for};

/// Bytes of a sector, as sectors are counted here and in Xen's and virtio's protocols.
pub const SECTOR: usize = 512;

/// A row of sectors. Calls wait until they are done.
pub trait Disk: Send + Sync {
    /// Bytes of the disk's own sectors: a power of two, 512 at least. Ranges are whole ones.
    fn sector_size(&self) -> u32;

    /// How many sectors of 512 bytes there are.
    fn sectors(&self) -> u64;

    /// Whether it cannot be written.
    fn read_only(&self) -> bool;

    /// Reads from `sector` on, until `into` is full.
    ///
    /// # Errors
    /// EINVAL, EIO: the range ([`check`]); EIO: the device.
    fn read(&self, sector: u64, into: &mut [u8]) -> Result<(), Errno>;

    /// Writes all of `from`, from `sector` on. It lasts once [`flush`](Disk::flush) has returned.
    ///
    /// # Errors
    /// EROFS: it cannot be written; else as [`read`](Disk::read).
    fn write(&self, sector: u64, from: &[u8]) -> Result<(), Errno>;

    /// Returns when all that was written before lasts.
    ///
    /// # Errors
    /// EIO: some of it may be lost.
    fn flush(&self) -> Result<(), Errno>;

    /// Gives up what `count` sectors of 512 bytes hold: they read as anything until they are
    /// written again. A hint, which may be for nothing.
    ///
    /// # Errors
    /// EOPNOTSUPP: the disk does not do that; else as [`write`](Disk::write).
    fn discard(&self, sector: u64, count: u64) -> Result<(), Errno> {
        let _ = (sector, count);
        Err(Errno::EOPNOTSUPP)
    }
}

/// Whether `bytes` bytes from `sector` on are whole sectors of the disk.
///
/// # Errors
/// EINVAL: not whole ones; EIO: they end behind the disk's end.
pub fn check(disk: &(impl Disk + ?Sized), sector: u64, bytes: u64) -> Result<(), Errno> {
    let own = u64::from(disk.sector_size());
    let begins = sector.checked_mul(SECTOR as u64).ok_or(Errno::EIO)?;
    if !begins.is_multiple_of(own) || !bytes.is_multiple_of(own) {
        return Err(Errno::EINVAL);
    }
    let end = sector.checked_add(bytes / SECTOR as u64).ok_or(Errno::EIO)?;
    if end <= disk.sectors() { Ok(()) } else { Err(Errno::EIO) }
}

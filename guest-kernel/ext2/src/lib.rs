//! The ext2 file system, read and written.
//!
//! **Why ext2.** The guest kernel needs one file system that it can write. Linux mounts this one, and
//! e2fsprogs makes, checks, mends and prints it, so that what is written here is judged by others.
//! It is small enough to be held in one's head: a volume is a row of blocks in groups, each with a
//! bitmap of its blocks, one of its inodes, and a table of inodes; an inode has twelve pointers to
//! blocks, and three to blocks of pointers, of pointers to those, and once more. FAT knows neither
//! permissions nor links; ext3's journal would save a check after a crash, for twice the writes, in
//! domains whose disks are small.
//!
//! **What of it.** Revision 1 (and 0, read-only) with blocks of 1, 2 or 4 KiB; `filetype`, `sparse_super`,
//! `large_file`. An incompatible feature that is not known is refused; one that is only compatible
//! for reading makes the volume read-only. Directories with an index (`dir_index`) are read and
//! written as the lists of entries that they are, too; the index is dropped when one is changed.
//!
//! **When it is interrupted.** Nothing is on the disk for certain before [`Ext2::sync`] returns;
//! everything is, then. What is written goes out in two parts ([`Order`]), file contents, directories
//! and blocks of pointers before inodes, bitmaps and counts, so a pointer never reaches the disk before
//! what it points to. A block or inode that is freed is not used again before the next `sync`: a file
//! that an interruption brings back still has its own contents. So `e2fsck` mends what it finds
//! afterwards without touching what was synced; a file that was under way from one directory to
//! another may be found in `lost+found`. From mounting to unmounting the superblock says "not clean".
//!
//! **Damage.** Nothing that is read is trusted: numbers are checked against the volume's limits, sums
//! cannot wrap, no loop is longer than the volume is large. What cannot be is
//! [`Error::Corrupt`], never a panic.
//!
//! The crate has no clock, no cache and no locks: [`Ext2::set_time`] says what time it is, the
//! [`Device`] keeps what is read often, and `&mut self` is the lock.
//!
//! Layouts: Linux, `Documentation/filesystems/ext2.rst` and `fs/ext2/ext2.h`; Dave Poirier, "The Second
//! Extended File System".
#![no_std]
#[cfg(test)]
extern crate std;

extern crate alloc;

mod allocate;
mod bytes;
mod device;
mod directory;
mod error;
mod file;
mod free;
mod inode;
mod map;
mod names;
mod runs;
mod superblock;
mod volume;

pub use device::{Device, Failed, Order};
pub use directory::Entry;
pub use error::Error;
pub use inode::{Change, Inode, Kind};
pub use volume::{Ext2, Space};

/// The number of the root directory's inode.
pub const ROOT: u32 = 2;
/// Longest name, bytes.
pub const NAME_MAX: usize = 255;

/// The result of an operation.
pub type Result<T = ()> = core::result::Result<T, Error>;

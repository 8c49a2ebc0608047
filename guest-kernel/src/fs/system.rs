//! What a file system does for the tree of names: operations on inodes, by their numbers.
//!
//! A number stays valid while somebody uses it: the tree counts users, and says
//! [`forget`](FileSystem::forget) when a file's last user has gone, so that one without a name goes,
//! too. Bodies given here are those of a file system that is only read.

use super::file::{Entry, File, Result, Status};
use crate::errno::{EINVAL, EROFS};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Longest name, bytes.
pub const NAME_MAX: usize = 255;

/// What `statfs` tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Space {
    /// `f_type`.
    pub magic: u32,
    /// Bytes of a block.
    pub block: u32,
    /// Blocks.
    pub blocks: u64,
    /// Free ones.
    pub free_blocks: u64,
    /// Files that there can be.
    pub files: u64,
    /// How many more.
    pub free_files: u64,
}

/// What `chmod`, `chown` and `utime` change; None: stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// Permissions: twelve bits.
    pub permissions: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Last read, seconds since 1970.
    pub accessed: Option<u32>,
    /// Last written, seconds since 1970.
    pub modified: Option<u32>,
}

/// A file system.
pub trait FileSystem: Send + Sync {
    /// What `mount` calls it.
    fn kind(&self) -> &'static str;

    /// The number of its root directory.
    fn root(&self) -> u64;

    /// Whether nothing can be written.
    fn is_read_only(&self) -> bool {
        true
    }

    /// What `stat` tells, but for the device.
    fn status(&self, inode: u64) -> Result<Status>;

    /// What has this name in a directory; `..` is a name, too, but in the root.
    fn lookup(&self, directory: u64, name: &[u8]) -> Result<u64>;

    /// As [`File::entries`].
    fn entries(
        &self,
        directory: u64,
        from: u64,
        emit: &mut dyn FnMut(&Entry<'_>) -> bool,
    ) -> Result;

    /// As [`File::read`], of a regular file.
    fn read(&self, inode: u64, at: u64, into: &mut [u8]) -> Result<usize>;

    /// Where a symbolic link leads.
    fn read_link(&self, inode: u64) -> Result<Vec<u8>>;

    /// What opening it gives, where that is not the file's bytes.
    fn open(&self, inode: u64) -> Result<Option<Arc<dyn File>>> {
        let _ = inode;
        Ok(None)
    }

    /// The bytes of a file, if they lie in memory for good.
    fn lasting(&self, inode: u64) -> Option<&'static [u8]> {
        let _ = inode;
        None
    }

    /// As [`File::write`], of a regular file.
    fn write(&self, inode: u64, at: u64, from: &[u8]) -> Result<usize> {
        let _ = (inode, at, from);
        Err(EROFS)
    }

    /// Sets the length of a regular file.
    fn truncate(&self, inode: u64, length: u64) -> Result {
        let _ = (inode, length);
        Err(EROFS)
    }

    /// Makes a file of type and permissions `mode`; which device, for devices.
    fn create(&self, directory: u64, name: &[u8], mode: u32, special: u64) -> Result<u64> {
        let _ = (directory, name, mode, special);
        Err(EROFS)
    }

    /// Makes a symbolic link.
    fn symlink(&self, directory: u64, name: &[u8], target: &[u8]) -> Result<u64> {
        let _ = (directory, name, target);
        Err(EROFS)
    }

    /// Gives a file one more name.
    fn link(&self, inode: u64, directory: u64, name: &[u8]) -> Result {
        let _ = (inode, directory, name);
        Err(EROFS)
    }

    /// Takes a name away from what is no directory. What had it.
    fn unlink(&self, directory: u64, name: &[u8]) -> Result<u64> {
        let _ = (directory, name);
        Err(EROFS)
    }

    /// Removes an empty directory. What it was.
    fn remove_directory(&self, directory: u64, name: &[u8]) -> Result<u64> {
        let _ = (directory, name);
        Err(EROFS)
    }

    /// Gives a file another name. What had that before.
    fn rename(&self, from: u64, name: &[u8], to: u64, new_name: &[u8]) -> Result<Option<u64>> {
        let _ = (from, name, to, new_name);
        Err(EROFS)
    }

    /// Changes permissions, owner, times.
    fn change(&self, inode: u64, change: &Change) -> Result {
        let _ = (inode, change);
        Err(EROFS)
    }

    /// Nobody uses this inode any more.
    fn forget(&self, inode: u64) {
        let _ = inode;
    }

    /// Returns when all changes last.
    fn sync(&self) -> Result {
        Ok(())
    }

    /// Makes changes last because time has passed. That it failed is told to the next who asks.
    fn sync_by_time(&self) {}

    /// Makes all changes last, and takes no more.
    fn unmount(&self) -> Result {
        self.sync()
    }

    /// How full it is.
    fn space(&self) -> Space {
        Space::default()
    }
}

/// Whether a name can be given.
pub fn check_name(name: &[u8]) -> Result {
    match name {
        b"" | b"." | b".." => Err(EINVAL),
        name if name.len() > NAME_MAX => Err(crate::errno::ENAMETOOLONG),
        _ => Ok(()),
    }
}

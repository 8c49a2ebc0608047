//! ext2 in the tree of names, over the cache of its disk.

use super::cache::Cache;
use super::file::{Entry, Result, Status, device, device_numbers};
use super::lock::Mutex;
use super::system::{Change, FileSystem, Space};
use crate::block::Disk;
use crate::errno::{
    EEXIST, EFBIG, EINVAL, EIO, EISDIR, EMLINK, ENAMETOOLONG, ENOENT, ENOSPC, ENOTDIR, ENOTEMPTY,
    EROFS, EUCLEAN,
};
use crate::shell::kernel::Errno;
use ::ext2::{Error, Ext2, Kind, ROOT};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// `EXT2_SUPER_MAGIC`.
const MAGIC: u32 = 0xef53;

impl From<Error> for Errno {
    fn from(error: Error) -> Self {
        match error {
            Error::Device => EIO,
            Error::Corrupt(_) => EUCLEAN,
            Error::Unknown(_) | Error::Invalid => EINVAL,
            Error::ReadOnly => EROFS,
            Error::Full => ENOSPC,
            Error::Missing => ENOENT,
            Error::Exists => EEXIST,
            Error::NotDirectory => ENOTDIR,
            Error::IsDirectory => EISDIR,
            Error::NotEmpty => ENOTEMPTY,
            Error::TooLarge => EFBIG,
            Error::NameTooLong => ENAMETOOLONG,
            Error::TooManyLinks => EMLINK,
        }
    }
}

/// A mounted ext2 volume.
pub struct Volume {
    volume: Mutex<Ext2<Cache>>,
    writable: bool,
    clock: fn() -> u32,
}

/// An inode's number, which the tree has in 64 bits.
fn number(inode: u64) -> Result<u32> {
    u32::try_from(inode).map_err(|_| EUCLEAN)
}

fn kind(mode: u32) -> Result<Kind> {
    Kind::from_mode(mode).ok_or(EINVAL)
}

impl Volume {
    /// Mounts the volume on a disk: with a cache of at most `memory` bytes, for writing if that is
    /// wanted and possible. `clock`: the time, seconds since 1970.
    ///
    /// # Errors
    /// EINVAL: not an ext2 volume that this kernel knows. EUCLEAN: it is damaged. EIO.
    pub fn mount(
        disk: Arc<dyn Disk>,
        writable: bool,
        memory: usize,
        clock: fn() -> u32,
    ) -> Result<Self> {
        let (writable, sector) = (writable && !disk.read_only(), disk.sector_size());
        // Looked at first: mounting for writing leaves a mark.
        let view = Ext2::mount(Cache::new(Arc::clone(&disk), 0), false, clock())?;
        if view.space().block < sector {
            return Err(EINVAL);
        }
        let volume = Ext2::mount(Cache::new(disk, memory), writable, clock())?;
        let writable = volume.is_writable();
        Ok(Self { volume: Mutex::new(volume), writable, clock })
    }

    /// Whether it was unmounted in order the last time.
    pub fn was_clean(&self) -> bool {
        self.volume.lock().was_clean()
    }

    /// Lends the volume to `f`, which is to happen now.
    fn with<R>(&self, f: impl FnOnce(&mut Ext2<Cache>) -> ::ext2::Result<R>) -> Result<R> {
        let mut volume = self.volume.lock();
        volume.set_time((self.clock)());
        Ok(f(&mut volume)?)
    }
}

impl FileSystem for Volume {
    fn kind(&self) -> &'static str {
        "ext2"
    }

    fn root(&self) -> u64 {
        u64::from(ROOT)
    }

    fn is_read_only(&self) -> bool {
        !self.writable
    }

    fn status(&self, inode: u64) -> Result<Status> {
        let volume = self.volume.lock();
        let inode = volume.inode(number(inode)?)?;
        let special = match inode.kind() {
            Some(Kind::Characters | Kind::Blocks) => {
                let (major, minor) = inode.special();
                device(major, minor)
            }
            _ => 0,
        };
        Ok(Status {
            inode: u64::from(inode.number),
            mode: u32::from(inode.mode),
            links: u32::from(inode.links),
            uid: inode.uid,
            gid: inode.gid,
            special,
            size: inode.size,
            blocks: u64::from(inode.sectors),
            block_size: volume.space().block,
            accessed: inode.accessed,
            modified: inode.modified,
            changed: inode.changed,
            ..Status::anonymous(0)
        })
    }

    fn lookup(&self, directory: u64, name: &[u8]) -> Result<u64> {
        let directory = number(directory)?;
        self.with(|volume| volume.lookup(directory, name)).map(u64::from)
    }

    fn entries(
        &self,
        directory: u64,
        from: u64,
        emit: &mut dyn FnMut(&Entry<'_>) -> bool,
    ) -> Result {
        let directory = number(directory)?;
        self.with(|volume| {
            volume.entries(directory, from, &mut |entry| {
                emit(&Entry {
                    name: entry.name,
                    inode: u64::from(entry.inode),
                    kind: entry.kind.map_or(0, Kind::mode),
                    next: entry.next,
                })
            })
        })
    }

    fn read(&self, inode: u64, at: u64, into: &mut [u8]) -> Result<usize> {
        let inode = number(inode)?;
        self.with(|volume| volume.read(inode, at, into))
    }

    fn read_link(&self, inode: u64) -> Result<Vec<u8>> {
        let inode = number(inode)?;
        self.with(|volume| volume.read_link(inode))
    }

    fn write(&self, inode: u64, at: u64, from: &[u8]) -> Result<usize> {
        let inode = number(inode)?;
        self.with(|volume| volume.write(inode, at, from))
    }

    fn truncate(&self, inode: u64, length: u64) -> Result {
        let inode = number(inode)?;
        self.with(|volume| volume.truncate(inode, length))
    }

    fn create(&self, directory: u64, name: &[u8], mode: u32, special: u64) -> Result<u64> {
        let (directory, kind) = (number(directory)?, kind(mode)?);
        let special = device_numbers(special);
        self.with(|volume| volume.create(directory, name, kind, mode & 0o7777, special))
            .map(u64::from)
    }

    fn symlink(&self, directory: u64, name: &[u8], target: &[u8]) -> Result<u64> {
        let directory = number(directory)?;
        self.with(|volume| volume.symlink(directory, name, target)).map(u64::from)
    }

    fn link(&self, inode: u64, directory: u64, name: &[u8]) -> Result {
        let (inode, directory) = (number(inode)?, number(directory)?);
        self.with(|volume| volume.link(inode, directory, name))
    }

    fn unlink(&self, directory: u64, name: &[u8]) -> Result<u64> {
        let directory = number(directory)?;
        self.with(|volume| volume.unlink(directory, name)).map(u64::from)
    }

    fn remove_directory(&self, directory: u64, name: &[u8]) -> Result<u64> {
        let directory = number(directory)?;
        self.with(|volume| volume.remove_directory(directory, name)).map(u64::from)
    }

    fn rename(&self, from: u64, name: &[u8], to: u64, new_name: &[u8]) -> Result<Option<u64>> {
        let (from, to) = (number(from)?, number(to)?);
        let replaced = self.with(|volume| volume.rename(from, name, to, new_name))?;
        Ok(replaced.map(u64::from))
    }

    fn change(&self, inode: u64, change: &Change) -> Result {
        let inode = number(inode)?;
        let change = ::ext2::Change {
            permissions: change.permissions,
            uid: change.uid,
            gid: change.gid,
            accessed: change.accessed,
            modified: change.modified,
        };
        self.with(|volume| volume.change(inode, &change))
    }

    fn forget(&self, inode: u64) {
        let Ok(inode) = number(inode) else { return };
        if let Err(error) = self.with(|volume| volume.forget(inode)) {
            log::warn!("ext2: inode {inode} is not freed: {error}");
        }
    }

    fn sync(&self) -> Result {
        self.with(Ext2::sync)
    }

    fn sync_by_time(&self) {
        let failed = self.with(|volume| match volume.device().is_dirty() {
            true => volume.sync(),
            false => Ok(()),
        });
        if failed.is_err() {
            self.volume.lock().device().lose();
        }
    }

    fn unmount(&self) -> Result {
        self.with(Ext2::unmount)
    }

    fn space(&self) -> Space {
        let space = self.volume.lock().space();
        Space {
            magic: MAGIC,
            block: space.block,
            blocks: u64::from(space.blocks),
            free_blocks: u64::from(space.free_blocks),
            files: u64::from(space.inodes),
            free_files: u64::from(space.free_inodes),
        }
    }
}

//! ext4, and ext3, read: by the crate `ext4-view`, over the cache of the disk.
//!
//! The crate knows files by their paths and may not be shared among tasks. So a number here is that
//! of a path that was seen, and each operation makes a view of its own, out of what the cache has. That
//! is slower than ext2, which is what one writes; this is for looking at what others wrote. A volume
//! that was not unmounted in order shows what its journal says.

use super::cache::Cache;
use super::file::{
    BLOCKS, CHARACTERS, DIRECTORY, Entry, FIFO, LINK, REGULAR, Result, SOCKET, Status,
};
use super::lock::Mutex;
use super::system::{FileSystem, Space};
use crate::block::Disk;
use crate::errno::{EINVAL, EIO, EISDIR, ENAMETOOLONG, ENOENT, ENOTDIR, EUCLEAN};
use crate::shell::kernel::Errno;
use ::ext2::{Device, Failed};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use ext4_view::{Ext4, Ext4Error, Ext4Read, FileType};

/// `EXT4_SUPER_MAGIC`.
const MAGIC: u32 = 0xef53;
/// The root's number: its path is the first that is seen.
const ROOT: u64 = 1;

impl From<Ext4Error> for Errno {
    fn from(error: Ext4Error) -> Self {
        match error {
            Ext4Error::NotFound => ENOENT,
            Ext4Error::IsADirectory => EISDIR,
            Ext4Error::NotADirectory => ENOTDIR,
            Ext4Error::NotASymlink | Ext4Error::IsASpecialFile => EINVAL,
            Ext4Error::MalformedPath | Ext4Error::PathTooLong => ENAMETOOLONG,
            Ext4Error::Io(_) => EIO,
            _ => EUCLEAN,
        }
    }
}

/// The disk cannot be read.
#[derive(Debug)]
struct ReadFailed;

impl fmt::Display for ReadFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the disk cannot be read")
    }
}

impl core::error::Error for ReadFailed {}

/// The cache as the crate reads it.
struct Reader(Arc<Cache>);

impl Ext4Read for Reader {
    fn read(
        &mut self,
        at: u64,
        into: &mut [u8],
    ) -> core::result::Result<(), Box<dyn core::error::Error + Send + Sync>> {
        self.0.read(at, into).map_err(|Failed| ReadFailed.into())
    }
}

/// Paths by number, and numbers by path.
struct Paths {
    list: Vec<Vec<u8>>,
    numbers: BTreeMap<Vec<u8>, u64>,
}

impl Paths {
    fn number(&mut self, path: Vec<u8>) -> u64 {
        if let Some(number) = self.numbers.get(&path) {
            return *number;
        }
        self.list.push(path.clone());
        let number = self.list.len() as u64;
        self.numbers.insert(path, number);
        number
    }
}

/// A mounted ext4 volume.
pub struct View {
    cache: Arc<Cache>,
    paths: Mutex<Paths>,
}

fn child(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match directory {
        b"/" => [b"/", name].concat(),
        _ => [directory, b"/", name].concat(),
    }
}

fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        None | Some(0) => b"/",
        Some(slash) => path.get(..slash).unwrap_or(b"/"),
    }
}

fn mode(kind: FileType) -> u32 {
    match kind {
        FileType::BlockDevice => BLOCKS,
        FileType::CharacterDevice => CHARACTERS,
        FileType::Directory => DIRECTORY,
        FileType::Fifo => FIFO,
        FileType::Regular => REGULAR,
        FileType::Socket => SOCKET,
        FileType::Symlink => LINK,
    }
}

impl View {
    /// Mounts the volume on a disk, with a cache of at most `memory` bytes.
    ///
    /// # Errors
    /// EINVAL: not a volume that the crate knows.
    pub fn mount(disk: Arc<dyn Disk>, memory: usize) -> Result<Self> {
        let paths = Paths { list: Vec::new(), numbers: BTreeMap::new() };
        let view = Self { cache: Arc::new(Cache::new(disk, memory)), paths: Mutex::new(paths) };
        view.paths.lock().number(b"/".to_vec());
        view.view().map_err(|_| EINVAL)?;
        Ok(view)
    }

    fn view(&self) -> Result<Ext4> {
        Ok(Ext4::load(Box::new(Reader(Arc::clone(&self.cache))))?)
    }

    fn path(&self, inode: u64) -> Result<Vec<u8>> {
        let index =
            usize::try_from(inode).ok().and_then(|inode| inode.checked_sub(1)).ok_or(ENOENT)?;
        self.paths.lock().list.get(index).cloned().ok_or(ENOENT)
    }
}

impl FileSystem for View {
    fn kind(&self) -> &'static str {
        "ext4"
    }

    fn root(&self) -> u64 {
        ROOT
    }

    fn status(&self, inode: u64) -> Result<Status> {
        let metadata = self.view()?.symlink_metadata(self.path(inode)?.as_slice())?;
        let seconds = |time: ext4_view::Timestamp| u32::try_from(time.seconds()).unwrap_or(0);
        let kind = mode(metadata.file_type());
        Ok(Status {
            inode,
            mode: kind | u32::from(metadata.mode()),
            links: if kind == DIRECTORY { 2 } else { 1 },
            uid: metadata.uid(),
            gid: metadata.gid(),
            size: metadata.len(),
            blocks: metadata.len().div_ceil(512),
            accessed: seconds(metadata.accessed()),
            modified: seconds(metadata.modified()),
            changed: seconds(metadata.modified()),
            ..Status::anonymous(0)
        })
    }

    fn lookup(&self, directory: u64, name: &[u8]) -> Result<u64> {
        let directory = self.path(directory)?;
        let path = match name {
            b".." => parent(&directory).to_vec(),
            name => child(&directory, name),
        };
        self.view()?.symlink_metadata(path.as_slice())?;
        Ok(self.paths.lock().number(path))
    }

    fn entries(
        &self,
        directory: u64,
        from: u64,
        emit: &mut dyn FnMut(&Entry<'_>) -> bool,
    ) -> Result {
        let path = self.path(directory)?;
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        for (index, entry) in self.view()?.read_dir(path.as_slice())?.enumerate().skip(from) {
            let entry = entry?;
            let name = entry.file_name();
            let target = match name.as_ref() {
                b"." => path.clone(),
                b".." => parent(&path).to_vec(),
                name => child(&path, name),
            };
            let inode = self.paths.lock().number(target);
            let kind = entry.file_type().map_or(0, mode);
            if !emit(&Entry { name: name.as_ref(), inode, kind, next: index as u64 + 1 }) {
                break;
            }
        }
        Ok(())
    }

    fn read(&self, inode: u64, at: u64, into: &mut [u8]) -> Result<usize> {
        let mut file = self.view()?.open(self.path(inode)?.as_slice())?;
        file.seek_to(at)?;
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match file.read_bytes(rest)? {
                0 => break,
                count => done += count,
            }
        }
        Ok(done)
    }

    fn read_link(&self, inode: u64) -> Result<Vec<u8>> {
        let target = self.view()?.read_link(self.path(inode)?.as_slice())?;
        Ok(target.as_ref().to_vec())
    }

    fn space(&self) -> Space {
        let blocks = self.cache.bytes() / 4096;
        Space { magic: MAGIC, block: 4096, blocks, ..Space::default() }
    }
}

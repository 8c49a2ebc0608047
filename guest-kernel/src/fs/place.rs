//! Places of the tree: an inode of a mounted file system, which stays while somebody has its place.

use super::file::{Contents, Entry, File, Flags, REGULAR, Result, Status, TYPE};
use super::image::{self, Image};
use super::lock::{Guard, Mutex};
use super::system::FileSystem;
use crate::errno::{EACCES, EROFS};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;

/// A mounted file system.
pub struct Mount {
    /// Its number, and that of its device as `stat` tells it.
    pub number: u32,
    /// The file system.
    pub system: Arc<dyn FileSystem>,
    /// The directory that it hides. None: it is the root.
    pub on: Option<Place>,
    /// The path of that directory when it was mounted.
    pub path: String,
    /// What is mounted, as `/proc/mounts` names it.
    pub source: String,
    /// Mounted so that it cannot be written.
    pub read_only: bool,
    /// How many places there are of each inode. Held, too, while an inode that was found by name gets
    /// a place, or loses its name: else it could go between.
    users: Mutex<BTreeMap<u64, u32>>,
}

impl Mount {
    /// A mount, without places yet.
    pub fn new(
        number: u32,
        system: Arc<dyn FileSystem>,
        on: Option<Place>,
        path: &str,
        source: &str,
        read_only: bool,
    ) -> Self {
        let read_only = read_only || system.is_read_only();
        let users = Mutex::new(BTreeMap::new());
        let (path, source) = (path.into(), source.into());
        Self { number, system, on, path, source, read_only, users }
    }

    /// Whether anybody uses anything of it.
    pub fn is_busy(&self) -> bool {
        !self.users.lock().is_empty()
    }

    /// Fails if it cannot be written.
    pub fn must_be_writable(&self) -> Result {
        if self.read_only { Err(EROFS) } else { Ok(()) }
    }
}

/// An inode of a mount.
pub struct Place {
    /// The mount.
    pub mount: Arc<Mount>,
    /// The inode's number.
    pub inode: u64,
}

impl Place {
    /// The root of a mount.
    pub fn root(mount: &Arc<Mount>) -> Self {
        Self::of(mount, &mut mount.users.lock(), mount.system.root())
    }

    fn of(mount: &Arc<Mount>, users: &mut BTreeMap<u64, u32>, inode: u64) -> Self {
        *users.entry(inode).or_insert(0) += 1;
        Self { mount: Arc::clone(mount), inode }
    }

    fn users(&self) -> Guard<'_, BTreeMap<u64, u32>> {
        self.mount.users.lock()
    }

    /// What has a name in this directory, in its own file system.
    pub fn lookup(&self, name: &[u8]) -> Result<Self> {
        let mut users = self.users();
        let inode = self.mount.system.lookup(self.inode, name)?;
        Ok(Self::of(&self.mount, &mut users, inode))
    }

    /// Makes something in this directory: `make` gives its inode.
    pub fn make(&self, make: impl FnOnce(&dyn FileSystem, u64) -> Result<u64>) -> Result<Self> {
        self.mount.must_be_writable()?;
        let mut users = self.users();
        let inode = make(&*self.mount.system, self.inode)?;
        Ok(Self::of(&self.mount, &mut users, inode))
    }

    /// Does what takes a name from an inode, which it returns: that one goes unless it is in use.
    pub fn take_name(
        &self,
        take: impl FnOnce(&dyn FileSystem, u64) -> Result<Option<u64>>,
    ) -> Result {
        self.mount.must_be_writable()?;
        let users = self.users();
        if let Some(inode) = take(&*self.mount.system, self.inode)?
            && !users.contains_key(&inode)
        {
            self.mount.system.forget(inode);
        }
        Ok(())
    }

    /// What `stat` tells.
    pub fn status(&self) -> Result<Status> {
        let status = self.mount.system.status(self.inode)?;
        Ok(Status { device: u64::from(self.mount.number), ..status })
    }

    /// Whether it is the root of its mount.
    pub fn is_root(&self) -> bool {
        self.inode == self.mount.system.root()
    }

    /// Whether both are the same.
    pub fn is(&self, other: &Self) -> bool {
        self.inode == other.inode && self.mount.number == other.mount.number
    }
}

impl Clone for Place {
    fn clone(&self) -> Self {
        Self::of(&self.mount, &mut self.users(), self.inode)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = self.users();
        if let Some(count) = users.get_mut(&self.inode) {
            *count -= 1;
            if *count == 0 {
                users.remove(&self.inode);
                self.mount.system.forget(self.inode);
            }
        }
    }
}

/// A file of a file system, open.
pub struct PlaceFile(pub Place);

impl PlaceFile {
    fn system(&self) -> &dyn FileSystem {
        &*self.0.mount.system
    }
}

impl File for PlaceFile {
    fn status(&self) -> Result<Status> {
        self.0.status()
    }

    fn read(&self, at: u64, into: &mut [u8], _: Flags) -> Result<usize> {
        self.system().read(self.0.inode, at, into)
    }

    fn write(&self, at: u64, from: &[u8], flags: Flags) -> Result<usize> {
        self.0.mount.must_be_writable()?;
        image::forget(self.0.mount.number, self.0.inode);
        let count = self.system().write(self.0.inode, at, from)?;
        if flags.intersects(Flags::SYNC) {
            self.system().sync()?;
        }
        Ok(count)
    }

    fn end(&self) -> Option<u64> {
        self.system().status(self.0.inode).ok().map(|status| status.size)
    }

    fn entries(&self, from: u64, emit: &mut dyn FnMut(&Entry<'_>) -> bool) -> Result {
        self.system().entries(self.0.inode, from, emit)
    }

    fn truncate(&self, length: u64) -> Result {
        self.0.mount.must_be_writable()?;
        image::forget(self.0.mount.number, self.0.inode);
        self.system().truncate(self.0.inode, length)
    }

    fn sync(&self) -> Result {
        self.system().sync()
    }

    fn contents(&self) -> Result<Contents> {
        let Status { size, modified, mode, .. } = self.system().status(self.0.inode)?;
        if mode & TYPE != REGULAR {
            return Err(EACCES);
        }
        if let Some(bytes) = self.system().lasting(self.0.inode) {
            return Ok(Contents::Bytes(Image::lasting(bytes)));
        }
        let key = (self.0.mount.number, self.0.inode, size, modified);
        let read = |at, into: &mut [u8]| self.system().read(self.0.inode, at, into);
        image::load(key, size, read).map(Contents::Bytes)
    }
}

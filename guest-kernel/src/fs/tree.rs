//! The tree of names: mounted file systems, and where paths lead in them.
//!
//! Paths are bytes. A component leads from a directory to what has that name there, from a directory
//! on which something is mounted to the root of that, and by `..` back. Symbolic links lead on, but no
//! more than [`LINKS`] of them on one path. Everybody is root: permissions are kept, and of them only
//! that nobody may execute is heeded, where programs start.

use super::file::{DIRECTORY, File, Flags, LINK, Open, REGULAR, Result, Status, TYPE};
use super::lock::Mutex;
use super::place::{Mount, Place, PlaceFile};
use super::system::{FileSystem, NAME_MAX, check_name};
use crate::errno::{EBUSY, EEXIST, EINVAL, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, ENXIO};
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

/// Most symbolic links on a path.
const LINKS: u32 = 40;
/// Longest path, links put in.
const PATH_MAX: usize = 4096;

/// Gives the device of a number, of a character device or (true) one of blocks.
pub type Devices = fn(special: u64, blocks: bool) -> Option<Arc<dyn File>>;

/// Where a path led.
pub struct Found {
    /// The directory that its last component is in.
    pub directory: Place,
    /// The last component.
    pub name: Vec<u8>,
    /// What has that name. None: nothing.
    pub place: Option<Place>,
    /// A slash followed: only a directory will do.
    pub slash: bool,
}

/// What to do with a symbolic link that is the last of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Last {
    /// It leads on.
    Follow,
    /// It is meant.
    Keep,
}

/// How a file is to be opened: flags of `open` that do not last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// `O_CREAT`: make it, with these permissions.
    pub create: Option<u32>,
    /// `O_EXCL`: it must not exist.
    pub exclusive: bool,
    /// `O_TRUNC`: without its contents.
    pub truncate: bool,
    /// `O_DIRECTORY`: only a directory.
    pub directory: bool,
    /// `O_NOFOLLOW`: no symbolic link.
    pub no_follow: bool,
}

/// A tree of mounted file systems.
pub struct Tree {
    /// The first is the root.
    mounts: Mutex<Vec<Arc<Mount>>>,
    /// The number of the next mount: none is used twice.
    next: AtomicU32,
    devices: Devices,
}

impl Tree {
    /// A tree with a root.
    pub fn new(root: Arc<dyn FileSystem>, source: &str, read_only: bool, devices: Devices) -> Self {
        let mount = Mount::new(1, root, None, "/", source, read_only);
        let mounts = Mutex::new(alloc::vec![Arc::new(mount)]);
        Self { mounts, next: AtomicU32::new(2), devices }
    }

    /// The root directory.
    pub fn root(&self) -> Place {
        let mount = self.mounts.lock().first().map(Arc::clone);
        match mount {
            Some(mount) => Place::root(&mount),
            None => unreachable!("the root is never unmounted"),
        }
    }

    /// All mounts, the root first.
    pub fn mounts(&self) -> Vec<Arc<Mount>> {
        self.mounts.lock().clone()
    }

    /// What is seen at a place: the root of what is mounted there last, if anything is.
    fn surface(&self, mut place: Place) -> Place {
        loop {
            let above = self.mounts.lock().iter().find_map(|mount| {
                mount.on.as_ref().is_some_and(|on| on.is(&place)).then(|| Arc::clone(mount))
            });
            match above {
                Some(mount) => place = Place::root(&mount),
                None => return place,
            }
        }
    }

    fn step(&self, here: &Place, name: &[u8]) -> Result<Place> {
        if name != b".." {
            return here.lookup(name).map(|place| self.surface(place));
        }
        let mut here = here.clone();
        while here.is_root() {
            match &here.mount.on {
                Some(on) => here = on.clone(),
                None => return Ok(here),
            }
        }
        here.lookup(b"..").map(|place| self.surface(place))
    }

    /// Follows a path from a directory, or from the root if it begins with a slash, to its last
    /// component.
    pub fn look(&self, from: &Place, path: &[u8], last: Last) -> Result<Found> {
        if path.is_empty() {
            return Err(ENOENT);
        }
        let mut rest = path.to_vec();
        let mut here = if path.starts_with(b"/") { self.root() } else { from.clone() };
        let mut links = 0;
        loop {
            let Some(start) = rest.iter().position(|byte| *byte != b'/') else {
                let (place, name) = (Some(here.clone()), b".".to_vec());
                return Ok(Found { directory: here, name, place, slash: true });
            };
            rest.drain(..start);
            let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let after = rest.split_off(end);
            let name = core::mem::replace(&mut rest, after);
            if name.len() > NAME_MAX {
                return Err(ENAMETOOLONG);
            }
            let is_last = rest.iter().all(|byte| *byte == b'/');
            let slash = is_last && !rest.is_empty();
            let status = here.status()?;
            if !status.is(DIRECTORY) {
                return Err(ENOTDIR);
            }
            let place = match name.as_slice() {
                b"." => Some(here.clone()),
                name => match self.step(&here, name) {
                    Ok(place) => Some(place),
                    Err(errno) if errno == ENOENT && is_last => None,
                    Err(errno) => return Err(errno),
                },
            };
            let kind = match &place {
                Some(place) => place.status()?.mode & TYPE,
                None => 0,
            };
            match place {
                Some(link) if kind == LINK && (!is_last || slash || last == Last::Follow) => {
                    links += 1;
                    if links > LINKS {
                        return Err(ELOOP);
                    }
                    let mut target = link.mount.system.read_link(link.inode)?;
                    if target.is_empty() {
                        return Err(ENOENT);
                    }
                    if target.starts_with(b"/") {
                        here = self.root();
                    }
                    target.append(&mut rest);
                    rest = target;
                    if rest.len() > PATH_MAX {
                        return Err(ENAMETOOLONG);
                    }
                }
                Some(_) if slash && kind != DIRECTORY => return Err(ENOTDIR),
                place if is_last => return Ok(Found { directory: here, name, place, slash }),
                Some(place) => here = place,
                None => return Err(ENOENT),
            }
        }
    }

    /// What a path leads to.
    pub fn find(&self, from: &Place, path: &[u8], last: Last) -> Result<Place> {
        self.look(from, path, last)?.place.ok_or(ENOENT)
    }

    /// Opens what a path leads to.
    pub fn open(&self, from: &Place, path: &[u8], flags: Flags, wanted: &Wanted) -> Result<Open> {
        let exclusive = wanted.create.is_some() && wanted.exclusive;
        let keep = wanted.no_follow || exclusive;
        let found = self.look(from, path, if keep { Last::Keep } else { Last::Follow })?;
        let place = match (found.place, wanted.create) {
            (Some(_), _) if exclusive => return Err(EEXIST),
            (Some(place), _) => place,
            (None, None) => return Err(ENOENT),
            (None, Some(_)) if found.slash => return Err(EISDIR),
            (None, Some(permissions)) => {
                check_name(&found.name)?;
                let mode = REGULAR | permissions & 0o7777;
                found
                    .directory
                    .make(|system, directory| system.create(directory, &found.name, mode, 0))?
            }
        };
        self.open_place(place, flags, wanted)
    }

    /// Opens a place.
    pub fn open_place(&self, place: Place, flags: Flags, wanted: &Wanted) -> Result<Open> {
        let status = place.status()?;
        match status.mode & TYPE {
            LINK => return Err(ELOOP),
            kind if wanted.directory && kind != DIRECTORY => return Err(ENOTDIR),
            DIRECTORY if flags.writes() || wanted.create.is_some() => return Err(EISDIR),
            DIRECTORY | REGULAR => {}
            _ => return self.open_device(&place, &status, flags),
        }
        if let Some(file) = place.mount.system.open(place.inode)? {
            return Ok(Open::new(file, flags));
        }
        if flags.writes() {
            place.mount.must_be_writable()?;
        }
        if wanted.truncate && flags.writes() && status.is(REGULAR) {
            place.mount.system.truncate(place.inode, 0)?;
        }
        Ok(Open::new(Arc::new(PlaceFile(place)), flags))
    }

    fn open_device(&self, place: &Place, status: &Status, flags: Flags) -> Result<Open> {
        let blocks = match status.mode & TYPE {
            super::file::CHARACTERS => false,
            super::file::BLOCKS => true,
            _ => return Err(ENXIO),
        };
        let own = place.mount.system.open(place.inode)?;
        let file = own.or_else(|| (self.devices)(status.special, blocks)).ok_or(ENXIO)?;
        Ok(Open::new(file, flags))
    }

    /// The absolute path of a directory.
    pub fn path(&self, directory: &Place) -> Result<Vec<u8>> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut here = directory.clone();
        loop {
            while here.is_root() {
                match &here.mount.on {
                    Some(on) => here = on.clone(),
                    None => {
                        let mut path = Vec::new();
                        for name in names.iter().rev() {
                            path.push(b'/');
                            path.extend_from_slice(name);
                        }
                        return Ok(if path.is_empty() { b"/".to_vec() } else { path });
                    }
                }
            }
            if !seen.insert((here.mount.number, here.inode)) {
                return Err(ELOOP);
            }
            let above = here.lookup(b"..")?;
            let mut name = None;
            above.mount.system.entries(above.inode, 0, &mut |entry| {
                if entry.inode == here.inode && !matches!(entry.name, b"." | b"..") {
                    name = Some(entry.name.to_vec());
                }
                name.is_none()
            })?;
            // A directory that was removed has no name.
            names.push(name.ok_or(ENOENT)?);
            here = above;
        }
    }

    /// Mounts a file system on a directory.
    pub fn mount(
        &self,
        on: Place,
        system: Arc<dyn FileSystem>,
        source: &str,
        read_only: bool,
    ) -> Result {
        if !on.status()?.is(DIRECTORY) {
            return Err(ENOTDIR);
        }
        let path = String::from_utf8_lossy(&self.path(&on)?).into_owned();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mount = Mount::new(number, system, Some(on), &path, source, read_only);
        self.mounts.lock().push(Arc::new(mount));
        Ok(())
    }

    /// Unmounts what is mounted with this root, or from this source.
    pub fn unmount(&self, wanted: impl Fn(&Mount) -> bool) -> Result {
        let mut mounts = self.mounts.lock();
        let index = mounts.iter().rposition(|mount| wanted(mount)).ok_or(EINVAL)?;
        let Some(mount) = mounts.get(index).filter(|mount| mount.on.is_some()) else {
            return Err(EBUSY);
        };
        let number = mount.number;
        let carries =
            |other: &Arc<Mount>| other.on.as_ref().is_some_and(|on| on.mount.number == number);
        if mount.is_busy() || mounts.iter().any(carries) {
            return Err(EBUSY);
        }
        mount.system.unmount()?;
        let mount = mounts.remove(index);
        // Its place, and so what it was mounted on, is given back without the lock.
        drop(mounts);
        drop(mount);
        Ok(())
    }

    /// Makes all changes of all file systems last. The first error, after all have been tried.
    pub fn sync(&self) -> Result {
        let synced = self.mounts().iter().map(|mount| mount.system.sync()).collect::<Vec<_>>();
        synced.into_iter().collect()
    }

    /// Unmounts everything, used or not: the machine stops.
    pub fn stop(&self) {
        for mount in self.mounts().iter().rev() {
            let _ = mount.system.unmount();
        }
    }
}

//! Giving names in the tree, and taking them away.
//!
//! What a name stands for may be in use: its last name gone, it stays until nobody has it open
//! ([`Place`]). A mount's root has its name from the directory below it, and keeps it.

use super::file::{DIRECTORY, Result, TYPE};
use super::place::Place;
use super::system::{Change, check_name};
use super::tree::{Last, Tree};
use crate::errno::{EBUSY, EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, EXDEV};
use alloc::vec::Vec;

impl Tree {
    /// A name that can be given: its directory, and itself.
    fn free_name(&self, from: &Place, path: &[u8], directory: bool) -> Result<(Place, Vec<u8>)> {
        let found = self.look(from, path, Last::Keep)?;
        if found.place.is_some() {
            return Err(EEXIST);
        }
        if found.slash && !directory {
            return Err(ENOENT);
        }
        check_name(&found.name)?;
        Ok((found.directory, found.name))
    }

    /// Makes a directory, a device, or an empty file.
    pub fn make(&self, from: &Place, path: &[u8], mode: u32, special: u64) -> Result {
        let (directory, name) = self.free_name(from, path, mode & TYPE == DIRECTORY)?;
        directory.make(|system, directory| system.create(directory, &name, mode, special))?;
        Ok(())
    }

    /// Makes a symbolic link.
    pub fn symlink(&self, from: &Place, path: &[u8], target: &[u8]) -> Result {
        if target.is_empty() {
            return Err(ENOENT);
        }
        let (directory, name) = self.free_name(from, path, false)?;
        directory.make(|system, directory| system.symlink(directory, &name, target))?;
        Ok(())
    }

    /// Gives a file one more name.
    pub fn link(&self, file: &Place, from: &Place, path: &[u8]) -> Result {
        if file.status()?.is(DIRECTORY) {
            return Err(EPERM);
        }
        let (directory, name) = self.free_name(from, path, false)?;
        if directory.mount.number != file.mount.number {
            return Err(EXDEV);
        }
        directory.make(|system, directory| {
            system.link(file.inode, directory, &name)?;
            Ok(file.inode)
        })?;
        Ok(())
    }

    /// Takes a name away from what is no directory.
    pub fn unlink(&self, from: &Place, path: &[u8]) -> Result {
        let found = self.look(from, path, Last::Keep)?;
        let place = found.place.ok_or(ENOENT)?;
        if place.status()?.is(DIRECTORY) {
            return Err(EISDIR);
        }
        // The place goes first, so that what has no other user goes at once.
        drop(place);
        found
            .directory
            .take_name(|system, directory| system.unlink(directory, &found.name).map(Some))
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, from: &Place, path: &[u8]) -> Result {
        let found = self.look(from, path, Last::Keep)?;
        let place = found.place.ok_or(ENOENT)?;
        match found.name.as_slice() {
            b"." => return Err(EINVAL),
            b".." => return Err(ENOTEMPTY),
            _ if place.is_root() => return Err(EBUSY),
            _ if !place.status()?.is(DIRECTORY) => return Err(ENOTDIR),
            _ => drop(place),
        }
        found.directory.take_name(|system, directory| {
            system.remove_directory(directory, &found.name).map(Some)
        })
    }

    /// Gives a file another name.
    pub fn rename(&self, from: &Place, path: &[u8], to: &Place, new: &[u8]) -> Result {
        let old = self.look(from, path, Last::Keep)?;
        let new = self.look(to, new, Last::Keep)?;
        let place = old.place.ok_or(ENOENT)?;
        let is_directory = place.status()?.is(DIRECTORY);
        for name in [&old.name, &new.name] {
            if matches!(name.as_slice(), b"." | b"..") {
                return Err(EBUSY);
            }
        }
        if new.slash && !is_directory {
            return Err(ENOTDIR);
        }
        if place.is_root() || new.place.as_ref().is_some_and(Place::is_root) {
            return Err(EBUSY);
        }
        if old.directory.mount.number != new.directory.mount.number {
            return Err(EXDEV);
        }
        drop((place, new.place));
        old.directory.take_name(|system, directory| {
            system.rename(directory, &old.name, new.directory.inode, &new.name)
        })
    }

    /// Changes permissions, owner, times.
    pub fn change(&self, place: &Place, change: &Change) -> Result {
        place.mount.must_be_writable()?;
        place.mount.system.change(place.inode, change)
    }
}

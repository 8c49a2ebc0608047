//! Giving names to files, and taking them away.

use crate::device::Device;
use crate::directory::Place;
use crate::inode::{Inode, Kind};
use crate::{Error, Ext2, NAME_MAX, ROOT, Result};

/// Most names of a file (`EXT2_LINK_MAX`).
const LINKS: u16 = 32000;

impl<D: Device> Ext2<D> {
    /// Makes a file of any kind but a link: its inode. `special`: which device, for devices.
    ///
    /// # Errors
    /// Exists, Full, NameTooLong, TooManyLinks, NotDirectory, ReadOnly, Corrupt, Device.
    pub fn create(
        &mut self,
        parent: u32,
        name: &[u8],
        kind: Kind,
        permissions: u32,
        special: (u32, u32),
    ) -> Result<u32> {
        self.make(parent, name, kind, permissions, |volume, inode| match kind {
            Kind::Directory => {
                inode.links = 2;
                volume.begin_directory(inode, parent)
            }
            Kind::Characters | Kind::Blocks => {
                inode.set_special(special.0, special.1);
                Ok(())
            }
            _ => Ok(()),
        })
    }

    /// Makes a symbolic link: its inode.
    ///
    /// # Errors
    /// As [`create`](Self::create); NameTooLong: the target, too.
    pub fn symlink(&mut self, parent: u32, name: &[u8], target: &[u8]) -> Result<u32> {
        if target.is_empty() || target.len() >= self.layout.block as usize {
            return Err(Error::NameTooLong);
        }
        self.make(parent, name, Kind::Link, 0o777, |volume, inode| volume.set_link(inode, target))
    }

    /// Makes an inode, lets `fill` give it contents, and gives it a name.
    fn make(
        &mut self,
        parent: u32,
        name: &[u8],
        kind: Kind,
        permissions: u32,
        fill: impl FnOnce(&mut Self, &mut Inode) -> Result,
    ) -> Result<u32> {
        let mut directory = self.without(parent, name)?;
        let is_directory = kind == Kind::Directory;
        if is_directory && directory.links >= LINKS {
            return Err(Error::TooManyLinks);
        }
        let mut inode = self.new_inode(parent, kind, permissions)?;
        inode.links = 1;
        let filled = fill(self, &mut inode).and_then(|()| self.write_inode(&inode));
        let named = filled.and_then(|()| self.add(&mut directory, name, inode.number, kind));
        if let Err(error) = named {
            // Nothing is left of it: neither inode nor blocks, nor what the directory took.
            inode.links = 0;
            self.write_inode(&inode)?;
            self.nameless.insert(inode.number);
            self.free_inode(inode.number)?;
            self.give_back(&mut directory)?;
            return Err(error);
        }
        if is_directory {
            directory.links += 1;
            self.write_inode(&directory)?;
        }
        Ok(inode.number)
    }

    /// Gives a file one more name.
    ///
    /// # Errors
    /// IsDirectory: a directory has one name. As [`create`](Self::create).
    pub fn link(&mut self, number: u32, parent: u32, name: &[u8]) -> Result {
        let mut directory = self.without(parent, name)?;
        let mut inode = self.inode(number)?;
        let kind = inode.kind().ok_or(Error::Corrupt("an inode"))?;
        if kind == Kind::Directory {
            return Err(Error::IsDirectory);
        }
        if inode.links == 0 {
            return Err(Error::Missing);
        }
        if inode.links >= LINKS {
            return Err(Error::TooManyLinks);
        }
        if let Err(error) = self.add(&mut directory, name, number, kind) {
            self.give_back(&mut directory)?;
            return Err(error);
        }
        inode.links += 1;
        inode.changed = self.now;
        self.write_inode(&inode)
    }

    /// Takes a name away from a file that is no directory. When it was the last, the file stays until
    /// it is [forgotten](Self::forget). Its inode.
    ///
    /// # Errors
    /// Missing, IsDirectory, NotDirectory, ReadOnly, Corrupt, Device.
    pub fn unlink(&mut self, parent: u32, name: &[u8]) -> Result<u32> {
        let (mut directory, place) = self.with(parent, name)?;
        let inode = self.inode(place.inode)?;
        if inode.is_directory() {
            return Err(Error::IsDirectory);
        }
        self.remove(&mut directory, &place)?;
        self.drop_name(inode)?;
        Ok(place.inode)
    }

    /// Removes an empty directory. It stays until it is [forgotten](Self::forget). Its inode.
    ///
    /// # Errors
    /// NotEmpty, Missing, NotDirectory, Invalid: `.` or `..`. ReadOnly, Corrupt, Device.
    pub fn remove_directory(&mut self, parent: u32, name: &[u8]) -> Result<u32> {
        if matches!(name, b"." | b"..") {
            return Err(Error::Invalid);
        }
        let (mut directory, place) = self.with(parent, name)?;
        let inode = self.directory(place.inode)?;
        if !self.is_empty(inode.number)? {
            return Err(Error::NotEmpty);
        }
        self.remove(&mut directory, &place)?;
        self.drop_directory(inode, &mut directory)?;
        Ok(place.inode)
    }

    /// Gives a file another name, perhaps in another directory. What had that name loses it: its
    /// inode, which stays until it is [forgotten](Self::forget).
    ///
    /// # Errors
    /// Missing. Invalid: a directory into itself. NotEmpty, NotDirectory, IsDirectory: what has the
    /// name cannot be replaced. Full, NameTooLong, TooManyLinks, ReadOnly, Corrupt, Device.
    pub fn rename(
        &mut self,
        parent: u32,
        name: &[u8],
        new_parent: u32,
        new_name: &[u8],
    ) -> Result<Option<u32>> {
        if [name, new_name].iter().any(|name| matches!(*name, b"." | b"..")) {
            return Err(Error::Invalid);
        }
        let (_, place) = self.with(parent, name)?;
        let inode = self.inode(place.inode)?;
        let kind = inode.kind().ok_or(Error::Corrupt("an inode"))?;
        let is_directory = kind == Kind::Directory;
        let moves = is_directory && parent != new_parent;
        if moves && self.lies_below(new_parent, inode.number)? {
            return Err(Error::Invalid);
        }
        let mut target = self.directory(new_parent)?;
        let replaced = match self.find(&target, new_name)? {
            Some(old) if old.inode == inode.number => return Ok(None),
            Some(old) => {
                let replaced = self.inode(old.inode)?;
                match (is_directory, replaced.is_directory()) {
                    (true, false) => return Err(Error::NotDirectory),
                    (false, true) => return Err(Error::IsDirectory),
                    (true, true) if !self.is_empty(old.inode)? => return Err(Error::NotEmpty),
                    _ => {}
                }
                self.redirect(&old, inode.number, kind)?;
                self.touch(&mut target)?;
                Some(replaced)
            }
            None if moves && target.links >= LINKS => return Err(Error::TooManyLinks),
            None => {
                if let Err(error) = self.add(&mut target, new_name, inode.number, kind) {
                    self.give_back(&mut target)?;
                    return Err(error);
                }
                None
            }
        };
        // The entry is found anew: adding one may have made the one before it shorter.
        let (mut directory, place) = self.with(parent, name)?;
        self.remove(&mut directory, &place)?;
        let mut moved = self.inode(inode.number)?;
        moved.changed = self.now;
        self.write_inode(&moved)?;
        if moves {
            let up = self.find(&moved, b"..")?.ok_or(Error::Corrupt("a directory without .."))?;
            self.redirect(&up, new_parent, Kind::Directory)?;
            let mut old = self.directory(parent)?;
            old.links = old.links.saturating_sub(1);
            self.write_inode(&old)?;
            let mut new = self.directory(new_parent)?;
            new.links = new.links.saturating_add(1);
            self.write_inode(&new)?;
        }
        let Some(replaced) = replaced else { return Ok(None) };
        if replaced.is_directory() {
            let mut target = self.directory(new_parent)?;
            self.drop_directory(replaced, &mut target)?;
        } else {
            self.drop_name(replaced)?;
        }
        Ok(Some(replaced.number))
    }

    /// A directory that has an entry, and where.
    fn with(&self, parent: u32, name: &[u8]) -> Result<(Inode, Place)> {
        self.must_be_writable()?;
        let directory = self.directory(parent)?;
        let place = self.find(&directory, name)?.ok_or(Error::Missing)?;
        Ok((directory, place))
    }

    /// A directory that still exists and has no entry of this name yet.
    fn without(&self, parent: u32, name: &[u8]) -> Result<Inode> {
        self.must_be_writable()?;
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(Error::NameTooLong);
        }
        let directory = self.directory(parent)?;
        if directory.links == 0 {
            return Err(Error::Missing);
        }
        if self.find(&directory, name)?.is_some() { Err(Error::Exists) } else { Ok(directory) }
    }

    fn drop_name(&mut self, mut inode: Inode) -> Result {
        inode.links = inode.links.saturating_sub(1);
        inode.changed = self.now;
        if inode.links == 0 {
            self.nameless.insert(inode.number);
        }
        self.write_inode(&inode)
    }

    fn drop_directory(&mut self, mut inode: Inode, parent: &mut Inode) -> Result {
        inode.links = 0;
        inode.changed = self.now;
        self.nameless.insert(inode.number);
        self.write_inode(&inode)?;
        parent.links = parent.links.saturating_sub(1);
        self.write_inode(parent)
    }

    /// Gives back what a directory took for an entry that it did not get: blocks behind its end.
    fn give_back(&mut self, directory: &mut Inode) -> Result {
        self.free_from(directory, directory.size / u64::from(self.layout.block))?;
        self.write_inode(directory)
    }

    /// Whether a directory is `above`, or lies below it.
    fn lies_below(&self, mut number: u32, above: u32) -> Result<bool> {
        for _ in 0..self.layout.inodes {
            if number == above {
                return Ok(true);
            }
            if number == ROOT {
                return Ok(false);
            }
            number = self.lookup(number, b"..")?;
        }
        Err(Error::Corrupt("directories in a circle"))
    }
}

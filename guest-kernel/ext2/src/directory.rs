//! Directories: entries in a row, block by block.
//!
//! An entry is the number of an inode (0: nothing), its own length, a name's length, a type, the
//! name. Lengths reach to the next entry, the last one's to the end of the block, so an entry is
//! removed by making the one before it longer.

use crate::bytes::{get16, get32, put, put16, put32};
use crate::device::{Device, Order};
use crate::inode::{FLAG_INDEX, Inode, Kind};
use crate::{Error, Ext2, NAME_MAX, Result};
use alloc::vec;
use alloc::vec::Vec;

/// Bytes of an entry before its name.
const HEADER: usize = 8;

/// An entry of a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The number of the inode.
    pub inode: u32,
    /// What it is, if the volume keeps that here.
    pub kind: Option<Kind>,
    /// Where to continue after it.
    pub next: u64,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Block of the volume.
    block: u32,
    /// Offset in it.
    offset: usize,
    /// Offset of the entry before it in the block, if there is one.
    before: Option<usize>,
    /// The inode.
    pub(crate) inode: u32,
}

/// What is at an offset of a block.
struct Raw {
    inode: u32,
    length: usize,
    name: core::ops::Range<usize>,
    kind: u8,
}

/// Bytes that an entry with a name of this length needs.
fn needed(name: usize) -> usize {
    (HEADER + name).next_multiple_of(4)
}

fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Regular => 1,
        Kind::Directory => 2,
        Kind::Characters => 3,
        Kind::Blocks => 4,
        Kind::Fifo => 5,
        Kind::Socket => 6,
        Kind::Link => 7,
    }
}

fn kind_of(number: u8) -> Option<Kind> {
    [
        Kind::Regular,
        Kind::Directory,
        Kind::Characters,
        Kind::Blocks,
        Kind::Fifo,
        Kind::Socket,
        Kind::Link,
    ]
    .into_iter()
    .find(|kind| kind_number(*kind) == number)
}

impl<D: Device> Ext2<D> {
    /// Calls `emit` with the entries of a directory from position `from` on (0: the first) for as
    /// long as it returns true. Positions stay good when entries come and go.
    ///
    /// # Errors
    /// NotDirectory, Corrupt, Device.
    pub fn entries(
        &self,
        number: u32,
        from: u64,
        emit: &mut dyn FnMut(&Entry<'_>) -> bool,
    ) -> Result {
        let directory = self.directory(number)?;
        let size = u64::from(self.layout.block);
        for index in from / size..directory.size / size {
            let (_, block) = self.directory_block(&directory, index)?;
            let mut offset = 0;
            while let Some(raw) = self.entry(&block, offset)? {
                let next = index * size + (offset + raw.length) as u64;
                let is_new = index * size + offset as u64 >= from;
                if raw.inode != 0 && is_new {
                    let name = block.get(raw.name).unwrap_or_default();
                    let kind = if self.layout.has_types { kind_of(raw.kind) } else { None };
                    if !emit(&Entry { name, inode: raw.inode, kind, next }) {
                        return Ok(());
                    }
                }
                offset += raw.length;
            }
        }
        Ok(())
    }

    /// The inode that has a name in a directory; `.` and `..` are names.
    ///
    /// # Errors
    /// Missing, NotDirectory, Corrupt, Device.
    pub fn lookup(&self, number: u32, name: &[u8]) -> Result<u32> {
        let directory = self.directory(number)?;
        self.find(&directory, name)?.map(|place| place.inode).ok_or(Error::Missing)
    }

    /// The inode of a directory, of which no more blocks are read than the volume has.
    pub(crate) fn directory(&self, number: u32) -> Result<Inode> {
        let inode = self.inode(number)?;
        if !inode.is_directory() {
            return Err(Error::NotDirectory);
        }
        let size = u64::from(self.layout.block);
        if !inode.size.is_multiple_of(size) || inode.size / size > u64::from(self.layout.blocks) {
            return Err(Error::Corrupt("the length of a directory"));
        }
        Ok(inode)
    }

    fn directory_block(&self, directory: &Inode, index: u64) -> Result<(u32, Vec<u8>)> {
        let block = self.block_of(directory, index)?;
        if block == 0 {
            return Err(Error::Corrupt("a hole in a directory"));
        }
        let mut contents = vec![0; self.layout.block as usize];
        self.device.read(self.layout.at(block), &mut contents)?;
        Ok((block, contents))
    }

    /// The entry at an offset. None: the block ends there.
    fn entry(&self, block: &[u8], offset: usize) -> Result<Option<Raw>> {
        if offset == block.len() {
            return Ok(None);
        }
        let rest = block.get(offset..).filter(|rest| rest.len() >= HEADER);
        let rest = rest.ok_or(Error::Corrupt("an entry of a directory"))?;
        let (inode, length) = (get32(rest, 0), usize::from(get16(rest, 4)));
        let (name, kind) = match get16(rest, 6).to_le_bytes() {
            [name, kind] if self.layout.has_types => (usize::from(name), kind),
            bytes => (usize::from(u16::from_le_bytes(bytes)), 0),
        };
        let fits = length >= HEADER + name && length <= rest.len() && length.is_multiple_of(4);
        if !fits || inode > self.layout.inodes {
            return Err(Error::Corrupt("an entry of a directory"));
        }
        let start = offset + HEADER;
        Ok(Some(Raw { inode, length, name: start..start + name, kind }))
    }

    /// Where a name is in a directory.
    pub(crate) fn find(&self, directory: &Inode, name: &[u8]) -> Result<Option<Place>> {
        for index in 0..directory.size / u64::from(self.layout.block) {
            let (number, block) = self.directory_block(directory, index)?;
            let (mut offset, mut before) = (0, None);
            while let Some(raw) = self.entry(&block, offset)? {
                if raw.inode != 0 && block.get(raw.name) == Some(name) {
                    return Ok(Some(Place { block: number, offset, before, inode: raw.inode }));
                }
                before = Some(offset);
                offset += raw.length;
            }
        }
        Ok(None)
    }

    /// Adds a name to a directory that has it not. `directory` is changed, and written.
    pub(crate) fn add(
        &mut self,
        directory: &mut Inode,
        name: &[u8],
        to: u32,
        kind: Kind,
    ) -> Result {
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(Error::NameTooLong);
        }
        let wanted = needed(name.len());
        let size = self.layout.block as usize;
        let (block, offset, length) = match self.room(directory, wanted)? {
            Some(room) => room,
            None => {
                let index = directory.size / size as u64;
                let (block, _) = self.block_for(directory, index)?;
                let mut empty = vec![0; size];
                put16(&mut empty, 4, size as u16);
                self.device.write(self.layout.at(block), &empty, Order::Contents)?;
                directory.size += size as u64;
                (block, 0, size)
            }
        };
        let mut entry = vec![0; HEADER + name.len()];
        self.encode(&mut entry, to, length, name, kind);
        self.device.write(self.layout.at(block) + offset as u64, &entry, Order::Contents)?;
        self.touch(directory)
    }

    fn encode(&self, entry: &mut [u8], inode: u32, length: usize, name: &[u8], kind: Kind) {
        put32(entry, 0, inode);
        put16(entry, 4, length as u16);
        let kind = if self.layout.has_types { kind_number(kind) } else { 0 };
        put(entry, 6, &[name.len() as u8, kind]);
        put(entry, HEADER, name);
    }

    /// Room for an entry, taken from the one before it: block, offset, length.
    fn room(&self, directory: &Inode, wanted: usize) -> Result<Option<(u32, usize, usize)>> {
        for index in 0..directory.size / u64::from(self.layout.block) {
            let (number, block) = self.directory_block(directory, index)?;
            let mut offset = 0;
            while let Some(raw) = self.entry(&block, offset)? {
                let used = if raw.inode == 0 { 0 } else { needed(raw.name.len()) };
                if raw.length >= used + wanted {
                    if used > 0 {
                        self.set_length(number, offset, used)?;
                    }
                    return Ok(Some((number, offset + used, raw.length - used)));
                }
                offset += raw.length;
            }
        }
        Ok(None)
    }

    fn set_length(&self, block: u32, offset: usize, length: usize) -> Result {
        let at = self.layout.at(block) + offset as u64 + 4;
        self.device.write(at, &(length as u16).to_le_bytes(), Order::Contents)?;
        Ok(())
    }

    /// Removes an entry. `directory` is changed, and written.
    pub(crate) fn remove(&mut self, directory: &mut Inode, place: &Place) -> Result {
        let mut raw = [0; 6];
        let at = self.layout.at(place.block);
        self.device.read(at + place.offset as u64, &mut raw)?;
        match place.before {
            Some(before) => {
                let length = place.offset - before + usize::from(get16(&raw, 4));
                self.set_length(place.block, before, length)?;
            }
            None => self.device.write(at + place.offset as u64, &[0; 4], Order::Contents)?,
        }
        self.touch(directory)
    }

    /// Makes an entry lead to another inode.
    pub(crate) fn redirect(&mut self, place: &Place, to: u32, kind: Kind) -> Result {
        let at = self.layout.at(place.block) + place.offset as u64;
        self.device.write(at, &to.to_le_bytes(), Order::Contents)?;
        if self.layout.has_types {
            self.device.write(at + 7, &[kind_number(kind)], Order::Contents)?;
        }
        Ok(())
    }

    /// Writes a directory's inode after its entries changed: an index over them is no longer right.
    pub(crate) fn touch(&mut self, directory: &mut Inode) -> Result {
        directory.flags &= !FLAG_INDEX;
        directory.modified = self.now;
        directory.changed = self.now;
        self.write_inode(directory)
    }

    /// The first block of a new directory. `directory` is changed, not written.
    pub(crate) fn begin_directory(&mut self, directory: &mut Inode, parent: u32) -> Result {
        let (block, _) = self.block_for(directory, 0)?;
        let size = self.layout.block as usize;
        let mut contents = vec![0; size];
        let (own, rest) = contents.split_at_mut(needed(1));
        self.encode(own, directory.number, needed(1), b".", Kind::Directory);
        self.encode(rest, parent, size - needed(1), b"..", Kind::Directory);
        self.device.write(self.layout.at(block), &contents, Order::Contents)?;
        directory.size = size as u64;
        Ok(())
    }

    /// Whether a directory has no entries but its own.
    pub(crate) fn is_empty(&self, number: u32) -> Result<bool> {
        let mut empty = true;
        self.entries(number, 0, &mut |entry| {
            empty = matches!(entry.name, b"." | b"..");
            empty
        })?;
        Ok(empty)
    }
}

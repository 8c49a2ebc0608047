//! The contents of files and links.

use crate::device::{Device, Order};
use crate::inode::{Inode, Kind};
use crate::map::Way;
use crate::{Error, Ext2, Result};
use alloc::vec;
use alloc::vec::Vec;

/// Bytes of a link's target that fit where the pointers are.
const SHORT_LINK: usize = 60;

impl<D: Device> Ext2<D> {
    /// Reads a file from byte `at` on: how much was read, less than asked only at the end.
    ///
    /// # Errors
    /// IsDirectory, Invalid: not a file. Corrupt, Device.
    pub fn read(&self, number: u32, at: u64, into: &mut [u8]) -> Result<usize> {
        let inode = self.inode(number)?;
        must_be_file(&inode)?;
        self.read_inode(&inode, at, into)
    }

    pub(crate) fn read_inode(&self, inode: &Inode, at: u64, into: &mut [u8]) -> Result<usize> {
        let left = usize::try_from(inode.size.saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = left.min(into.len());
        let size = u64::from(self.layout.block);
        let mut done = 0;
        while done < wanted {
            let here = at + done as u64;
            let (index, offset) = (here / size, here % size);
            let block = self.block_of(inode, index)?;
            // Blocks in a row, or holes, are read in one go.
            let mut end = (index + 1) * size - here;
            while (end as usize) < wanted - done {
                let next = self.block_of(inode, (here + end) / size)?;
                let follows = u64::from(block) + (here + end) / size - index;
                if u64::from(next) != if block == 0 { 0 } else { follows } {
                    break;
                }
                end += size;
            }
            let count = (wanted - done).min(end as usize);
            let part = into.get_mut(done..done + count).unwrap_or_default();
            if block == 0 {
                part.fill(0);
            } else {
                self.device.read(self.layout.at(block) + offset, part)?;
            }
            done += count;
        }
        Ok(done)
    }

    /// Writes to a file at byte `at`: how much was written, less than asked only when the volume is
    /// full. A hole before `at` reads as zeroes.
    ///
    /// # Errors
    /// Full, TooLarge: not a byte was written. ReadOnly, IsDirectory, Invalid, Corrupt, Device.
    pub fn write(&mut self, number: u32, at: u64, from: &[u8]) -> Result<usize> {
        self.must_be_writable()?;
        let mut inode = self.inode(number)?;
        must_be_file(&inode)?;
        let mut done = 0;
        let outcome = loop {
            if done == from.len() {
                break Ok(());
            }
            match self.write_part(&mut inode, at.saturating_add(done as u64), from, done) {
                Ok(count) => done += count,
                Err(error) => break Err(error),
            }
        };
        // What was written counts, and blocks of pointers that were taken belong to the file.
        if done > 0 {
            inode.size = inode.size.max(at + done as u64);
            inode.modified = self.now;
            inode.changed = self.now;
        }
        self.write_inode(&inode)?;
        if inode.size > i32::MAX as u64 {
            self.allow_large_files()?;
        }
        match outcome {
            Err(error) if done == 0 || error == Error::Device => Err(error),
            _ => Ok(done),
        }
    }

    /// Writes what of `from`, behind its first `done` bytes, lies in one block.
    fn write_part(
        &mut self,
        inode: &mut Inode,
        at: u64,
        from: &[u8],
        done: usize,
    ) -> Result<usize> {
        let size = u64::from(self.layout.block);
        let offset = at % size;
        let (block, is_new) = self.block_for(inode, at / size)?;
        let rest = from.get(done..).unwrap_or_default();
        let count = rest.len().min((size - offset) as usize);
        let part = rest.get(..count).unwrap_or_default();
        if is_new && count < size as usize {
            // A part of a block is written: the rest must not show what was there before.
            let zeroes = vec![0; size as usize];
            self.device.write(self.layout.at(block), &zeroes, Order::Contents)?;
        }
        self.device.write(self.layout.at(block) + offset, part, Order::Contents)?;
        Ok(count)
    }

    /// Sets the length of a file: what is behind it goes, what is new is a hole.
    ///
    /// # Errors
    /// TooLarge, ReadOnly, IsDirectory, Invalid, Corrupt, Device.
    pub fn truncate(&mut self, number: u32, length: u64) -> Result {
        self.must_be_writable()?;
        let mut inode = self.inode(number)?;
        must_be_file(&inode)?;
        let size = u64::from(self.layout.block);
        if length > 0 && Way::to((length - 1) / size, self.each()).is_none() {
            return Err(Error::TooLarge);
        }
        if length < inode.size {
            self.free_from(&mut inode, length.div_ceil(size))?;
            self.clear_tail(&inode, length)?;
        }
        inode.size = length;
        inode.modified = self.now;
        inode.changed = self.now;
        self.write_inode(&inode)?;
        if length > i32::MAX as u64 {
            self.allow_large_files()?;
        }
        self.bound_freed()
    }

    /// Zeroes the last block behind `length`, so that a file that grows again shows zeroes.
    fn clear_tail(&mut self, inode: &Inode, length: u64) -> Result {
        let size = u64::from(self.layout.block);
        let offset = length % size;
        let block = self.block_of(inode, length / size)?;
        if offset != 0 && block != 0 {
            let zeroes = vec![0; (size - offset) as usize];
            self.device.write(self.layout.at(block) + offset, &zeroes, Order::Contents)?;
        }
        Ok(())
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// Invalid: not a link. Corrupt, Device.
    pub fn read_link(&self, number: u32) -> Result<Vec<u8>> {
        let inode = self.inode(number)?;
        if inode.kind() != Some(Kind::Link) {
            return Err(Error::Invalid);
        }
        let length = inode.size as usize;
        if !self.has_blocks(&inode) {
            let bytes = inode.pointers.iter().flat_map(|pointer| pointer.to_le_bytes());
            let target: Vec<u8> = bytes.take(length).collect();
            return if length < SHORT_LINK { Ok(target) } else { Err(Error::Corrupt("a link")) };
        }
        if inode.size > u64::from(self.layout.block) {
            return Err(Error::Corrupt("a link"));
        }
        let mut target = vec![0; length];
        self.read_inode(&inode, 0, &mut target)?;
        Ok(target)
    }

    /// Makes a new link lead somewhere. `inode` is changed, not written.
    pub(crate) fn set_link(&mut self, inode: &mut Inode, target: &[u8]) -> Result {
        if target.len() < SHORT_LINK {
            let mut padded = [0; SHORT_LINK];
            padded.iter_mut().zip(target).for_each(|(to, from)| *to = *from);
            for (pointer, word) in inode.pointers.iter_mut().zip(padded.as_chunks().0) {
                *pointer = u32::from_le_bytes(*word);
            }
        } else {
            self.write_part(inode, 0, target, 0)?;
        }
        inode.size = target.len() as u64;
        Ok(())
    }
}

fn must_be_file(inode: &Inode) -> Result {
    match inode.kind() {
        Some(Kind::Regular) => Ok(()),
        Some(Kind::Directory) => Err(Error::IsDirectory),
        _ => Err(Error::Invalid),
    }
}

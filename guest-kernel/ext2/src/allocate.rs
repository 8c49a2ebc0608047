//! Finding free blocks and inodes, and taking them: bits in the groups' bitmaps.
//!
//! A search begins at a goal, near to what is related, and goes once round all groups. What was freed
//! since the last sync is passed over; when nothing else is left, a sync makes it usable.

use crate::device::{Device, Order};
use crate::runs::Runs;
use crate::{Error, Ext2, Result};

/// Bytes of a bitmap that are looked at in one go.
const CHUNK: usize = 128;

impl<D: Device> Ext2<D> {
    /// Takes a free block, at `goal` or behind it if there is one.
    pub(crate) fn allocate_block(&mut self, goal: u32) -> Result<u32> {
        let found = match self.find_block(goal)? {
            None if !self.freed_blocks.is_empty() => {
                self.sync()?;
                self.find_block(goal)?
            }
            found => found,
        };
        let (group, index) = found.ok_or(Error::Full)?;
        let block = self.layout.first_block + group * self.layout.group_blocks + index;
        if !self.layout.is_block(block) {
            return Err(Error::Corrupt("a bitmap of blocks"));
        }
        self.flip(self.block_bitmap(group)?, index)?;
        self.free_blocks = self.free_blocks.saturating_sub(1);
        let group = self.group(group)?;
        group.free_blocks = group.free_blocks.saturating_sub(1);
        Ok(block)
    }

    /// Gives back a block.
    pub(crate) fn free_block(&mut self, block: u32) -> Result {
        if !self.layout.is_block(block) {
            return Err(Error::Corrupt("a pointer to a block"));
        }
        let group = (block - self.layout.first_block) / self.layout.group_blocks;
        let index = (block - self.layout.first_block) % self.layout.group_blocks;
        let bitmap = self.block_bitmap(group)?;
        if !self.bit(bitmap, index)? {
            return Err(Error::Corrupt("a block in use that is free"));
        }
        self.flip(bitmap, index)?;
        self.free_blocks = self.free_blocks.saturating_add(1);
        let group = self.group(group)?;
        group.free_blocks = group.free_blocks.saturating_add(1);
        self.freed_blocks.insert(block);
        Ok(())
    }

    /// Takes a free inode: a directory's in the emptiest group, another's in that of `parent`, the
    /// directory that it will be in.
    pub(crate) fn allocate_inode(&mut self, parent: u32, directory: bool) -> Result<u32> {
        let mut first = (parent.saturating_sub(1)) / self.layout.group_inodes;
        if directory {
            let usable = self.groups.iter().enumerate().filter(|(_, group)| group.free_inodes > 0);
            let emptiest = usable.max_by_key(|(_, group)| group.free_blocks);
            first = emptiest.map_or(first, |(index, _)| index as u32);
        }
        let found = match self.find_inode(first)? {
            None if !self.freed_inodes.is_empty() => {
                self.sync()?;
                self.find_inode(first)?
            }
            found => found,
        };
        let (group, index) = found.ok_or(Error::Full)?;
        self.flip(self.inode_bitmap(group)?, index)?;
        self.free_inodes = self.free_inodes.saturating_sub(1);
        let number = group * self.layout.group_inodes + index + 1;
        let group = self.group(group)?;
        group.free_inodes = group.free_inodes.saturating_sub(1);
        group.directories = group.directories.saturating_add(u16::from(directory));
        Ok(number)
    }

    /// Gives back an inode.
    pub(crate) fn release_inode(&mut self, number: u32, directory: bool) -> Result {
        let group = (number - 1) / self.layout.group_inodes;
        let index = (number - 1) % self.layout.group_inodes;
        let bitmap = self.inode_bitmap(group)?;
        if !self.bit(bitmap, index)? {
            return Err(Error::Corrupt("an inode in use that is free"));
        }
        self.flip(bitmap, index)?;
        self.free_inodes = self.free_inodes.saturating_add(1);
        let group = self.group(group)?;
        group.free_inodes = group.free_inodes.saturating_add(1);
        group.directories = group.directories.saturating_sub(u16::from(directory));
        self.freed_inodes.insert(number);
        Ok(())
    }

    fn find_block(&self, goal: u32) -> Result<Option<(u32, u32)>> {
        let layout = &self.layout;
        let goal = if layout.is_block(goal) { goal - layout.first_block } else { 0 };
        let (first, start) = (goal / layout.group_blocks, goal % layout.group_blocks);
        // The first group twice: from the goal on, and at last from its start.
        for step in 0..=layout.groups() {
            let group = (first + step) % layout.groups();
            if self.groups.get(group as usize).is_none_or(|group| group.free_blocks == 0) {
                continue;
            }
            let base = layout.first_block + group * layout.group_blocks;
            let start = if step == 0 { start } else { 0 };
            let (bitmap, bits) = (self.block_bitmap(group)?, layout.blocks_of(group));
            if let Some(index) = self.first_clear(bitmap, start, bits, base, &self.freed_blocks)? {
                return Ok(Some((group, index)));
            }
        }
        Ok(None)
    }

    fn find_inode(&self, first: u32) -> Result<Option<(u32, u32)>> {
        let layout = &self.layout;
        for step in 0..layout.groups() {
            let group = (first.saturating_add(step)) % layout.groups();
            if self.groups.get(group as usize).is_none_or(|group| group.free_inodes == 0) {
                continue;
            }
            let base = group * layout.group_inodes + 1;
            let start = layout.first_inode.saturating_sub(base);
            let (bitmap, bits) = (self.inode_bitmap(group)?, layout.inodes_of(group));
            if let Some(index) = self.first_clear(bitmap, start, bits, base, &self.freed_inodes)? {
                return Ok(Some((group, index)));
            }
        }
        Ok(None)
    }

    /// The first clear bit of a bitmap from `start` on, of `bits`, whose number, its index and
    /// `base`, is not in `avoided`.
    fn first_clear(
        &self,
        bitmap: u64,
        start: u32,
        bits: u32,
        base: u32,
        avoided: &Runs,
    ) -> Result<Option<u32>> {
        let mut chunk = [0; CHUNK];
        let mut index = start;
        let mut loaded = None;
        while index < bits {
            let byte = (index / 8) as usize;
            if loaded != Some(byte / CHUNK) {
                self.device.read(bitmap + (byte / CHUNK * CHUNK) as u64, &mut chunk)?;
                loaded = Some(byte / CHUNK);
            }
            let byte = chunk.get(byte % CHUNK).copied().unwrap_or(0xff);
            if byte == 0xff {
                index = (index / 8 + 1) * 8;
            } else if byte >> (index % 8) & 1 != 0 {
                index += 1;
            } else if let Some(end) = avoided.end_around(base + index) {
                index = end - base;
            } else {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    fn bit(&self, bitmap: u64, index: u32) -> Result<bool> {
        let mut byte = [0];
        self.device.read(bitmap + u64::from(index / 8), &mut byte)?;
        let [byte] = byte;
        Ok(byte >> (index % 8) & 1 != 0)
    }

    fn flip(&self, bitmap: u64, index: u32) -> Result {
        let at = bitmap + u64::from(index / 8);
        let mut byte = [0];
        self.device.read(at, &mut byte)?;
        let [old] = byte;
        self.device.write(at, &[old ^ 1 << (index % 8)], Order::Structure)?;
        Ok(())
    }

    fn block_bitmap(&self, group: u32) -> Result<u64> {
        let group = self.groups.get(group as usize).ok_or(Error::Corrupt("a group"))?;
        Ok(self.layout.at(group.block_bitmap))
    }

    fn inode_bitmap(&self, group: u32) -> Result<u64> {
        let group = self.groups.get(group as usize).ok_or(Error::Corrupt("a group"))?;
        Ok(self.layout.at(group.inode_bitmap))
    }

    /// A group, to change its counts.
    fn group(&mut self, group: u32) -> Result<&mut crate::superblock::Group> {
        let group = self.groups.get_mut(group as usize).ok_or(Error::Corrupt("a group"))?;
        group.changed = true;
        Ok(group)
    }
}

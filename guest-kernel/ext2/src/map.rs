//! From the blocks of a file to those of the volume.
//!
//! The first twelve pointers of an inode are blocks of the file; the next is a block of pointers to
//! them, then one of pointers to such blocks, then one more step. A pointer of 0 is a hole: zeroes
//! that take no room.

use crate::bytes::get32;
use crate::device::{Device, Order};
use crate::inode::Inode;
use crate::{Error, Ext2, Result};
use alloc::vec;

/// Pointers of an inode that are blocks of the file.
pub const DIRECT: u64 = 12;

/// The way to a block of a file: which pointer of the inode, and which of each block of pointers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// Indices, of which the first is the inode's.
    pub steps: [u32; 4],
    /// How many of them count.
    pub count: usize,
}

impl Way {
    /// The way to block `index` of a file, with `each` pointers in a block. None: no file is so long.
    pub fn to(index: u64, each: u64) -> Option<Self> {
        let step = |index: u64| index as u32;
        if index < DIRECT {
            return Some(Self { steps: [step(index), 0, 0, 0], count: 1 });
        }
        let index = index - DIRECT;
        if index < each {
            return Some(Self { steps: [12, step(index), 0, 0], count: 2 });
        }
        let index = index - each;
        if index < each * each {
            return Some(Self { steps: [13, step(index / each), step(index % each), 0], count: 3 });
        }
        let index = index - each * each;
        let steps =
            [14, step(index / (each * each)), step(index / each % each), step(index % each)];
        (index < each * each * each).then_some(Self { steps, count: 4 })
    }
}

impl<D: Device> Ext2<D> {
    /// Pointers in a block.
    pub(crate) fn each(&self) -> u64 {
        u64::from(self.layout.block / 4)
    }

    pub(crate) fn pointer(&self, block: u32, index: u32) -> Result<u32> {
        let mut raw = [0; 4];
        self.device.read(self.layout.at(block) + u64::from(index) * 4, &mut raw)?;
        Ok(get32(&raw, 0))
    }

    pub(crate) fn set_pointer(&self, block: u32, index: u32, pointer: u32) -> Result {
        let at = self.layout.at(block) + u64::from(index) * 4;
        self.device.write(at, &pointer.to_le_bytes(), Order::Contents)?;
        Ok(())
    }

    fn checked(&self, pointer: u32) -> Result<u32> {
        if pointer == 0 || self.layout.is_block(pointer) {
            Ok(pointer)
        } else {
            Err(Error::Corrupt("a pointer to a block"))
        }
    }

    /// The block of the volume that is block `index` of a file; 0: a hole.
    pub(crate) fn block_of(&self, inode: &Inode, index: u64) -> Result<u32> {
        let Some(way) = Way::to(index, self.each()) else { return Ok(0) };
        let [first, rest @ ..] = way.steps;
        let mut pointer = inode.pointers.get(first as usize).copied().unwrap_or(0);
        for step in rest.iter().take(way.count - 1) {
            if self.checked(pointer)? == 0 {
                return Ok(0);
            }
            pointer = self.pointer(pointer, *step)?;
        }
        self.checked(pointer)
    }

    /// The same, but a hole is filled with a new block, and the second value is true then. Its
    /// contents are what was there: the caller writes all of it. `inode` is changed, not written.
    pub(crate) fn block_for(&mut self, inode: &mut Inode, index: u64) -> Result<(u32, bool)> {
        let way = Way::to(index, self.each()).ok_or(Error::TooLarge)?;
        let [first, rest @ ..] = way.steps;
        let mut goal = self.goal(inode, index)?;
        let mut pointer = inode.pointers.get(first as usize).copied().unwrap_or(0);
        let mut is_new = pointer == 0;
        if is_new {
            pointer = self.take(inode, goal, way.count > 1)?;
            if let Some(slot) = inode.pointers.get_mut(first as usize) {
                *slot = pointer;
            }
            goal = pointer + 1;
        }
        for (depth, step) in rest.iter().take(way.count - 1).enumerate() {
            let table = pointer;
            if self.checked(table)? == 0 {
                return Err(Error::Corrupt("a pointer to a block"));
            }
            pointer = self.pointer(table, *step)?;
            is_new = pointer == 0;
            if is_new {
                pointer = self.take(inode, goal, depth + 2 < way.count)?;
                self.set_pointer(table, *step, pointer)?;
                goal = pointer + 1;
            }
        }
        Ok((self.checked(pointer)?, is_new))
    }

    /// Where the block is best: behind the one before it, else in the inode's group.
    fn goal(&self, inode: &Inode, index: u64) -> Result<u32> {
        let before = match index.checked_sub(1) {
            Some(before) => self.block_of(inode, before)?,
            None => 0,
        };
        if before != 0 {
            return Ok(before.saturating_add(1));
        }
        let group = (inode.number - 1) / self.layout.group_inodes;
        Ok(self.layout.first_block + group * self.layout.group_blocks)
    }

    /// Takes a block for a file; a block of pointers is zeroed.
    fn take(&mut self, inode: &mut Inode, goal: u32, is_table: bool) -> Result<u32> {
        let each = self.layout.block / 512;
        let sectors = inode.sectors.checked_add(each).ok_or(Error::TooLarge)?;
        let block = self.allocate_block(goal)?;
        if is_table {
            let zeroes = vec![0; self.layout.block as usize];
            self.device.write(self.layout.at(block), &zeroes, Order::Contents)?;
        }
        inode.sectors = sectors;
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_is_as_long_as_it_must_be() {
        let each = 256;
        let count = |index| Way::to(index, each).map(|way| way.count);
        assert_eq!([count(0), count(11), count(12)], [Some(1), Some(1), Some(2)]);
        assert_eq!([count(12 + 255), count(12 + 256)], [Some(2), Some(3)]);
        let third = 12 + 256 + 65536;
        assert_eq!([count(third - 1), count(third)], [Some(3), Some(4)]);
        assert_eq!(Way::to(third - 1, each).unwrap().steps, [13, 255, 255, 0]);
        assert_eq!(Way::to(third + 65536 + 257, each).unwrap().steps, [14, 1, 1, 1]);
        let end = third + (1 << 24);
        assert_eq!([count(end - 1), count(end), count(u64::MAX)], [Some(4), None, None]);
    }
}

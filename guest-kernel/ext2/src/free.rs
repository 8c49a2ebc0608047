//! Giving back what a file takes.

use crate::bytes::{get32, put32};
use crate::device::{Device, Order};
use crate::inode::{Inode, Kind, POINTERS};
use crate::map::DIRECT;
use crate::{Error, Ext2, Result};

/// First number of a block of extended attributes.
const ATTRIBUTES_MAGIC: u32 = 0xea02_0000;

impl<D: Device> Ext2<D> {
    /// Gives back the blocks of a file from block `first` on. `inode` is changed, not written.
    pub(crate) fn free_from(&mut self, inode: &mut Inode, first: u64) -> Result {
        let each = self.each();
        let mut start = 0;
        for index in 0..POINTERS {
            // How deep the tree below this pointer is, and how many blocks of the file it has.
            let depth = (index as u64 + 1).saturating_sub(DIRECT) as u32;
            let span = each.pow(depth);
            let pointer = inode.pointers[index];
            if pointer != 0 && start + span > first {
                let left = self.free_tree(inode, pointer, depth, first.saturating_sub(start))?;
                if !left {
                    inode.pointers[index] = 0;
                }
            }
            start += span;
        }
        Ok(())
    }

    /// Gives back the blocks below `block`, a tree of this depth, from its block `first` on. Whether
    /// anything is left of it.
    fn free_tree(&mut self, inode: &mut Inode, block: u32, depth: u32, first: u64) -> Result<bool> {
        if !self.layout.is_block(block) {
            return Err(Error::Corrupt("a pointer to a block"));
        }
        if depth > 0 {
            let span = self.each().pow(depth - 1);
            for index in first / span..self.each() {
                let pointer = self.pointer(block, index as u32)?;
                if pointer == 0 {
                    continue;
                }
                let below = first.saturating_sub(index * span);
                let left = self.free_tree(inode, pointer, depth - 1, below)?;
                // Where the whole block goes its contents stay: an interruption may bring it back.
                if !left && first > 0 {
                    self.set_pointer(block, index as u32, 0)?;
                }
            }
        }
        if first > 0 {
            return Ok(true);
        }
        self.free_block(block)?;
        inode.sectors = inode.sectors.saturating_sub(self.layout.block / 512);
        Ok(false)
    }

    /// Says that nobody uses an inode any more: if its last name is gone, so is the file.
    ///
    /// # Errors
    /// Corrupt, Device: it may not be freed altogether.
    pub fn forget(&mut self, number: u32) -> Result {
        if self.nameless.contains(&number) { self.free_inode(number) } else { Ok(()) }
    }

    /// Frees an inode without names, and all that it takes.
    pub(crate) fn free_inode(&mut self, number: u32) -> Result {
        let mut inode = self.inode(number)?;
        self.nameless.remove(&number);
        if self.has_blocks(&inode) {
            self.free_from(&mut inode, 0)?;
        }
        self.free_attributes(&mut inode)?;
        inode.size = 0;
        inode.deleted = self.now.max(1);
        self.write_inode(&inode)?;
        self.release_inode(number, inode.is_directory())?;
        self.bound_freed()
    }

    /// Whether the pointers of an inode are pointers: not those of a device or of a short link.
    pub(crate) fn has_blocks(&self, inode: &Inode) -> bool {
        let attributes = if inode.attributes == 0 { 0 } else { self.layout.block / 512 };
        match inode.kind() {
            Some(Kind::Regular | Kind::Directory) => true,
            Some(Kind::Link) => inode.sectors > attributes,
            _ => false,
        }
    }

    /// Gives back the block of extended attributes, which several files may share.
    fn free_attributes(&mut self, inode: &mut Inode) -> Result {
        let block = core::mem::take(&mut inode.attributes);
        if block == 0 {
            return Ok(());
        }
        if !self.layout.is_block(block) {
            return Err(Error::Corrupt("a block of extended attributes"));
        }
        let mut header = [0; 8];
        self.device.read(self.layout.at(block), &mut header)?;
        if get32(&header, 0) != ATTRIBUTES_MAGIC {
            return Err(Error::Corrupt("a block of extended attributes"));
        }
        let others = get32(&header, 4).saturating_sub(1);
        if others == 0 {
            self.free_block(block)?;
        } else {
            put32(&mut header, 4, others);
            self.device.write(self.layout.at(block), &header, Order::Contents)?;
        }
        inode.sectors = inode.sectors.saturating_sub(self.layout.block / 512);
        Ok(())
    }
}

//! The superblock and the group descriptors: what a volume says of itself.

use crate::bytes::{get16, get32};
use crate::{Error, Result};
use alloc::vec::Vec;

/// Where the superblock lies, and how long it is, bytes.
pub const AT: u64 = 1024;
/// Its length.
pub const BYTES: usize = 1024;
/// Bytes of a group descriptor.
pub const DESCRIPTOR: usize = 32;

/// `s_magic`.
const MAGIC: u16 = 0xef53;
/// `s_feature_incompat`: entries of directories have types.
const INCOMPAT_FILETYPE: u32 = 0x2;
/// `s_feature_ro_compat`: not every group has a copy of the superblock.
const RO_SPARSE_SUPER: u32 = 0x1;
/// `s_feature_ro_compat`: files of 2 GiB and more.
pub const RO_LARGE_FILE: u32 = 0x2;
/// Fewest blocks of a group, as `mke2fs` has it.
const GROUP_MIN: u32 = 256;
/// `s_state`: unmounted in order.
pub const STATE_CLEAN: u16 = 1;

/// Offsets of what changes.
pub mod field {
    /// `s_free_blocks_count`.
    pub const FREE_BLOCKS: usize = 12;
    /// `s_free_inodes_count`.
    pub const FREE_INODES: usize = 16;
    /// `s_mtime`.
    pub const MOUNTED: usize = 44;
    /// `s_wtime`.
    pub const WRITTEN: usize = 48;
    /// `s_mnt_count`.
    pub const MOUNTS: usize = 52;
    /// `s_state`.
    pub const STATE: usize = 58;
    /// `s_feature_ro_compat`.
    pub const RO_COMPAT: usize = 100;
}

/// What of a superblock stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Inodes.
    pub inodes: u32,
    /// Blocks.
    pub blocks: u32,
    /// The block that the superblock is in.
    pub first_block: u32,
    /// Bytes of a block.
    pub block: u32,
    /// Blocks of a group.
    pub group_blocks: u32,
    /// Inodes of a group.
    pub group_inodes: u32,
    /// Bytes of an inode.
    pub inode: u32,
    /// The first inode that is not reserved.
    pub first_inode: u32,
    /// Whether entries of directories have types.
    pub has_types: bool,
    /// Whether it may be written.
    pub writable: bool,
}

impl Layout {
    /// Reads a superblock. `bytes`: how many the device has.
    pub fn parse(raw: &[u8], bytes: u64) -> Result<Self> {
        if get16(raw, 56) != MAGIC {
            return Err(Error::Unknown("not an ext2 file system"));
        }
        let revision = get32(raw, 76);
        let (inode, first_inode, incompatible, read_only) = match revision {
            0 => (128, 11, 0, 0),
            1 => (u32::from(get16(raw, 88)), get32(raw, 84), get32(raw, 96), get32(raw, 100)),
            _ => return Err(Error::Unknown("a revision that is not known")),
        };
        if incompatible & !INCOMPAT_FILETYPE != 0 {
            return Err(Error::Unknown("features that are not known"));
        }
        let block = match get32(raw, 24) {
            shift @ 0..=2 => 1024u32 << shift,
            _ => return Err(Error::Unknown("blocks that are not of 1, 2 or 4 KiB")),
        };
        let layout = Self {
            inodes: get32(raw, 0),
            blocks: get32(raw, 4),
            first_block: get32(raw, 20),
            block,
            group_blocks: get32(raw, 32),
            group_inodes: get32(raw, 40),
            inode,
            first_inode,
            has_types: incompatible & INCOMPAT_FILETYPE != 0,
            writable: revision == 1 && read_only & !(RO_SPARSE_SUPER | RO_LARGE_FILE) == 0,
        };
        layout.check(bytes)?;
        Ok(layout)
    }

    fn check(&self, bytes: u64) -> Result {
        let bits = self.block * 8;
        let right = self.first_block == u32::from(self.block == 1024)
            && self.inode.is_power_of_two()
            && (128..=self.block).contains(&self.inode)
            && (GROUP_MIN..=bits).contains(&self.group_blocks)
            && (1..=bits).contains(&self.group_inodes)
            && self.blocks > self.first_block
            && u64::from(self.blocks) * u64::from(self.block) <= bytes
            && self.first_inode >= 11
            && self.inodes >= self.first_inode
            && u64::from(self.inodes) <= u64::from(self.groups()) * u64::from(self.group_inodes);
        if right { Ok(()) } else { Err(Error::Corrupt("the superblock")) }
    }

    /// How many groups there are.
    pub fn groups(&self) -> u32 {
        (self.blocks - self.first_block).div_ceil(self.group_blocks)
    }

    /// How many blocks a group has: fewer in the last.
    pub fn blocks_of(&self, group: u32) -> u32 {
        let start = self.first_block.saturating_add(group.saturating_mul(self.group_blocks));
        self.blocks.saturating_sub(start).min(self.group_blocks)
    }

    /// How many inodes a group has.
    pub fn inodes_of(&self, group: u32) -> u32 {
        self.inodes.saturating_sub(group.saturating_mul(self.group_inodes)).min(self.group_inodes)
    }

    /// Whether a file may use this block.
    pub fn is_block(&self, block: u32) -> bool {
        self.first_block < block && block < self.blocks
    }

    /// The first byte of a block.
    pub fn at(&self, block: u32) -> u64 {
        u64::from(block) * u64::from(self.block)
    }
}

/// A group descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Block of the bitmap of blocks.
    pub block_bitmap: u32,
    /// Block of the bitmap of inodes.
    pub inode_bitmap: u32,
    /// First block of the inodes.
    pub inode_table: u32,
    /// Free blocks.
    pub free_blocks: u16,
    /// Free inodes.
    pub free_inodes: u16,
    /// Directories.
    pub directories: u16,
    /// Whether the counts differ from what was written.
    pub changed: bool,
}

/// Reads all group descriptors.
pub fn groups(layout: &Layout, raw: &[u8]) -> Result<Vec<Group>> {
    let table = (layout.group_inodes * layout.inode).div_ceil(layout.block);
    let groups: Vec<Group> = raw
        .chunks_exact(DESCRIPTOR)
        .map(|raw| Group {
            block_bitmap: get32(raw, 0),
            inode_bitmap: get32(raw, 4),
            inode_table: get32(raw, 8),
            free_blocks: get16(raw, 12),
            free_inodes: get16(raw, 14),
            directories: get16(raw, 16),
            changed: false,
        })
        .collect();
    let right = groups.iter().all(|group| {
        let last = group.inode_table.checked_add(table - 1);
        [Some(group.block_bitmap), Some(group.inode_bitmap), Some(group.inode_table), last]
            .iter()
            .all(|block| block.is_some_and(|block| layout.is_block(block)))
    });
    if right { Ok(groups) } else { Err(Error::Corrupt("the group descriptors")) }
}

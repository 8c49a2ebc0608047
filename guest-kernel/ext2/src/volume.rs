//! A mounted volume: its numbers in memory, mounting, syncing, unmounting.

use crate::bytes::{get16, get32, put16, put32};
use crate::device::{Device, Order};
use crate::runs::Runs;
use crate::superblock::{self, AT, BYTES, DESCRIPTOR, Group, Layout, STATE_CLEAN, field};
use crate::{Error, Result};
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

/// Most runs of blocks that wait for a sync before they can be used again.
const FREED_RUNS: usize = 4096;

/// A mounted volume.
#[derive(Debug)]
pub struct Ext2<D> {
    pub(crate) device: D,
    pub(crate) layout: Layout,
    pub(crate) groups: Vec<Group>,
    pub(crate) free_blocks: u32,
    pub(crate) free_inodes: u32,
    /// Blocks freed since the last sync.
    pub(crate) freed_blocks: Runs,
    /// Inodes freed since the last sync.
    pub(crate) freed_inodes: Runs,
    /// Inodes without a name that somebody may still use.
    pub(crate) nameless: BTreeSet<u32>,
    pub(crate) now: u32,
    writable: bool,
    /// `s_state` when it was mounted.
    state: u16,
}

/// How full a volume is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Bytes of a block.
    pub block: u32,
    /// Blocks.
    pub blocks: u32,
    /// Free ones.
    pub free_blocks: u32,
    /// Inodes.
    pub inodes: u32,
    /// Free ones.
    pub free_inodes: u32,
}

impl<D: Device> Ext2<D> {
    /// Mounts the volume on a device; for writing, if wanted and possible. `now`: the time, seconds
    /// since 1970.
    ///
    /// # Errors
    /// Unknown, Corrupt: it cannot be mounted. Device.
    pub fn mount(device: D, writable: bool, now: u32) -> Result<Self> {
        let mut raw = [0; BYTES];
        if device.bytes() < AT + BYTES as u64 {
            return Err(Error::Unknown("not an ext2 file system"));
        }
        device.read(AT, &mut raw)?;
        let layout = Layout::parse(&raw, device.bytes())?;
        let mut table = vec![0; layout.groups() as usize * DESCRIPTOR];
        device.read(layout.at(layout.first_block + 1), &mut table)?;
        let volume = Self {
            device,
            layout,
            groups: superblock::groups(&layout, &table)?,
            free_blocks: get32(&raw, field::FREE_BLOCKS),
            free_inodes: get32(&raw, field::FREE_INODES),
            freed_blocks: Runs::default(),
            freed_inodes: Runs::default(),
            nameless: BTreeSet::new(),
            now,
            writable: writable && layout.writable,
            state: get16(&raw, field::STATE),
        };
        if volume.writable {
            volume.change_superblock(|raw| {
                put32(raw, field::MOUNTED, now);
                put16(raw, field::MOUNTS, get16(raw, field::MOUNTS).wrapping_add(1));
                put16(raw, field::STATE, get16(raw, field::STATE) & !STATE_CLEAN);
            })?;
            volume.device.flush()?;
        }
        Ok(volume)
    }

    /// Whether it can be written.
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Whether it was clean when it was mounted: unmounted in order, and no damage known.
    pub fn was_clean(&self) -> bool {
        self.state == STATE_CLEAN
    }

    /// Says what time it is, seconds since 1970: what changes from now on has that time.
    pub fn set_time(&mut self, now: u32) {
        self.now = now;
    }

    /// How full it is.
    pub fn space(&self) -> Space {
        Space {
            block: self.layout.block,
            blocks: self.layout.blocks,
            free_blocks: self.free_blocks,
            inodes: self.layout.inodes,
            free_inodes: self.free_inodes,
        }
    }

    /// Returns when all changes are on the disk.
    ///
    /// # Errors
    /// Device: some may not be.
    pub fn sync(&mut self) -> Result {
        if !self.writable {
            return Ok(());
        }
        for index in 0..self.groups.len() {
            self.write_group(index)?;
        }
        let (blocks, inodes, now) = (self.free_blocks, self.free_inodes, self.now);
        self.change_superblock(|raw| {
            put32(raw, field::FREE_BLOCKS, blocks);
            put32(raw, field::FREE_INODES, inodes);
            put32(raw, field::WRITTEN, now);
        })?;
        self.device.flush()?;
        self.freed_blocks.clear();
        self.freed_inodes.clear();
        Ok(())
    }

    /// Frees what has no name any more, syncs, and marks the volume clean, if it was when it was
    /// mounted. Nothing can be written afterwards.
    ///
    /// # Errors
    /// Device: some changes may not be on the disk, and the volume is not clean. Corrupt: likewise.
    pub fn unmount(&mut self) -> Result {
        if !self.writable {
            return Ok(());
        }
        while let Some(number) = self.nameless.first().copied() {
            self.free_inode(number)?;
        }
        self.sync()?;
        let state = self.state;
        self.change_superblock(|raw| put16(raw, field::STATE, state))?;
        self.device.flush()?;
        self.writable = false;
        Ok(())
    }

    /// What lies under the volume.
    pub fn device(&self) -> &D {
        &self.device
    }

    pub(crate) fn must_be_writable(&self) -> Result {
        if self.writable { Ok(()) } else { Err(Error::ReadOnly) }
    }

    /// Makes what is freed usable again before the list of it grows large.
    pub(crate) fn bound_freed(&mut self) -> Result {
        if self.freed_blocks.count() + self.freed_inodes.count() > FREED_RUNS {
            self.sync()?;
        }
        Ok(())
    }

    pub(crate) fn change_superblock(&self, change: impl FnOnce(&mut [u8])) -> Result {
        let mut raw = [0; BYTES];
        self.device.read(AT, &mut raw)?;
        change(&mut raw);
        self.device.write(AT, &raw, Order::Structure)?;
        Ok(())
    }

    /// Notes that files may be of 2 GiB and more from now on.
    pub(crate) fn allow_large_files(&self) -> Result {
        let mut raw = [0; BYTES];
        self.device.read(AT, &mut raw)?;
        let features = get32(&raw, field::RO_COMPAT);
        if features & superblock::RO_LARGE_FILE == 0 {
            self.change_superblock(|raw| {
                put32(raw, field::RO_COMPAT, features | superblock::RO_LARGE_FILE);
            })?;
        }
        Ok(())
    }

    fn write_group(&mut self, index: usize) -> Result {
        let at = self.layout.at(self.layout.first_block + 1) + (index * DESCRIPTOR) as u64;
        let Some(group) = self.groups.get_mut(index).filter(|group| group.changed) else {
            return Ok(());
        };
        let mut raw = [0; DESCRIPTOR];
        self.device.read(at, &mut raw)?;
        put16(&mut raw, 12, group.free_blocks);
        put16(&mut raw, 14, group.free_inodes);
        put16(&mut raw, 16, group.directories);
        self.device.write(at, &raw, Order::Structure)?;
        group.changed = false;
        Ok(())
    }
}

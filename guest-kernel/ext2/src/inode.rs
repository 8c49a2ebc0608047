//! Inodes: what a file is, apart from its name and contents.

use crate::bytes::{get16, get32, put16, put32};
use crate::device::{Device, Order};
use crate::{Error, Ext2, Result};
use alloc::vec;

/// Pointers to blocks in an inode.
pub const POINTERS: usize = 15;
/// Bytes of an inode that this crate knows.
const KNOWN: usize = 128;
/// `i_flags`: an index over a directory (`EXT2_INDEX_FL`).
pub const FLAG_INDEX: u32 = 0x1000;
/// `i_flags` of ext4 that say that the pointers are something else: extents, contents.
const FLAGS_FOREIGN: u32 = 0x8_0000 | 0x1000_0000;

/// What a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A named pipe.
    Fifo,
    /// A device of characters.
    Characters,
    /// A directory.
    Directory,
    /// A device of blocks.
    Blocks,
    /// A file.
    Regular,
    /// A symbolic link.
    Link,
    /// A socket.
    Socket,
}

impl Kind {
    /// The kind with these type bits of a mode.
    pub fn from_mode(mode: u32) -> Option<Self> {
        Some(match mode & 0o170_000 {
            0o010_000 => Self::Fifo,
            0o020_000 => Self::Characters,
            0o040_000 => Self::Directory,
            0o060_000 => Self::Blocks,
            0o100_000 => Self::Regular,
            0o120_000 => Self::Link,
            0o140_000 => Self::Socket,
            _ => return None,
        })
    }

    /// Its type bits of a mode.
    pub fn mode(self) -> u32 {
        match self {
            Self::Fifo => 0o010_000,
            Self::Characters => 0o020_000,
            Self::Directory => 0o040_000,
            Self::Blocks => 0o060_000,
            Self::Regular => 0o100_000,
            Self::Link => 0o120_000,
            Self::Socket => 0o140_000,
        }
    }
}

/// An inode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inode {
    /// Its number.
    pub number: u32,
    /// Type and permissions.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Last read, seconds since 1970.
    pub accessed: u32,
    /// Last changed in any way.
    pub changed: u32,
    /// Last written.
    pub modified: u32,
    /// Names that it has.
    pub links: u16,
    /// What it takes, in units of 512 bytes.
    pub sectors: u32,
    pub(crate) deleted: u32,
    pub(crate) flags: u32,
    pub(crate) pointers: [u32; POINTERS],
    pub(crate) generation: u32,
    /// Block of extended attributes; 0: none.
    pub(crate) attributes: u32,
}

/// What [`Ext2::change`] changes; None: stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// Permissions, of which the lower twelve bits count.
    pub permissions: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Last read.
    pub accessed: Option<u32>,
    /// Last written.
    pub modified: Option<u32>,
}

impl Inode {
    /// What it is. None: nothing that exists.
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_mode(u32::from(self.mode))
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind() == Some(Kind::Directory)
    }

    /// Which device it is, major and minor number; for devices.
    pub fn special(&self) -> (u32, u32) {
        match (self.pointers[0], self.pointers[1]) {
            (0, new) => (new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xf_ff00),
            (old, _) => (old >> 8 & 0xff, old & 0xff),
        }
    }

    pub(crate) fn set_special(&mut self, major: u32, minor: u32) {
        if major < 256 && minor < 256 {
            self.pointers[0] = major << 8 | minor;
        } else {
            self.pointers[1] = minor & 0xff | major << 8 | (minor & !0xff) << 12;
        }
    }

    fn parse(number: u32, raw: &[u8]) -> Self {
        let mut pointers = [0; POINTERS];
        for (index, pointer) in pointers.iter_mut().enumerate() {
            *pointer = get32(raw, 40 + 4 * index);
        }
        let mode = get16(raw, 0);
        // In directories the upper half is something else.
        let regular = Kind::from_mode(u32::from(mode)) == Some(Kind::Regular);
        let high = if regular { get32(raw, 108) } else { 0 };
        Self {
            number,
            mode,
            uid: u32::from(get16(raw, 2)) | u32::from(get16(raw, 120)) << 16,
            gid: u32::from(get16(raw, 24)) | u32::from(get16(raw, 122)) << 16,
            size: u64::from(get32(raw, 4)) | u64::from(high) << 32,
            accessed: get32(raw, 8),
            changed: get32(raw, 12),
            modified: get32(raw, 16),
            deleted: get32(raw, 20),
            links: get16(raw, 26),
            sectors: get32(raw, 28),
            flags: get32(raw, 32),
            pointers,
            generation: get32(raw, 100),
            attributes: get32(raw, 104),
        }
    }

    fn encode(&self, raw: &mut [u8]) {
        put16(raw, 0, self.mode);
        put16(raw, 2, self.uid as u16);
        put16(raw, 120, (self.uid >> 16) as u16);
        put16(raw, 24, self.gid as u16);
        put16(raw, 122, (self.gid >> 16) as u16);
        put32(raw, 4, self.size as u32);
        if self.kind() == Some(Kind::Regular) {
            put32(raw, 108, (self.size >> 32) as u32);
        }
        put32(raw, 8, self.accessed);
        put32(raw, 12, self.changed);
        put32(raw, 16, self.modified);
        put32(raw, 20, self.deleted);
        put16(raw, 26, self.links);
        put32(raw, 28, self.sectors);
        put32(raw, 32, self.flags);
        for (index, pointer) in self.pointers.iter().enumerate() {
            put32(raw, 40 + 4 * index, *pointer);
        }
        put32(raw, 100, self.generation);
        put32(raw, 104, self.attributes);
    }
}

impl<D: Device> Ext2<D> {
    /// Where an inode lies.
    fn inode_at(&self, number: u32) -> Result<u64> {
        if number == 0 || number > self.layout.inodes {
            return Err(Error::Corrupt("the number of an inode"));
        }
        let group = (number - 1) / self.layout.group_inodes;
        let index = (number - 1) % self.layout.group_inodes;
        let group = self.groups.get(group as usize).ok_or(Error::Corrupt("a group"))?;
        Ok(self.layout.at(group.inode_table) + u64::from(index) * u64::from(self.layout.inode))
    }

    /// An inode that is in use, or was until its last name went.
    ///
    /// # Errors
    /// Corrupt: it is not in use, or is something that ext2 has not. Device.
    pub fn inode(&self, number: u32) -> Result<Inode> {
        let mut raw = [0; KNOWN];
        self.device.read(self.inode_at(number)?, &mut raw)?;
        let inode = Inode::parse(number, &raw);
        if inode.kind().is_none() || (inode.links == 0 && !self.nameless.contains(&number)) {
            return Err(Error::Corrupt("an inode that is not in use"));
        }
        if inode.flags & FLAGS_FOREIGN != 0 {
            return Err(Error::Corrupt("an inode of another file system"));
        }
        Ok(inode)
    }

    pub(crate) fn write_inode(&self, inode: &Inode) -> Result {
        let at = self.inode_at(inode.number)?;
        let mut raw = [0; KNOWN];
        self.device.read(at, &mut raw)?;
        inode.encode(&mut raw);
        self.device.write(at, &raw, Order::Structure)?;
        Ok(())
    }

    /// Makes an inode out of nothing, without a name.
    pub(crate) fn new_inode(&mut self, parent: u32, kind: Kind, permissions: u32) -> Result<Inode> {
        let number = self.allocate_inode(parent, kind == Kind::Directory)?;
        let at = self.inode_at(number)?;
        self.device.write(at, &vec![0; self.layout.inode as usize], Order::Structure)?;
        Ok(Inode {
            number,
            mode: (kind.mode() | permissions & 0o7777) as u16,
            uid: 0,
            gid: 0,
            size: 0,
            accessed: self.now,
            changed: self.now,
            modified: self.now,
            links: 0,
            sectors: 0,
            deleted: 0,
            flags: 0,
            pointers: [0; POINTERS],
            generation: self.now.wrapping_mul(0x9e37_79b9) ^ number,
            attributes: 0,
        })
    }

    /// Changes permissions, owner, times.
    ///
    /// # Errors
    /// ReadOnly, Corrupt, Device.
    pub fn change(&mut self, number: u32, change: &Change) -> Result {
        self.must_be_writable()?;
        let mut inode = self.inode(number)?;
        if let Some(permissions) = change.permissions {
            inode.mode = inode.mode & 0o170_000 | permissions as u16 & 0o7777;
        }
        inode.uid = change.uid.unwrap_or(inode.uid);
        inode.gid = change.gid.unwrap_or(inode.gid);
        inode.accessed = change.accessed.unwrap_or(inode.accessed);
        inode.modified = change.modified.unwrap_or(inode.modified);
        inode.changed = self.now;
        self.write_inode(&inode)
    }
}

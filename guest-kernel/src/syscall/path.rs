//! Paths as system calls give them: an address, and the directory that a relative one begins at.

use super::errno::{ENAMETOOLONG, ENOENT, ENOTDIR};
use super::{Call, Result, read_string, signed};
use crate::fs::place::{Place, PlaceFile};
use crate::fs::root;
use crate::fs::tree::{Last, Tree};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Longest path with its NUL.
const PATH_MAX: usize = 4096;
/// The current directory, in place of a descriptor.
pub const AT_FDCWD: u32 = -100i32 as u32;
/// A symbolic link at the end is meant itself.
pub const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
/// An empty path means the descriptor's own file.
pub const AT_EMPTY_PATH: u32 = 0x1000;

/// Reads a path.
pub fn read(address: u32) -> Result<Vec<u8>> {
    read_string(address, PATH_MAX, ENAMETOOLONG)
}

/// The place that a descriptor has open.
pub fn place(call: &Call<'_>, fd: u32) -> Result<Option<Place>> {
    let open = call.open_file(fd)?;
    Ok(open.file.as_kind::<PlaceFile>().map(|file| file.0.clone()))
}

/// The directory that relative paths begin at.
pub fn current(call: &Call<'_>) -> Place {
    root::directory(&call.process.files.borrow())
}

/// A path with the directory that it begins at.
pub struct Start {
    /// The machine's tree.
    pub tree: Arc<Tree>,
    /// The directory.
    pub from: Place,
    /// The path.
    pub path: Vec<u8>,
}

impl Start {
    /// The path at `address`, from the directory `fd` or the current one.
    pub fn at(call: &Call<'_>, fd: u32, address: u32) -> Result<Self> {
        let path = read(address)?;
        let from = if path.starts_with(b"/") || signed(fd) == signed(AT_FDCWD) {
            current(call)
        } else {
            place(call, fd)?.ok_or(ENOTDIR)?
        };
        Ok(Self { tree: root::tree(), from, path })
    }

    /// What it leads to.
    pub fn find(&self, last: Last) -> Result<Place> {
        self.tree.find(&self.from, &self.path, last)
    }
}

/// What a path leads to, by the flags of the calls whose names end in `at`.
pub fn find(call: &Call<'_>, fd: u32, address: u32, flags: u32) -> Result<Place> {
    let start = Start::at(call, fd, address)?;
    if start.path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        return if signed(fd) == signed(AT_FDCWD) {
            Ok(start.from)
        } else {
            place(call, fd)?.ok_or(ENOENT)
        };
    }
    start.find(if flags & AT_SYMLINK_NOFOLLOW != 0 { Last::Keep } else { Last::Follow })
}

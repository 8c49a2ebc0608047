//! The initrd as a file system: its members, unpacked into memory, but for the bytes of its files.

use super::file::{DIRECTORY, LINK, REGULAR, Result, TYPE};
use super::system::{Change, FileSystem};
use super::tmpfs::Tmpfs;
use crate::initrd::Initrd;

/// Puts all members of an archive into a file system; then the directories that things are mounted
/// on, if it has them not. What cannot be there, as a file in a file, is left out.
pub fn unpack(archive: &Initrd, into: &Tmpfs, mount_points: &[&str]) {
    for member in archive.members() {
        let (mode, bytes) = (member.mode, member.bytes);
        let change = Change { modified: Some(member.modified), ..Change::default() };
        let put = |directory, name: &[u8]| match mode & TYPE {
            DIRECTORY => make_directory(into, directory, name, mode),
            LINK => into.symlink(directory, name, bytes),
            REGULAR => into.create_with(directory, name, mode, bytes),
            _ => into.create(directory, name, mode, 0),
        };
        let placed = parent(into, member.path)
            .and_then(|directory| put(directory, member.name().as_bytes()))
            .and_then(|inode| into.change(inode, &change));
        if let Err(errno) = placed {
            log::debug!("initrd: {}: {errno}", member.path);
        }
    }
    for path in mount_points {
        let name = path.trim_start_matches('/').as_bytes();
        let _ = make_directory(into, into.root(), name, DIRECTORY | 0o755);
    }
}

/// The directory that a path's last component is in; those on the way are made.
fn parent(into: &Tmpfs, path: &str) -> Result<u64> {
    let Some((directories, _)) = path.rsplit_once('/') else { return Ok(into.root()) };
    directories.split('/').try_fold(into.root(), |directory, name| {
        make_directory(into, directory, name.as_bytes(), DIRECTORY | 0o755)
    })
}

/// A directory of this name, which may be there already.
fn make_directory(into: &Tmpfs, directory: u64, name: &[u8], mode: u32) -> Result<u64> {
    if name.is_empty() {
        return Ok(directory);
    }
    match into.lookup(directory, name) {
        Ok(inode) => Ok(inode),
        Err(_) => into.create(directory, name, mode, 0),
    }
}

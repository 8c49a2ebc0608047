//! System calls about the current directory, about the umask, and that list directories.

use super::errno::{EINVAL, ENOTDIR, ERANGE};
use super::path::{self, AT_FDCWD};
use super::{Call, Result};
use crate::fs::file::{DIRECTORY, TYPE};
use crate::fs::place::Place;
use crate::fs::root;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use ring1::uaccess::copy_to_user;

fn change(call: &Call<'_>, place: Place) -> Result {
    if !place.status()?.is(DIRECTORY) {
        return Err(ENOTDIR);
    }
    let before = call.process.files.borrow().set_directory(place);
    drop(before);
    Ok(0)
}

/// `chdir(path)`.
pub fn chdir(call: &mut Call<'_>) -> Result {
    change(call, path::find(call, AT_FDCWD, call.a(), 0)?)
}

/// `fchdir(fd)`.
pub fn fchdir(call: &mut Call<'_>) -> Result {
    change(call, path::place(call, call.a())?.ok_or(ENOTDIR)?)
}

/// `getcwd(buffer, size)`: the path's length with its NUL.
pub fn getcwd(call: &mut Call<'_>) -> Result {
    let mut path = root::tree().path(&path::current(call))?;
    path.push(0);
    if path.len() > call.b() as usize {
        return Err(ERANGE);
    }
    copy_to_user(call.a(), &path)?;
    Ok(path.len() as u32)
}

/// `umask(mask)`.
pub fn umask(call: &mut Call<'_>) -> Result {
    Ok(call.process.files.borrow().set_umask(call.a()))
}

/// Bytes of entries after which a call lists no more.
const LISTED: usize = 32 * 1024;

/// `getdents64(fd, buffer, size)`.
pub fn getdents64(call: &mut Call<'_>) -> Result {
    let open = call.open_file(call.a())?;
    let room = call.c() as usize;
    let mut out: Vec<u8> = Vec::new();
    let (mut next, mut full) = (open.position.load(Ordering::Relaxed), false);
    open.file.entries(next, &mut |entry| {
        // u64 inode, u64 offset of the next, u16 length, u8 type, name and NUL, to 8 bytes.
        let length = (19 + entry.name.len() + 1).next_multiple_of(8);
        let end = out.len() + length;
        full = end > room || out.len() >= LISTED;
        if full {
            return false;
        }
        next = entry.next;
        out.extend_from_slice(&entry.inode.to_le_bytes());
        out.extend_from_slice(&next.to_le_bytes());
        out.extend_from_slice(&(length as u16).to_le_bytes());
        out.push(((entry.kind & TYPE) >> 12) as u8);
        out.extend_from_slice(entry.name);
        out.resize(end, 0);
        true
    })?;
    if full && out.is_empty() {
        return Err(EINVAL);
    }
    copy_to_user(call.b(), &out)?;
    open.position.store(next, Ordering::Relaxed);
    Ok(out.len() as u32)
}

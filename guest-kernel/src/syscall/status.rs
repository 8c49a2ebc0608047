//! System calls that tell what a file is: status, directories, the terminal's properties.

use super::errno::{EACCES, EINVAL, ENOENT, ENOTDIR, ERANGE, EROFS};
use super::file::missing;
use super::{Call, Result, read_path, signed};
use crate::arch::uaccess::copy_to_user;
use crate::fs;
use crate::fs::file::{CHARACTERS, Flags, Open, Status, TYPE};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

/// `access(path, mode)`.
pub fn access(call: &mut Call<'_>) -> Result {
    let path = read_path(call.a())?;
    let status = find(&path)?.file.status()?;
    match call.b() {
        _ if status.is(CHARACTERS) => Ok(0),
        mode if mode & 2 != 0 => Err(EROFS),
        mode if mode & 1 != 0 && status.mode & 0o111 == 0 => Err(EACCES),
        mode if mode > 7 => Err(EINVAL),
        _ => Ok(0),
    }
}

/// `ioctl(fd, request, argument)`.
pub fn ioctl(call: &mut Call<'_>) -> Result {
    call.open_file(call.a())?.file.ioctl(call.b(), call.c())
}

/// `getcwd(buffer, size)`: always `/`.
pub fn getcwd(call: &mut Call<'_>) -> Result {
    if call.b() < 2 {
        return Err(ERANGE);
    }
    copy_to_user(call.a(), b"/\0")?;
    Ok(2)
}

/// What a path leads to.
fn find(path: &str) -> Result<Open> {
    fs::open(path, Flags::empty()).map_err(|_| missing(path))
}

/// A status as `struct stat64` of i386, 96 bytes.
fn encode(status: &Status) -> [u8; 96] {
    let mut out = [0u8; 96];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &status.device.to_le_bytes()); // st_dev
    put(12, &(status.inode as u32).to_le_bytes()); // __st_ino
    put(16, &status.mode.to_le_bytes());
    put(20, &status.links.to_le_bytes()); // st_nlink
    put(24, &status.uid.to_le_bytes());
    put(28, &status.gid.to_le_bytes());
    put(32, &status.special.to_le_bytes()); // st_rdev
    put(44, &status.size.to_le_bytes());
    put(52, &status.block_size.to_le_bytes()); // st_blksize
    put(56, &status.blocks.to_le_bytes());
    put(64, &status.accessed.to_le_bytes());
    put(72, &status.modified.to_le_bytes());
    put(80, &status.changed.to_le_bytes());
    put(88, &status.inode.to_le_bytes());
    out
}

/// `stat64(path, *status)`, `lstat64(path, *status)`.
pub fn stat64(call: &mut Call<'_>) -> Result {
    let path = read_path(call.a())?;
    if path.is_empty() {
        return Err(ENOENT);
    }
    copy_to_user(call.b(), &encode(&find(&path)?.file.status()?))?;
    Ok(0)
}

/// `fstat64(fd, *status)`.
pub fn fstat64(call: &mut Call<'_>) -> Result {
    let open = call.open_file(call.a())?;
    copy_to_user(call.b(), &encode(&open.file.status()?))?;
    Ok(0)
}

/// `fstatat64(directory, path, *status, flags)`: absolute paths, `AT_FDCWD`, `AT_EMPTY_PATH`.
pub fn fstatat64(call: &mut Call<'_>) -> Result {
    const AT_EMPTY_PATH: u32 = 0x1000;
    let path = read_path(call.b())?;
    let status = if path.is_empty() {
        if call.d() & AT_EMPTY_PATH == 0 {
            return Err(ENOENT);
        }
        call.open_file(call.a())?.file.status()?
    } else {
        if !path.starts_with('/') && signed(call.a()) != -100 {
            call.open_file(call.a())?;
            return Err(ENOTDIR);
        }
        find(&path)?.file.status()?
    };
    copy_to_user(call.c(), &encode(&status))?;
    Ok(0)
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

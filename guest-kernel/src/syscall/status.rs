//! System calls that tell what a file is: status, directories, the terminal's properties.

use super::errno::{EACCES, EFAULT, EINVAL, ENOENT, ENOTDIR, ENOTTY, ERANGE, EROFS};
use super::file::missing;
use super::{Call, Result, read_path, signed};
use crate::arch::uaccess::{copy_to_user, write_user};
use crate::fs::{self, Kind, Open};
use alloc::vec::Vec;

/// `access(path, mode)`.
pub fn access(call: &mut Call<'_>) -> Result {
    let path = read_path(call.a())?;
    let open = fs::open(&path, false).map_err(|_| missing(&path))?;
    let Kind::Member(member) = &open.kind else { return Ok(0) };
    match call.b() {
        mode if mode & 2 != 0 => Err(EROFS),
        mode if mode & 1 != 0 && member.mode & 0o111 == 0 => Err(EACCES),
        mode if mode > 7 => Err(EINVAL),
        _ => Ok(0),
    }
}

/// `ioctl(fd, request, argument)`: `TCGETS` and `TIOCGWINSZ` of the console.
pub fn ioctl(call: &mut Call<'_>) -> Result {
    let open = call.open_file(call.a())?;
    if !matches!(open.kind, Kind::Console) {
        return Err(ENOTTY);
    }
    match call.b() {
        0x5401 => {
            // struct termios: ICRNL, OPOST|ONLCR, B38400|CS8|CREAD, ISIG|ICANON|ECHO|ECHOE; c_line,
            // c_cc[19].
            let flags = [0o400u32, 0o5, 0o277, 0o33];
            write_user(call.c(), &flags)?;
            let mut rest = [0u8; 20];
            rest[1..6].copy_from_slice(&[3, 28, 127, 21, 4]);
            copy_to_user(call.c().checked_add(16).ok_or(EFAULT)?, &rest)?;
            Ok(0)
        }
        0x5413 => {
            write_user(call.c(), &[24u16, 80, 0, 0])?;
            Ok(0)
        }
        _ => Err(ENOTTY),
    }
}

/// `getcwd(buffer, size)`: always `/`.
pub fn getcwd(call: &mut Call<'_>) -> Result {
    if call.b() < 2 {
        return Err(ERANGE);
    }
    copy_to_user(call.a(), b"/\0")?;
    Ok(2)
}

/// What `stat64` tells of an open file: `struct stat64` of i386, 96 bytes.
fn status(open: &Open) -> [u8; 96] {
    let (mode, size, inode, time) = match &open.kind {
        Kind::Console | Kind::Null | Kind::Zero => (0o020_666, 0, 1, 0),
        Kind::PipeReader(_) | Kind::PipeWriter(_) => (0o010_600, 0, 1, 0),
        Kind::Member(member) => {
            (member.mode, member.bytes.len() as u64, member.inode, member.modified)
        }
    };
    let mut out = [0u8; 96];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &1u64.to_le_bytes()); // st_dev
    put(12, &inode.to_le_bytes()); // __st_ino
    put(16, &mode.to_le_bytes());
    put(20, &1u32.to_le_bytes()); // st_nlink
    if mode & 0o170_000 == 0o020_000 {
        put(32, &0x0501u64.to_le_bytes()); // st_rdev: /dev/console
    }
    put(44, &size.to_le_bytes());
    put(52, &4096u32.to_le_bytes()); // st_blksize
    put(56, &size.div_ceil(512).to_le_bytes());
    for at in [64, 72, 80] {
        put(at, &time.to_le_bytes()); // st_atime, st_mtime, st_ctime
    }
    put(88, &u64::from(inode).to_le_bytes());
    out
}

/// `stat64(path, *status)`, `lstat64(path, *status)`.
pub fn stat64(call: &mut Call<'_>) -> Result {
    let path = read_path(call.a())?;
    if path.is_empty() {
        return Err(ENOENT);
    }
    let open = fs::open(&path, false).map_err(|_| missing(&path))?;
    copy_to_user(call.b(), &status(&open))?;
    Ok(0)
}

/// `fstat64(fd, *status)`.
pub fn fstat64(call: &mut Call<'_>) -> Result {
    let open = call.open_file(call.a())?;
    copy_to_user(call.b(), &status(&open))?;
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
        status(&*call.open_file(call.a())?)
    } else {
        if !path.starts_with('/') && signed(call.a()) != -100 {
            call.open_file(call.a())?;
            return Err(ENOTDIR);
        }
        status(&fs::open(&path, false).map_err(|_| missing(&path))?)
    };
    copy_to_user(call.c(), &status)?;
    Ok(0)
}

/// `getdents64(fd, buffer, size)`.
pub fn getdents64(call: &mut Call<'_>) -> Result {
    let open = call.open_file(call.a())?;
    let Kind::Member(directory) = &open.kind else { return Err(ENOTDIR) };
    if !directory.is_directory() {
        return Err(ENOTDIR);
    }
    let start = open.position.with(|position| *position);
    let own = [(".", directory.inode, 4u8), ("..", 1, 4)];
    let members = fs::initrd()
        .list(directory.path)
        .map(|member| (member.name(), member.inode, if member.is_directory() { 4 } else { 8 }));
    let mut out: Vec<u8> = Vec::new();
    let mut next = start;
    for (name, inode, kind) in own.into_iter().chain(members).skip(start as usize) {
        // u64 inode, u64 offset of the next, u16 length, u8 type, name and NUL, to 8 bytes.
        let length = (19 + name.len() + 1).next_multiple_of(8);
        if out.len() + length > call.c() as usize {
            if out.is_empty() {
                return Err(EINVAL);
            }
            break;
        }
        next += 1;
        let end = out.len() + length;
        out.extend_from_slice(&u64::from(inode.max(1)).to_le_bytes());
        out.extend_from_slice(&next.to_le_bytes());
        out.extend_from_slice(&(length as u16).to_le_bytes());
        out.push(kind);
        out.extend_from_slice(name.as_bytes());
        out.resize(end, 0);
    }
    copy_to_user(call.b(), &out)?;
    open.position.with(|position| *position = next);
    Ok(out.len() as u32)
}

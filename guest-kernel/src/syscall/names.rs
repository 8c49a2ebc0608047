//! System calls that make names and take them away.

use super::errno::{EINVAL, EPERM};
use super::path::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, Start, find};
use super::{Call, Result, enough_memory, path};
use crate::fs::file::{BLOCKS, CHARACTERS, DIRECTORY, FIFO, REGULAR, SOCKET, TYPE};
use ring1::uaccess::copy_to_user;

const AT_REMOVEDIR: u32 = 0x200;
const AT_SYMLINK_FOLLOW: u32 = 0x400;

/// A mode for something new: without what the umask takes away.
fn mode(call: &Call<'_>, mode: u32) -> u32 {
    mode & !call.process.files.borrow().umask()
}

fn make(call: &Call<'_>, fd: u32, address: u32, wanted: u32, device: u32) -> Result {
    enough_memory()?;
    let kind = if wanted & TYPE == 0 { REGULAR } else { wanted & TYPE };
    let mode = kind | mode(call, wanted & 0o7777);
    let start = Start::at(call, fd, address)?;
    start.tree.make(&start.from, &start.path, mode, u64::from(device))?;
    Ok(0)
}

/// `mkdir(path, mode)`.
pub fn mkdir(call: &mut Call<'_>) -> Result {
    make(call, AT_FDCWD, call.a(), DIRECTORY | call.b() & 0o7777, 0)
}

/// `mkdirat(directory, path, mode)`.
pub fn mkdirat(call: &mut Call<'_>) -> Result {
    make(call, call.a(), call.b(), DIRECTORY | call.c() & 0o7777, 0)
}

fn node(call: &Call<'_>, fd: u32, address: u32, mode: u32, device: u32) -> Result {
    match mode & TYPE {
        0 | REGULAR | FIFO | SOCKET => make(call, fd, address, mode, 0),
        CHARACTERS | BLOCKS => make(call, fd, address, mode, device),
        DIRECTORY => Err(EPERM),
        _ => Err(EINVAL),
    }
}

/// `mknod(path, mode, device)`.
pub fn mknod(call: &mut Call<'_>) -> Result {
    node(call, AT_FDCWD, call.a(), call.b(), call.c())
}

/// `mknodat(directory, path, mode, device)`.
pub fn mknodat(call: &mut Call<'_>) -> Result {
    node(call, call.a(), call.b(), call.c(), call.d())
}

fn remove(call: &Call<'_>, fd: u32, address: u32, flags: u32) -> Result {
    let start = Start::at(call, fd, address)?;
    match flags {
        0 => start.tree.unlink(&start.from, &start.path)?,
        AT_REMOVEDIR => start.tree.remove_directory(&start.from, &start.path)?,
        _ => return Err(EINVAL),
    }
    Ok(0)
}

/// `unlink(path)`.
pub fn unlink(call: &mut Call<'_>) -> Result {
    remove(call, AT_FDCWD, call.a(), 0)
}

/// `rmdir(path)`.
pub fn rmdir(call: &mut Call<'_>) -> Result {
    remove(call, AT_FDCWD, call.a(), AT_REMOVEDIR)
}

/// `unlinkat(directory, path, flags)`.
pub fn unlinkat(call: &mut Call<'_>) -> Result {
    remove(call, call.a(), call.b(), call.c())
}

fn move_name(call: &Call<'_>, fd: u32, address: u32, new_fd: u32, new: u32) -> Result {
    enough_memory()?;
    let (old, new) = (Start::at(call, fd, address)?, Start::at(call, new_fd, new)?);
    old.tree.rename(&old.from, &old.path, &new.from, &new.path)?;
    Ok(0)
}

/// `rename(path, path)`.
pub fn rename(call: &mut Call<'_>) -> Result {
    move_name(call, AT_FDCWD, call.a(), AT_FDCWD, call.b())
}

/// `renameat(directory, path, directory, path)`.
pub fn renameat(call: &mut Call<'_>) -> Result {
    move_name(call, call.a(), call.b(), call.c(), call.d())
}

/// `renameat2(directory, path, directory, path, flags)`, without any.
pub fn renameat2(call: &mut Call<'_>) -> Result {
    if call.e() != 0 {
        return Err(EINVAL);
    }
    renameat(call)
}

/// `link(path, path)`.
pub fn link(call: &mut Call<'_>) -> Result {
    enough_memory()?;
    let file = find(call, AT_FDCWD, call.a(), AT_SYMLINK_NOFOLLOW)?;
    let new = Start::at(call, AT_FDCWD, call.b())?;
    new.tree.link(&file, &new.from, &new.path)?;
    Ok(0)
}

/// `linkat(directory, path, directory, path, flags)`.
pub fn linkat(call: &mut Call<'_>) -> Result {
    enough_memory()?;
    if call.e() & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(EINVAL);
    }
    let last = if call.e() & AT_SYMLINK_FOLLOW != 0 { 0 } else { AT_SYMLINK_NOFOLLOW };
    let file = find(call, call.a(), call.b(), last | call.e() & AT_EMPTY_PATH)?;
    let new = Start::at(call, call.c(), call.d())?;
    new.tree.link(&file, &new.from, &new.path)?;
    Ok(0)
}

fn make_link(call: &Call<'_>, target: u32, fd: u32, address: u32) -> Result {
    enough_memory()?;
    let target = path::read(target)?;
    let start = Start::at(call, fd, address)?;
    start.tree.symlink(&start.from, &start.path, &target)?;
    Ok(0)
}

/// `symlink(target, path)`.
pub fn symlink(call: &mut Call<'_>) -> Result {
    make_link(call, call.a(), AT_FDCWD, call.b())
}

/// `symlinkat(target, directory, path)`.
pub fn symlinkat(call: &mut Call<'_>) -> Result {
    make_link(call, call.a(), call.b(), call.c())
}

fn read_link(call: &Call<'_>, fd: u32, address: u32, buffer: u32, size: u32) -> Result {
    if size == 0 {
        return Err(EINVAL);
    }
    let place = find(call, fd, address, path::AT_SYMLINK_NOFOLLOW)?;
    let target = place.mount.system.read_link(place.inode)?;
    let count = target.len().min(size as usize);
    copy_to_user(buffer, target.get(..count).unwrap_or_default())?;
    Ok(count as u32)
}

/// `readlink(path, buffer, size)`.
pub fn readlink(call: &mut Call<'_>) -> Result {
    read_link(call, AT_FDCWD, call.a(), call.b(), call.c())
}

/// `readlinkat(directory, path, buffer, size)`.
pub fn readlinkat(call: &mut Call<'_>) -> Result {
    read_link(call, call.a(), call.b(), call.c(), call.d())
}

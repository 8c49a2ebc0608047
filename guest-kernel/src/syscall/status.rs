//! System calls that tell what a file is, and change it.

use super::errno::{EACCES, EINVAL};
use super::path::{self, AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, find};
use super::{Call, Result, signed};
use crate::fs::file::{DIRECTORY, REGULAR, Status, device_numbers};
use crate::fs::place::Place;
use crate::fs::root;
use crate::fs::system::Change;
use ring1::uaccess::{copy_to_user, read_user};

/// Flags of `fstatat64` that change nothing here: nothing is mounted by looking, and all is up to date.
const AT_HARMLESS: u32 = 0x800 | 0x6000;

/// May the path be used so? Everybody is root: what can be written is, and something is executed if
/// anybody may.
fn may(place: &Place, mode: u32) -> Result {
    if mode > 7 {
        return Err(EINVAL);
    }
    let status = place.status()?;
    if mode & 2 != 0 && (status.is(DIRECTORY) || status.is(REGULAR)) {
        place.mount.must_be_writable()?;
    }
    if mode & 1 != 0 && !status.is(DIRECTORY) && status.mode & 0o111 == 0 {
        return Err(EACCES);
    }
    Ok(0)
}

/// `access(path, mode)`.
pub fn access(call: &mut Call<'_>) -> Result {
    may(&find(call, AT_FDCWD, call.a(), 0)?, call.b())
}

/// `faccessat(directory, path, mode)`.
pub fn faccessat(call: &mut Call<'_>) -> Result {
    may(&find(call, call.a(), call.b(), 0)?, call.c())
}

/// `faccessat2(directory, path, mode, flags)`.
pub fn faccessat2(call: &mut Call<'_>) -> Result {
    may(&find(call, call.a(), call.b(), call.d())?, call.c())
}

/// `ioctl(fd, request, argument)`.
pub fn ioctl(call: &mut Call<'_>) -> Result {
    call.open_file(call.a())?.file.ioctl(call.b(), call.c())
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

/// `stat64(path, *status)`.
pub fn stat64(call: &mut Call<'_>) -> Result {
    let status = find(call, AT_FDCWD, call.a(), 0)?.status()?;
    copy_to_user(call.b(), &encode(&status))?;
    Ok(0)
}

/// `lstat64(path, *status)`.
pub fn lstat64(call: &mut Call<'_>) -> Result {
    let status = find(call, AT_FDCWD, call.a(), AT_SYMLINK_NOFOLLOW)?.status()?;
    copy_to_user(call.b(), &encode(&status))?;
    Ok(0)
}

/// `fstat64(fd, *status)`.
pub fn fstat64(call: &mut Call<'_>) -> Result {
    let open = call.open_file(call.a())?;
    copy_to_user(call.b(), &encode(&open.file.status()?))?;
    Ok(0)
}

/// The status of what a path leads to, or, where it is empty, of an open file of any kind.
fn status(call: &Call<'_>, fd: u32, address: u32, flags: u32) -> Result<Status> {
    if flags & !(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_HARMLESS) != 0 {
        return Err(EINVAL);
    }
    let of_file = flags & AT_EMPTY_PATH != 0 && signed(fd) != signed(AT_FDCWD);
    if of_file && path::read(address)?.is_empty() {
        return call.open_file(fd)?.file.status();
    }
    find(call, fd, address, flags)?.status()
}

/// `fstatat64(directory, path, *status, flags)`.
pub fn fstatat64(call: &mut Call<'_>) -> Result {
    let status = status(call, call.a(), call.b(), call.d())?;
    copy_to_user(call.c(), &encode(&status))?;
    Ok(0)
}

/// `statx(directory, path, flags, mask, *statx)`: what `stat64` tells, whatever is asked for.
pub fn statx(call: &mut Call<'_>) -> Result {
    /// `STATX_BASIC_STATS`.
    const BASIC: u32 = 0x7ff;
    let status = status(call, call.a(), call.b(), call.c())?;
    let mut out = [0u8; 256];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &BASIC.to_le_bytes());
    put(4, &status.block_size.to_le_bytes());
    put(16, &status.links.to_le_bytes());
    put(20, &status.uid.to_le_bytes());
    put(24, &status.gid.to_le_bytes());
    put(28, &(status.mode as u16).to_le_bytes());
    put(32, &status.inode.to_le_bytes());
    put(40, &status.size.to_le_bytes());
    put(48, &status.blocks.to_le_bytes());
    put(64, &u64::from(status.accessed).to_le_bytes());
    put(96, &u64::from(status.changed).to_le_bytes());
    put(112, &u64::from(status.modified).to_le_bytes());
    for (at, device) in [(128, status.special), (136, status.device)] {
        let (major, minor) = device_numbers(device);
        put(at, &major.to_le_bytes());
        put(at + 4, &minor.to_le_bytes());
    }
    copy_to_user(call.e(), &out)?;
    Ok(0)
}

fn apply(place: &Place, change: &Change) -> Result {
    root::tree().change(place, change)?;
    Ok(0)
}

/// The place of an open file; other files have nothing that could be changed.
fn opened(call: &Call<'_>, fd: u32) -> Result<Place> {
    path::place(call, fd)?.ok_or(EINVAL)
}

fn permissions(mode: u32) -> Change {
    Change { permissions: Some(mode & 0o7777), ..Change::default() }
}

/// Owner and group, of which -1 stays as it is.
fn owner(uid: u32, gid: u32) -> Change {
    let given = |id: u32| (id != u32::MAX).then_some(id);
    Change { uid: given(uid), gid: given(gid), ..Change::default() }
}

/// `chmod(path, mode)`.
pub fn chmod(call: &mut Call<'_>) -> Result {
    apply(&find(call, AT_FDCWD, call.a(), 0)?, &permissions(call.b()))
}

/// `fchmod(fd, mode)`.
pub fn fchmod(call: &mut Call<'_>) -> Result {
    apply(&opened(call, call.a())?, &permissions(call.b()))
}

/// `fchmodat(directory, path, mode)`.
pub fn fchmodat(call: &mut Call<'_>) -> Result {
    apply(&find(call, call.a(), call.b(), 0)?, &permissions(call.c()))
}

/// `chown32(path, owner, group)`.
pub fn chown32(call: &mut Call<'_>) -> Result {
    apply(&find(call, AT_FDCWD, call.a(), 0)?, &owner(call.b(), call.c()))
}

/// `lchown32(path, owner, group)`.
pub fn lchown32(call: &mut Call<'_>) -> Result {
    apply(&find(call, AT_FDCWD, call.a(), AT_SYMLINK_NOFOLLOW)?, &owner(call.b(), call.c()))
}

/// `fchown32(fd, owner, group)`.
pub fn fchown32(call: &mut Call<'_>) -> Result {
    apply(&opened(call, call.a())?, &owner(call.b(), call.c()))
}

/// `fchownat(directory, path, owner, group, flags)`.
pub fn fchownat(call: &mut Call<'_>) -> Result {
    apply(&find(call, call.a(), call.b(), call.e())?, &owner(call.c(), call.d()))
}

/// Times of the last read and the last write, as two pairs of seconds and nanoseconds say them.
fn times(pairs: Option<[(u64, u32); 2]>) -> Change {
    const UTIME_NOW: u32 = 0x3fff_ffff;
    const UTIME_OMIT: u32 = 0x3fff_fffe;
    let [accessed, modified] = pairs.unwrap_or([(0, UTIME_NOW); 2]).map(|pair| match pair {
        (_, UTIME_OMIT) => None,
        (_, UTIME_NOW) => Some(root::clock()),
        (seconds, _) => Some(u32::try_from(seconds).unwrap_or(u32::MAX)),
    });
    Change { accessed, modified, ..Change::default() }
}

fn set_times(call: &Call<'_>, fd: u32, address: u32, flags: u32, change: &Change) -> Result {
    let place = match address {
        0 => opened(call, fd)?,
        _ => find(call, fd, address, flags)?,
    };
    apply(&place, change)
}

/// `utime(path, *times)`.
pub fn utime(call: &mut Call<'_>) -> Result {
    let pairs = match call.b() {
        0 => None,
        at => Some(read_user::<[u32; 2]>(at)?.map(|seconds| (u64::from(seconds), 0))),
    };
    set_times(call, AT_FDCWD, call.a(), 0, &times(pairs))
}

/// `utimes(path, *times)`.
pub fn utimes(call: &mut Call<'_>) -> Result {
    let pairs = match call.b() {
        0 => None,
        at => {
            let [a, _, b, _] = read_user::<[u32; 4]>(at)?;
            Some([(u64::from(a), 0), (u64::from(b), 0)])
        }
    };
    set_times(call, AT_FDCWD, call.a(), 0, &times(pairs))
}

/// `utimensat(directory, path, *times, flags)`; without path: of an open file.
pub fn utimensat(call: &mut Call<'_>) -> Result {
    let pairs = match call.c() {
        0 => None,
        at => {
            let [a, a_ns, b, b_ns] = read_user::<[u32; 4]>(at)?;
            Some([(u64::from(a), a_ns), (u64::from(b), b_ns)])
        }
    };
    set_times(call, call.a(), call.b(), call.d(), &times(pairs))
}

/// `utimensat_time64(directory, path, *times, flags)`.
pub fn utimensat_time64(call: &mut Call<'_>) -> Result {
    let pairs = match call.c() {
        0 => None,
        at => {
            let [a, a_ns, b, b_ns] = read_user::<[u64; 4]>(at)?;
            Some([(a, a_ns as u32), (b, b_ns as u32)])
        }
    };
    set_times(call, call.a(), call.b(), call.d(), &times(pairs))
}

//! System calls about files.

use super::errno::{EFAULT, EINVAL, EOVERFLOW, ESPIPE};
use super::path::{AT_FDCWD, Start};
use super::{Call, Result, enough_memory, signed};
use crate::fs::file::{Flags, Open};
use crate::fs::pipe;
use crate::fs::tree::Wanted;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use ring1::uaccess::{copy_from_user, copy_to_user, is_user_range};
use ring1::uaccess::{read_user, write_user};

/// Bytes whose buffer costs next to nothing to clear: a character, a number.
const TINY: usize = 32;
/// Bytes copied through the kernel's stack at a time.
const SMALL: usize = 512;
/// Bytes copied through the kernel's heap at a time; no datagram is larger.
const LARGE: usize = 64 * 1024;

/// Lends a buffer for `length` bytes, or as many as are copied at a time, to `f`.
fn with_buffer<R>(length: u32, f: impl FnOnce(&mut [u8]) -> R) -> R {
    let length = length as usize;
    let mut large = Vec::new();
    if length > SMALL && large.try_reserve_exact(length.min(LARGE)).is_ok() {
        large.resize(length.min(LARGE), 0);
        return f(&mut large);
    }
    match length {
        ..=TINY => f(&mut [0; TINY][..length]),
        _ => f(&mut [0; SMALL][..length.min(SMALL)]),
    }
}

/// Moves `length` bytes between a file and a process's memory at `address` with `step`, part by
/// part, until one moves less than it could. What is moved stays moved; only a first part that fails
/// is an error.
fn in_parts(
    address: u32,
    length: u32,
    mut step: impl FnMut(&mut [u8], u32) -> Result<usize>,
) -> Result {
    if !is_user_range(address, length) && length != 0 {
        return Err(EFAULT);
    }
    with_buffer(length, |buffer| {
        let mut done = 0;
        loop {
            let count = buffer.len().min((length - done) as usize);
            match step(&mut buffer[..count], address + done) {
                Ok(moved) => {
                    done += moved as u32;
                    if moved < count || done == length {
                        return Ok(done);
                    }
                }
                Err(errno) => return if done > 0 { Ok(done) } else { Err(errno) },
            }
        }
    })
}

/// Reads at a position, or else at the file's own, which moves. Files without positions are asked
/// once, for what one buffer holds: more might have to be waited for.
fn read_from(open: &Open, at: Option<u64>, address: u32, length: u32) -> Result {
    let length = if open.file.end().is_some() { length } else { length.min(LARGE as u32) };
    let mut from = at.unwrap_or_else(|| open.position.load(Ordering::Relaxed));
    in_parts(address, length, |buffer, address| {
        let count = open.read_at(from, buffer)?;
        // The position is read, and written after the copy, which may fault and block.
        copy_to_user(address, &buffer[..count])?;
        from += count as u64;
        if at.is_none() {
            open.position.store(from, Ordering::Relaxed);
        }
        Ok(count)
    })
}

/// Writes at a position, or else at the file's own, which moves. All of it, unless that fails.
fn write_to(open: &Open, at: Option<u64>, address: u32, length: u32) -> Result {
    let mut to = at.unwrap_or_default();
    in_parts(address, length, |buffer, address| {
        copy_from_user(buffer, address)?;
        let mut done = 0;
        loop {
            let rest = &buffer[done..];
            let written = match at {
                Some(_) => open.write_at(to, rest),
                None => open.write(rest),
            };
            match written {
                Ok(count) => {
                    done += count;
                    to += count as u64;
                    if done == buffer.len() || count == 0 {
                        return Ok(done);
                    }
                }
                Err(errno) => return if done > 0 { Ok(done) } else { Err(errno) },
            }
        }
    })
}

/// `read(fd, buffer, count)`.
pub fn read(call: &mut Call<'_>) -> Result {
    read_from(&*call.open_file(call.a())?, None, call.b(), call.c())
}

/// `write(fd, buffer, count)`.
pub fn write(call: &mut Call<'_>) -> Result {
    write_to(&*call.open_file(call.a())?, None, call.b(), call.c())
}

/// The file of `pread64` and `pwrite64`, which must have positions, and the position.
fn positioned(call: &Call<'_>) -> Result<(Arc<Open>, u64)> {
    let open = call.open_file(call.a())?;
    let offset = u64::from(call.d()) | u64::from(call.e()) << 32;
    if offset.cast_signed() < 0 {
        return Err(EINVAL);
    }
    open.file.end().ok_or(ESPIPE)?;
    Ok((open, offset))
}

/// `pread64(fd, buffer, count, offset low, offset high)`.
pub fn pread64(call: &mut Call<'_>) -> Result {
    let (open, at) = positioned(call)?;
    read_from(&open, Some(at), call.b(), call.c())
}

/// `pwrite64(fd, buffer, count, offset low, offset high)`.
pub fn pwrite64(call: &mut Call<'_>) -> Result {
    let (open, at) = positioned(call)?;
    write_to(&open, Some(at), call.b(), call.c())
}

/// Runs `f` over the parts of an `iovec` array until one is short.
fn vectored(call: &Call<'_>, f: fn(&Open, Option<u64>, u32, u32) -> Result) -> Result {
    let open = call.open_file(call.a())?;
    if call.c() > 1024 {
        return Err(EINVAL);
    }
    let mut total: u32 = 0;
    for index in 0..call.c() {
        let at = call.b().checked_add(index * 8).ok_or(EFAULT)?;
        let [address, length]: [u32; 2] = read_user(at)?;
        if length == 0 {
            continue;
        }
        match f(&open, None, address, length) {
            Ok(count) => {
                total = total.saturating_add(count);
                if count < length {
                    break;
                }
            }
            Err(_) if total > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(total)
}

/// `readv(fd, iovec, count)`.
pub fn readv(call: &mut Call<'_>) -> Result {
    vectored(call, read_from)
}

/// `writev(fd, iovec, count)`.
pub fn writev(call: &mut Call<'_>) -> Result {
    vectored(call, write_to)
}

const O_CREAT: u32 = 0o100;
const O_EXCL: u32 = 0o200;
const O_TRUNC: u32 = 0o1000;
const O_DIRECTORY: u32 = 0o200_000;
const O_NOFOLLOW: u32 = 0o400_000;
const O_CLOEXEC: u32 = 0o2_000_000;

fn open_path(call: &Call<'_>, fd: u32, address: u32, flags: u32, mode: u32) -> Result {
    enough_memory()?;
    let start = Start::at(call, fd, address)?;
    let umask = call.process.files.borrow().umask();
    let has = |flag: u32| flags & flag == flag;
    let wanted = Wanted {
        create: has(O_CREAT).then_some(mode & 0o7777 & !umask),
        exclusive: has(O_EXCL),
        truncate: has(O_TRUNC),
        directory: has(O_DIRECTORY),
        no_follow: has(O_NOFOLLOW),
    };
    let lasting = Flags::from_bits_truncate(flags);
    let open = start.tree.open(&start.from, &start.path, lasting, &wanted)?;
    call.process.files.borrow().add(Arc::new(open), 0, has(O_CLOEXEC))
}

/// `open(path, flags, mode)`.
pub fn open(call: &mut Call<'_>) -> Result {
    open_path(call, AT_FDCWD, call.a(), call.b(), call.c())
}

/// `creat(path, mode)`.
pub fn creat(call: &mut Call<'_>) -> Result {
    let flags = O_CREAT | O_TRUNC | Flags::WRITE_ONLY.bits();
    open_path(call, AT_FDCWD, call.a(), flags, call.b())
}

/// `openat(directory, path, flags, mode)`.
pub fn openat(call: &mut Call<'_>) -> Result {
    open_path(call, call.a(), call.b(), call.c(), call.d())
}

fn set_length(call: &Call<'_>, length: u64) -> Result {
    let open = call.open_file(call.a())?;
    if !open.flags().writes() || length.cast_signed() < 0 {
        return Err(EINVAL);
    }
    open.file.truncate(length)?;
    Ok(0)
}

/// `ftruncate(fd, length)`.
pub fn ftruncate(call: &mut Call<'_>) -> Result {
    set_length(call, i64::from(signed(call.b())).cast_unsigned())
}

/// `ftruncate64(fd, length low, length high)`.
pub fn ftruncate64(call: &mut Call<'_>) -> Result {
    set_length(call, u64::from(call.b()) | u64::from(call.c()) << 32)
}

fn set_length_of(call: &Call<'_>, length: u64) -> Result {
    if length.cast_signed() < 0 {
        return Err(EINVAL);
    }
    let start = Start::at(call, AT_FDCWD, call.a())?;
    let open = start.tree.open(&start.from, &start.path, Flags::WRITE_ONLY, &Wanted::default())?;
    open.file.truncate(length)?;
    Ok(0)
}

/// `truncate(path, length)`.
pub fn truncate(call: &mut Call<'_>) -> Result {
    set_length_of(call, i64::from(signed(call.b())).cast_unsigned())
}

/// `truncate64(path, length low, length high)`.
pub fn truncate64(call: &mut Call<'_>) -> Result {
    set_length_of(call, u64::from(call.b()) | u64::from(call.c()) << 32)
}

/// `fsync(fd)`, `fdatasync(fd)`.
pub fn fsync(call: &mut Call<'_>) -> Result {
    call.open_file(call.a())?.file.sync()?;
    Ok(0)
}

/// `close(fd)`.
pub fn close(call: &mut Call<'_>) -> Result {
    call.process.files.borrow().close(call.a()).map(|()| 0)
}

/// `lseek(fd, offset, whence)`.
pub fn lseek(call: &mut Call<'_>) -> Result {
    let open = call.open_file(call.a())?;
    let position = open.seek(i64::from(signed(call.b())), call.c())?;
    u32::try_from(position).ok().filter(|at| signed(*at) >= 0).ok_or(EOVERFLOW)
}

/// `_llseek(fd, offset high, offset low, *result, whence)`.
pub fn llseek(call: &mut Call<'_>) -> Result {
    let open = call.open_file(call.a())?;
    let offset = (u64::from(call.b()) << 32 | u64::from(call.c())).cast_signed();
    let position = open.seek(offset, call.e())?;
    write_user(call.d(), &[position as u32, (position >> 32) as u32])?;
    Ok(0)
}

/// `dup(fd)`.
pub fn dup(call: &mut Call<'_>) -> Result {
    let mut files = call.process.files.borrow();
    let open = files.get(call.a())?;
    files.add(open, 0, false)
}

/// `dup2(from, to)`.
pub fn dup2(call: &mut Call<'_>) -> Result {
    call.process.files.borrow().duplicate(call.a(), call.b(), false)
}

/// `dup3(from, to, flags)`.
pub fn dup3(call: &mut Call<'_>) -> Result {
    if call.a() == call.b() || call.c() & !O_CLOEXEC != 0 {
        return Err(EINVAL);
    }
    call.process.files.borrow().duplicate(call.a(), call.b(), call.c() != 0)
}

fn make_pipe(call: &Call<'_>, flags: u32) -> Result {
    enough_memory()?;
    let (reader, writer) = pipe::new();
    let lasting = Flags::from_bits_truncate(flags) & Flags::NONBLOCK;
    let reader = Arc::new(Open::new(Arc::new(reader), lasting));
    let writer = Arc::new(Open::new(Arc::new(writer), Flags::WRITE_ONLY | lasting));
    let close_on_exec = flags & O_CLOEXEC != 0;
    let ends = {
        let mut files = call.process.files.borrow();
        let from = files.add(reader, 0, close_on_exec)?;
        let to = files.add(writer, 0, close_on_exec);
        if to.is_err() {
            files.close(from)?;
        }
        [from, to?]
    };
    if let Err(bad) = write_user(call.a(), &ends) {
        let mut files = call.process.files.borrow();
        for end in ends {
            files.close(end)?;
        }
        return Err(bad.into());
    }
    Ok(0)
}

/// `pipe(*fds)`.
pub fn pipe(call: &mut Call<'_>) -> Result {
    make_pipe(call, 0)
}

/// `pipe2(*fds, flags)`.
pub fn pipe2(call: &mut Call<'_>) -> Result {
    if call.b() & !(O_CLOEXEC | Flags::NONBLOCK.bits()) != 0 {
        return Err(EINVAL);
    }
    make_pipe(call, call.b())
}

/// `fcntl64(fd, command, argument)`: `F_DUPFD`, `F_GETFD`, `F_SETFD`, `F_GETFL`, `F_SETFL`,
/// `F_DUPFD_CLOEXEC`.
pub fn fcntl64(call: &mut Call<'_>) -> Result {
    let mut files = call.process.files.borrow();
    let open = files.get(call.a())?;
    match call.b() {
        0 => files.add(open, call.c(), false),
        1 => files.is_close_on_exec(call.a()).map(u32::from),
        2 => files.set_close_on_exec(call.a(), call.c() & 1 != 0).map(|()| 0),
        3 => Ok(open.flags().bits()),
        4 => {
            open.set_flags(Flags::from_bits_truncate(call.c()));
            Ok(0)
        }
        1030 => files.add(open, call.c(), true),
        _ => Err(EINVAL),
    }
}

//! System calls about files.

use super::errno::{EBADF, EFAULT, EINVAL, ENOENT, ENOTDIR, EOVERFLOW, EROFS, ESPIPE};
use super::{Call, Result, enough_memory, read_path, signed};
use crate::arch::uaccess::{clear_user, copy_from_user, copy_to_user, is_user_range};
use crate::arch::uaccess::{read_user, write_user};
use crate::fs::{self, Kind, Open, pipe};
use crate::initrd::Member;
use crate::shell::kernel::Errno;
use crate::sync::Guarded;
use crate::{console, tty};
use alloc::sync::Arc;

/// Bytes copied through the kernel at a time.
const CHUNK: usize = 512;

fn read_at(member: &Member, offset: u64, address: u32, length: u32) -> Result {
    if member.is_directory() {
        return Err(super::errno::EISDIR);
    }
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let rest = member.bytes.get(offset..).unwrap_or_default();
    let bytes = rest.get(..length as usize).unwrap_or(rest);
    copy_to_user(address, bytes)?;
    Ok(bytes.len() as u32)
}

fn read_from(open: &Open, address: u32, length: u32) -> Result {
    if !is_user_range(address, length) && length != 0 {
        return Err(EFAULT);
    }
    let small = (length as usize).min(CHUNK);
    match &open.kind {
        Kind::Member(member) => {
            // The position is read, and written after the copy, which may fault and block.
            let position = open.position.with(|position| *position);
            let count = read_at(member, position, address, length)?;
            open.position.with(|now| *now = position + u64::from(count));
            Ok(count)
        }
        Kind::Console if length == 0 => Ok(0),
        Kind::Console => {
            let mut buffer = [0; CHUNK];
            let count = tty::read_line(&mut buffer[..small])?;
            copy_to_user(address, &buffer[..count])?;
            Ok(count as u32)
        }
        Kind::Null => Ok(0),
        Kind::Zero => {
            clear_user(address, length)?;
            Ok(length)
        }
        Kind::PipeReader(reader) => {
            let mut buffer = [0; CHUNK];
            let count = reader.read(&mut buffer[..small])?;
            copy_to_user(address, &buffer[..count])?;
            Ok(count as u32)
        }
        Kind::PipeWriter(_) => Err(EBADF),
    }
}

fn write_to(open: &Open, address: u32, length: u32) -> Result {
    if !is_user_range(address, length) && length != 0 {
        return Err(EFAULT);
    }
    match &open.kind {
        Kind::Null | Kind::Zero => return Ok(length),
        Kind::Member(_) | Kind::PipeReader(_) => return Err(EBADF),
        Kind::Console | Kind::PipeWriter(_) => {}
    }
    let mut done = 0;
    while done < length {
        let mut buffer = [0; CHUNK];
        let count = (length - done).min(CHUNK as u32);
        let chunk = &mut buffer[..count as usize];
        if copy_from_user(chunk, address + done).is_err() {
            // What is written stays written; only a first chunk that cannot be read is an error.
            return if done > 0 { Ok(done) } else { Err(EFAULT) };
        }
        let written = match &open.kind {
            Kind::PipeWriter(writer) => match writer.write(chunk) {
                Ok(written) => written as u32,
                Err(errno) => return if done > 0 { Ok(done) } else { Err(errno) },
            },
            _ => {
                console::write_bytes(chunk);
                count
            }
        };
        done += written;
    }
    if matches!(open.kind, Kind::Console) {
        console::flush();
    }
    Ok(done)
}

/// `read(fd, buffer, count)`.
pub fn read(call: &mut Call<'_>) -> Result {
    read_from(&*call.open_file(call.a())?, call.b(), call.c())
}

/// `write(fd, buffer, count)`.
pub fn write(call: &mut Call<'_>) -> Result {
    write_to(&*call.open_file(call.a())?, call.b(), call.c())
}

/// `pread64(fd, buffer, count, offset low, offset high)`.
pub fn pread64(call: &mut Call<'_>) -> Result {
    let open = call.open_file(call.a())?;
    let offset = u64::from(call.d()) | u64::from(call.e()) << 32;
    match &open.kind {
        Kind::Member(member) => read_at(member, offset, call.b(), call.c()),
        _ => Err(ESPIPE),
    }
}

/// Runs `f` over the parts of an `iovec` array until one is short.
fn vectored(call: &Call<'_>, f: fn(&Open, u32, u32) -> Result) -> Result {
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
        match f(&open, address, length) {
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

const O_ACCMODE: u32 = 3;
const O_CREAT: u32 = 0o100;
const O_EXCL: u32 = 0o200;
const O_DIRECTORY: u32 = 0o200_000;
const O_CLOEXEC: u32 = 0o2_000_000;

/// `ENOTDIR` when something on the way is a file, else `ENOENT`.
pub(super) fn missing(path: &str) -> Errno {
    let mut at = 0;
    let trimmed = path.trim_end_matches('/');
    while let Some(slash) = path.get(at..).and_then(|rest| rest.find('/')) {
        let end = at + slash;
        let prefix = path.get(..end).unwrap_or_default();
        if end <= trimmed.len()
            && fs::initrd().find(prefix).is_some_and(|member| !member.is_directory())
        {
            return ENOTDIR;
        }
        at = end + 1;
    }
    ENOENT
}

fn open_path(call: &Call<'_>, address: u32, flags: u32) -> Result {
    enough_memory()?;
    let path = read_path(address)?;
    if path.is_empty() {
        return Err(ENOENT);
    }
    let writing = flags & O_ACCMODE != 0;
    let open = fs::open(&path, writing).map_err(|errno| {
        // Nothing can be made here; but what cannot be found is not there first of all.
        match errno {
            errno if errno == ENOENT || (errno == EROFS && flags & O_CREAT == 0) => {
                match fs::initrd().find(&path) {
                    Some(_) => errno,
                    None => missing(&path),
                }
            }
            errno => errno,
        }
    })?;
    if let Kind::Member(member) = &open.kind {
        if path.ends_with('/') && !member.is_directory() {
            return Err(ENOTDIR);
        }
        if flags & O_DIRECTORY != 0 && !member.is_directory() {
            return Err(ENOTDIR);
        }
        if flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL {
            return Err(Errno::new(17));
        }
    }
    call.process.files.borrow().add(Arc::new(open), 0, flags & O_CLOEXEC != 0)
}

/// `open(path, flags, mode)`.
pub fn open(call: &mut Call<'_>) -> Result {
    open_path(call, call.a(), call.b())
}

/// `openat(directory, path, flags, mode)`: absolute paths, or relative to `AT_FDCWD`.
pub fn openat(call: &mut Call<'_>) -> Result {
    if signed(call.a()) != -100 {
        let mut first = [0];
        copy_from_user(&mut first, call.b())?;
        if first != *b"/" {
            call.open_file(call.a())?;
            return Err(ENOTDIR);
        }
    }
    open_path(call, call.b(), call.c())
}

/// `close(fd)`.
pub fn close(call: &mut Call<'_>) -> Result {
    call.process.files.borrow().close(call.a()).map(|()| 0)
}

fn seek(open: &Open, offset: i64, whence: u32) -> Result<u64> {
    let Kind::Member(member) = &open.kind else { return Err(ESPIPE) };
    open.position.with(|position| {
        let base = match whence {
            0 => 0,
            1 => position.cast_signed(),
            2 => member.bytes.len() as i64,
            _ => return Err(EINVAL),
        };
        let target = base.checked_add(offset).filter(|target| *target >= 0).ok_or(EINVAL)?;
        *position = target.cast_unsigned();
        Ok(*position)
    })
}

/// `lseek(fd, offset, whence)`.
pub fn lseek(call: &mut Call<'_>) -> Result {
    let open = call.open_file(call.a())?;
    let position = seek(&open, i64::from(signed(call.b())), call.c())?;
    u32::try_from(position).ok().filter(|at| signed(*at) >= 0).ok_or(EOVERFLOW)
}

/// `_llseek(fd, offset high, offset low, *result, whence)`.
pub fn llseek(call: &mut Call<'_>) -> Result {
    let open = call.open_file(call.a())?;
    let offset = (u64::from(call.b()) << 32 | u64::from(call.c())).cast_signed();
    let position = seek(&open, offset, call.e())?;
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
    let mut ends = [0u32; 2];
    for (end, kind) in ends.iter_mut().zip([Kind::PipeReader(reader), Kind::PipeWriter(writer)]) {
        let open = Arc::new(Open { kind, position: Guarded::new(0) });
        *end = call.process.files.borrow().add(open, 0, flags & O_CLOEXEC != 0)?;
    }
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
    if call.b() & !O_CLOEXEC != 0 {
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
        3 => Ok(match open.kind {
            Kind::Console | Kind::Null | Kind::Zero => 2,
            Kind::PipeWriter(_) => 1,
            _ => 0,
        }),
        4 => Ok(0),
        1030 => files.add(open, call.c(), true),
        _ => Err(EINVAL),
    }
}

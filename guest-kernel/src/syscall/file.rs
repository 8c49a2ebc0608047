//! System calls about files.

use super::errno::{
    EACCES, EBADF, EFAULT, EINVAL, ENOENT, ENOTDIR, ENOTTY, EOVERFLOW, ERANGE, EROFS, ESPIPE,
};
use super::{Call, Result, enough_memory, read_path, signed};
use crate::arch::uaccess::{clear_user, copy_from_user, copy_to_user, is_user_range};
use crate::arch::uaccess::{read_user, write_user};
use crate::fs::{self, Kind, Open, pipe};
use crate::initrd::Member;
use crate::shell::kernel::Errno;
use crate::sync::Guarded;
use crate::{console, tty};
use alloc::sync::Arc;
use alloc::vec::Vec;

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
fn missing(path: &str) -> Errno {
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

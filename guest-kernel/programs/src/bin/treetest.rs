//! Makes, changes and removes files and directories in a directory: the first argument, else `/tmp`.
//!
//! Expected: only `ok` lines; status 0. What is left is the file `kept`, whose contents whoever looks
//! at the disk afterwards can compare: 100000 bytes, byte `n` the lowest of `n * 7`.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: raw system calls with buffers and paths lent to them.

use core::ffi::CStr;
use guest_programs::Args;
use guest_programs::check::Checks;
use guest_programs::sys::{self, Errno, Result, nr};

guest_programs::entry!(main);

const LINK: usize = 9;
const UNLINK: usize = 10;
const CHDIR: usize = 12;
const CHMOD: usize = 15;
const RENAME: usize = 38;
const MKDIR: usize = 39;
const RMDIR: usize = 40;
const SYMLINK: usize = 83;
const READLINK: usize = 85;
const FTRUNCATE: usize = 93;
const FSYNC: usize = 118;
const LSTAT64: usize = 196;
const STATFS64: usize = 268;

const O_RDWR: usize = 2;
const O_CREAT: usize = 0o100;
const O_EXCL: usize = 0o200;
const O_APPEND: usize = 0o2000;

const EEXIST: i32 = 17;
const EXDEV: i32 = 18;
const ENOTEMPTY: i32 = 39;
const ELOOP: i32 = 40;

/// Bytes of the file that is kept.
const KEPT: usize = 100_000;

fn place<T: ?Sized>(value: &mut T) -> usize {
    core::ptr::from_mut(value).cast::<u8>().expose_provenance()
}

fn at(path: &CStr) -> usize {
    path.as_ptr().expose_provenance()
}

fn call(nr: usize, arguments: &[usize]) -> Result {
    // SAFETY: 1. What it may write to is lent by the caller.
    unsafe { sys::call(nr, arguments) }
}

fn open(path: &CStr, flags: usize) -> Result {
    call(nr::OPEN, &[at(path), flags, 0o644])
}

/// Words of `struct stat64`: mode is the fifth, links the sixth, size the twelfth.
fn stat(nr: usize, path: &CStr) -> Result<[u32; 24]> {
    let mut words = [0u32; 24];
    call(nr, &[at(path), place(&mut words)])?;
    Ok(words)
}

fn mode(path: &CStr) -> Result<u32> {
    stat(LSTAT64, path).map(|words| words[4])
}

fn links(path: &CStr) -> Result<u32> {
    stat(LSTAT64, path).map(|words| words[5])
}

fn failed<T>(result: Result<T>) -> Option<i32> {
    result.err().map(|errno| errno.0)
}

fn main(args: Args) -> u8 {
    let mut checks = Checks::new();
    let directory = args.get(1).unwrap_or("/tmp");
    let mut path = [0u8; 64];
    for (slot, byte) in path.iter_mut().take(63).zip(directory.bytes()) {
        *slot = byte;
    }
    checks.same(call(CHDIR, &[place(&mut path)]), Ok(0), "chdir");
    let mut cwd = [0u8; 64];
    let length = call(nr::GETCWD, &[place(&mut cwd), 64]);
    checks.same(length, Ok(directory.len() + 1), "getcwd");
    checks.that(&cwd[..directory.len()] == directory.as_bytes(), format_args!("says where"));
    files(&mut checks);
    names(&mut checks);
    kept(&mut checks);
    checks.status()
}

fn files(checks: &mut Checks) {
    let fd = open(c"f", O_RDWR | O_CREAT | O_EXCL).unwrap_or(99);
    checks.same(sys::write(fd, b"hello world"), Ok(11), "write to a new file");
    checks.same(failed(open(c"f", O_RDWR | O_CREAT | O_EXCL)), Some(EEXIST), "it is there now");
    let mut text = [0; 16];
    checks.same(call(nr::PREAD64, &[fd, place(&mut text), 16, 6, 0]), Ok(5), "read it");
    checks.same(&text[..5], &b"world"[..], "as it was written");
    let end = open(c"f", O_RDWR | O_APPEND).unwrap_or(99);
    checks.same(sys::write(end, b"!"), Ok(1), "append");
    checks.same(stat(nr::STAT64, c"f").map(|words| words[11]), Ok(12), "makes it longer");
    checks.same(call(FTRUNCATE, &[fd, 5, 0]), Ok(0), "ftruncate");
    checks.same(call(nr::LSEEK, &[fd, 5000, 0]), Ok(5000), "lseek behind the end");
    checks.same(sys::write(fd, b"x"), Ok(1), "write there");
    checks.same(call(nr::PREAD64, &[fd, place(&mut text), 16, 4, 0]), Ok(16), "read the hole");
    checks.same(&text[..3], &b"o\0\0"[..], "as zeroes");
    checks.same(call(CHMOD, &[at(c"f"), 0o600]), Ok(0), "chmod");
    checks.same(mode(c"f"), Ok(0o100_600), "is seen");
    checks.same(call(UNLINK, &[at(c"f")]), Ok(0), "unlink an open file");
    checks.same(mode(c"f"), Err(Errno::ENOENT), "its name is gone");
    checks.same(call(nr::PREAD64, &[fd, place(&mut text), 5, 0, 0]), Ok(5), "it is still read");
    let _ = (sys::close(fd), sys::close(end));
    checks.same(open(c"/etc/motd", O_RDWR), Err(Errno::EROFS), "the initrd is not written");
}

fn names(checks: &mut Checks) {
    checks.same(call(MKDIR, &[at(c"d"), 0o755]), Ok(0), "mkdir");
    checks.same(failed(call(MKDIR, &[at(c"d/"), 0o755])), Some(EEXIST), "twice");
    let _ = open(c"d/g", O_RDWR | O_CREAT).map(sys::close);
    checks.same(failed(call(RMDIR, &[at(c"d")])), Some(ENOTEMPTY), "rmdir when it is not empty");
    checks.same(call(LINK, &[at(c"d/g"), at(c"h")]), Ok(0), "link");
    checks.same(links(c"d/g"), Ok(2), "makes two names");
    let across = call(LINK, &[at(c"/etc/motd"), at(c"motd")]);
    checks.same(failed(across), Some(EXDEV), "not across file systems");
    checks.same(call(SYMLINK, &[at(c"d/g"), at(c"s")]), Ok(0), "symlink");
    let mut target = [0u8; 16];
    let length = call(READLINK, &[at(c"s"), place(&mut target), 16]);
    checks.same((length, &target[..3]), (Ok(3), &b"d/g"[..]), "readlink");
    checks.same(mode(c"s").map(|mode| mode & 0o170_000), Ok(0o120_000), "lstat64 of a link");
    checks.that(open(c"s", O_RDWR).map(sys::close).is_ok(), format_args!("open through it"));
    checks.same(call(SYMLINK, &[at(c"l"), at(c"l")]), Ok(0), "symlink to itself");
    checks.same(failed(open(c"l", O_RDWR)), Some(ELOOP), "leads nowhere");
    checks.same(call(RENAME, &[at(c"h"), at(c"d/i")]), Ok(0), "rename");
    checks.same(mode(c"h"), Err(Errno::ENOENT), "the old name is gone");
    checks.same(call(RENAME, &[at(c"d"), at(c"d/e")]), Err(Errno::EINVAL), "not into itself");
    for name in [c"d/g", c"d/i", c"s", c"l"] {
        checks.same(call(UNLINK, &[at(name)]), Ok(0), "unlink");
    }
    checks.same(call(RMDIR, &[at(c"d")]), Ok(0), "rmdir");
    let mut space = [0u32; 21];
    let told = call(STATFS64, &[at(c"."), 84, place(&mut space)]);
    checks.that(told.is_ok() && space[4] > 0, format_args!("statfs64: there is room"));
}

fn kept(checks: &mut Checks) {
    let fd = open(c"kept", O_RDWR | O_CREAT).unwrap_or(99);
    let (mut written, mut chunk) = (0, [0u8; 1000]);
    while written < KEPT {
        for (slot, index) in chunk.iter_mut().zip(written..) {
            *slot = (index * 7) as u8;
        }
        match sys::write(fd, &chunk) {
            Ok(count @ 1..) => written += count,
            _ => break,
        }
    }
    checks.same(written, KEPT, "a larger file");
    checks.same(call(FSYNC, &[fd]), Ok(0), "fsync");
    checks.same(call(nr::LSEEK, &[fd, 99_000, 0]), Ok(99_000), "lseek");
    checks.same(sys::read(fd, &mut chunk), Ok(1000), "read its end");
    let good =
        chunk.iter().zip(99_000..).all(|(byte, index): (_, usize)| *byte == (index * 7) as u8);
    checks.that(good, format_args!("as it was written"));
}

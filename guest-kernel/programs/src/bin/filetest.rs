//! Files and directories: `lseek`, `pread64`, `stat64`, `getdents64`, `access`, `getcwd`.
//!
//! Expected: only `ok` lines; status 0. The files are those of the initrd.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: raw system calls that write to a buffer lent to them.

use guest_programs::Args;
use guest_programs::check::Checks;
use guest_programs::sys::{self, Errno, Result, nr};

guest_programs::entry!(main);

/// Lends a buffer or a path to a system call.
fn place<T: ?Sized>(value: &mut T) -> usize {
    core::ptr::from_mut(value).cast::<u8>().expose_provenance()
}

fn path(path: &core::ffi::CStr) -> usize {
    path.as_ptr().expose_provenance()
}

fn call(nr: usize, arguments: &[usize]) -> Result {
    // SAFETY: 1. What it may write to is lent by the caller.
    unsafe { sys::call(nr, arguments) }
}

fn main(_args: Args) -> u8 {
    let mut checks = Checks::new();
    let Ok(fd) = sys::open(c"/etc/motd") else {
        checks.that(false, format_args!("open"));
        return checks.status();
    };
    let mut all = [0; 1024];
    let length = sys::read(fd, &mut all).unwrap_or(0);
    checks.that(length > 20, format_args!("read of a whole file"));
    seek(&mut checks, fd, &all, length);
    stat(&mut checks, fd, length);
    directory(&mut checks);

    let access = |name, mode| call(nr::ACCESS, &[path(name), mode]);
    checks.same(access(c"/etc/motd", 4), Ok(0), "access: a file can be read");
    checks.same(access(c"/etc/nothing", 0), Err(Errno::ENOENT), "access: no such file");
    let mut buffer = [0xffu8; 64];
    checks.same(call(nr::GETCWD, &[place(&mut buffer), 64]), Ok(2), "getcwd");
    checks.same(&buffer[..2], b"/\0", "is the root");
    checks.same(call(nr::GETCWD, &[place(&mut buffer), 1]), Err(Errno::ERANGE), "without room");
    checks.status()
}

fn seek(checks: &mut Checks, fd: usize, all: &[u8], length: usize) {
    let lseek = |offset: isize, whence: usize| call(nr::LSEEK, &[fd, offset as usize, whence]);
    let mut buffer = [0; 8];
    checks.same(lseek(5, 0), Ok(5), "lseek from the start");
    checks.same(sys::read(fd, &mut buffer), Ok(8), "read from there");
    checks.same(&buffer[..], &all[5..13], "gives what is there");
    checks.same(lseek(-3, 1), Ok(10), "lseek from here");
    checks.same(lseek(-4, 2), Ok(length - 4), "lseek from the end");
    checks.same(sys::read(fd, &mut buffer), Ok(4), "only four bytes are left");
    checks.same(lseek(1000, 2), Ok(length + 1000), "lseek beyond the end");
    checks.same(sys::read(fd, &mut buffer), Ok(0), "where there is nothing");
    checks.same(lseek(-1, 0), Err(Errno::EINVAL), "lseek before the start");
    checks.same(lseek(0, 9), Err(Errno::EINVAL), "lseek from nowhere");
    let pread = call(nr::PREAD64, &[fd, place(&mut buffer), 8, 5, 0]);
    checks.same(pread, Ok(8), "pread64");
    checks.same(&buffer[..], &all[5..13], "gives what is there, too");
    checks.same(lseek(0, 1), Ok(length + 1000), "and leaves the position alone");
}

/// Words of Linux's `struct stat64` for i386: st_mode is the fifth, st_size the twelfth and
/// thirteenth.
fn stat(checks: &mut Checks, fd: usize, length: usize) {
    let mut words = [0u32; 24];
    checks.same(call(nr::FSTAT64, &[fd, place(&mut words)]), Ok(0), "fstat64");
    checks.same(words[4] & 0o170_000, 0o100_000, "says that it is a file");
    checks.same(words[11] as usize, length, "and how long it is");
    checks.same(call(nr::STAT64, &[path(c"/etc"), place(&mut words)]), Ok(0), "stat64 of a folder");
    checks.same(words[4] & 0o170_000, 0o040_000, "says so");
    let none = call(nr::STAT64, &[path(c"/nothing"), place(&mut words)]);
    checks.same(none, Err(Errno::ENOENT), "stat64 of nothing");
    let bad = call(nr::FSTAT64, &[99, place(&mut words)]);
    checks.same(bad, Err(Errno::EBADF), "fstat64 of no file");
    let kernel = call(nr::FSTAT64, &[fd, 0x8010_0000]);
    checks.same(kernel, Err(Errno::EFAULT), "fstat64 into the kernel");
}

fn directory(checks: &mut Checks) {
    let Ok(fd) = sys::open(c"/bin") else {
        checks.that(false, format_args!("open of a folder"));
        return;
    };
    let mut buffer = [0u8; 256];
    checks.same(sys::read(fd, &mut buffer), Err(Errno::EISDIR), "read of a folder");
    let (mut entries, mut hello, mut files) = (0, 0, 0);
    loop {
        match call(nr::GETDENTS64, &[fd, place(&mut buffer), 256]) {
            Ok(0) => break,
            Ok(count) => {
                let mut rest = &buffer[..count];
                // Two numbers of 8 bytes, length of the entry, kind, name.
                while rest.len() > 19 {
                    let size = usize::from(u16::from_le_bytes([rest[16], rest[17]]));
                    let name = rest[19..size].split(|&byte| byte == 0).next().unwrap_or(&[]);
                    entries += 1;
                    files += u32::from(rest[18] == 8);
                    hello += u32::from(name == b"hello");
                    rest = &rest[size..];
                }
            }
            Err(errno) => {
                checks.same(Err(errno), Ok(0), "getdents64");
                break;
            }
        }
    }
    checks.that(entries > 10 && files > 8, format_args!("getdents64 lists the programs"));
    checks.same(hello, 1, "`hello` among them once");
    let tiny = call(nr::GETDENTS64, &[1, place(&mut buffer), 256]);
    checks.that(tiny.is_err(), format_args!("getdents64 of what is no folder"));
    let _ = sys::close(fd);
}

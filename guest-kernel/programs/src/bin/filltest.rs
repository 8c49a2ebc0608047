//! Fills the file system of a directory, the first argument, until nothing fits, makes room and goes on.
//!
//! Expected: only `ok` lines; status 0. Nothing is left. What was there before must not be touched:
//! whoever looks at the disk afterwards can tell.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: raw system calls with buffers and paths lent to them.

use core::ffi::CStr;
use guest_programs::Args;
use guest_programs::check::Checks;
use guest_programs::sys::{self, Errno, Result, nr};

guest_programs::entry!(main);

const UNLINK: usize = 10;
const CHDIR: usize = 12;
const SYNC: usize = 36;
const MKDIR: usize = 39;
const FSYNC: usize = 118;
const STATFS64: usize = 268;

const O_RDWR: usize = 2;
const O_CREAT: usize = 0o100;

const ENOSPC: Errno = Errno(28);

/// Bytes of a piece that is written at a time.
const PIECE: usize = 16 << 10;
/// Bytes that fit a volume at least, for it to say anything.
const LEAST: usize = 1 << 20;

fn at(path: &CStr) -> usize {
    path.as_ptr().expose_provenance()
}

fn call(nr: usize, arguments: &[usize]) -> Result {
    // SAFETY: 1. What it may write to is lent by the caller.
    unsafe { sys::call(nr, arguments) }
}

fn create(path: &CStr) -> usize {
    call(nr::OPEN, &[at(path), O_RDWR | O_CREAT, 0o644]).unwrap_or(99)
}

/// Blocks of the file system that are free, as the directory's `statfs64` says.
fn free() -> Result<u32> {
    let mut space = [0u32; 21];
    let place = (&raw mut space).expose_provenance();
    call(STATFS64, &[at(c"."), 84, place]).map(|_| space[4])
}

/// A piece whose bytes depend on where it is.
fn piece(number: usize) -> [u8; PIECE] {
    core::array::from_fn(|index| (index * 7 + number * 13) as u8)
}

/// Writes pieces until none fits: how many bytes did, and why no more.
fn fill(fd: usize) -> (usize, Result) {
    let mut written = 0;
    loop {
        let piece = piece(written / PIECE);
        match sys::write(fd, &piece[written % PIECE..]) {
            Ok(count @ 1..) => written += count,
            other => return (written, other),
        }
    }
}

/// How many bytes of a file are as they were written.
fn right(fd: usize) -> usize {
    let (mut place, mut right) = ([0; PIECE], 0);
    let _ = call(nr::LSEEK, &[fd, 0, 0]);
    while let Ok(count @ 1..) = sys::read(fd, &mut place) {
        let expected = piece(right / PIECE);
        let same = place[..count].iter().zip(&expected[right % PIECE..]);
        let same = same.take_while(|(read, written)| read == written).count();
        right += same;
        if same < count {
            break;
        }
    }
    right
}

fn main(args: Args) -> u8 {
    let mut checks = Checks::new();
    let mut path = [0u8; 64];
    let directory = args.get(1).unwrap_or("/tmp");
    for (slot, byte) in path.iter_mut().take(63).zip(directory.bytes()) {
        *slot = byte;
    }
    let place = (&raw mut path).expose_provenance();
    checks.same(call(CHDIR, &[place]), Ok(0), "chdir");
    let before = free();
    let fd = create(c"full");
    let (written, end) = fill(fd);
    checks.same(end, Err(ENOSPC), "write until nothing fits");
    checks.that(written >= LEAST, format_args!("much did"));
    checks.same(call(FSYNC, &[fd]), Ok(0), "fsync of a full volume");
    checks.same(right(fd), written, "all that fitted is there");
    checks.same(call(MKDIR, &[at(c"d"), 0o755]), Err(ENOSPC), "mkdir on it");
    let other = create(c"other");
    checks.same(sys::write(other, &piece(0)), Err(ENOSPC), "write to another file");
    for (fd, name) in [(fd, c"full"), (other, c"other")] {
        let _ = sys::close(fd);
        checks.same(call(UNLINK, &[at(name)]), Ok(0), "unlink");
    }
    // What was free before a sync is not used again before it.
    checks.same(call(SYNC, &[]), Ok(0), "sync");
    checks.same(free(), before, "all the room is back");
    let again = create(c"again");
    checks.same(sys::write(again, &piece(0)), Ok(PIECE), "there is room again");
    checks.same(right(again), PIECE, "and it is used");
    let _ = sys::close(again);
    checks.same(call(UNLINK, &[at(c"again")]), Ok(0), "unlink");
    checks.status()
}

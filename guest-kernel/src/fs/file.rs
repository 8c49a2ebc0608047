//! What a descriptor can lead to: the trait [`File`], and [`Open`], one opening of it.
//!
//! A kind of file is a type that implements the trait and says no more than it can do: the rest is
//! refused by the trait's own bodies, with the errors that Linux gives. Bytes go through buffers of
//! the kernel, so no implementation sees a process's memory (but for `ioctl`, whose argument is one).
//! Position, access mode and flags belong to the opening: `dup` and `fork` share them, two `open`s of
//! the same path do not.

use super::image::Image;
use crate::errno::{EBADF, EINVAL, ENODEV, ENOTDIR, ENOTTY};
use crate::shell::kernel::Errno;
use alloc::sync::Arc;
use bitflags::bitflags;
use core::any::Any;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The result of an operation on a file.
pub type Result<T = ()> = core::result::Result<T, Errno>;

bitflags! {
    /// What can be done with a file without waiting: the bits of `poll`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Ready: u32 {
        /// `POLLIN`: there is something to read, or the end.
        const READ = 0x1;
        /// `POLLPRI`: something urgent is to be read.
        const URGENT = 0x2;
        /// `POLLOUT`: a byte can be written.
        const WRITE = 0x4;
        /// `POLLERR`: it has failed, or nobody reads any more.
        const ERROR = 0x8;
        /// `POLLHUP`: the other end is closed.
        const HANGUP = 0x10;
        /// `POLLRDHUP`: the other end will send nothing more.
        const READ_HANGUP = 0x2000;
    }
}

bitflags! {
    /// How a file is open: the flags of `open` that last, with Linux's values for i386.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Flags: u32 {
        /// `O_WRONLY`.
        const WRITE_ONLY = 0o1;
        /// `O_RDWR`.
        const READ_WRITE = 0o2;
        /// `O_APPEND`: writes go to the end.
        const APPEND = 0o2000;
        /// `O_NONBLOCK`: `EAGAIN` instead of waiting.
        const NONBLOCK = 0o4000;
        /// `O_SYNC`, `O_DSYNC` (a bit of it): a write is on the disk when it returns.
        const SYNC = 0o4_010_000;
    }
}

impl Flags {
    /// What `fcntl(F_SETFL)` may change.
    pub const CHANGEABLE: Self = Self::APPEND.union(Self::NONBLOCK);

    /// Whether it may be read.
    pub fn reads(self) -> bool {
        !self.contains(Self::WRITE_ONLY)
    }

    /// Whether it may be written.
    pub fn writes(self) -> bool {
        self.intersects(Self::WRITE_ONLY | Self::READ_WRITE)
    }

    /// Whether it must not wait.
    pub fn is_nonblocking(self) -> bool {
        self.contains(Self::NONBLOCK)
    }
}

/// Type bits of a mode (`S_IFMT`).
pub const TYPE: u32 = 0o170_000;
/// A named pipe.
pub const FIFO: u32 = 0o010_000;
/// A device of characters.
pub const CHARACTERS: u32 = 0o020_000;
/// A directory.
pub const DIRECTORY: u32 = 0o040_000;
/// A device of blocks.
pub const BLOCKS: u32 = 0o060_000;
/// A regular file.
pub const REGULAR: u32 = 0o100_000;
/// A symbolic link.
pub const LINK: u32 = 0o120_000;
/// A socket.
pub const SOCKET: u32 = 0o140_000;

/// A device number as `stat64` and `mknod` have it.
pub const fn device(major: u32, minor: u32) -> u64 {
    ((minor & 0xff) | major << 8 | (minor & !0xff) << 12) as u64
}

/// Major and minor number of a device number.
pub const fn device_numbers(device: u64) -> (u32, u32) {
    ((device >> 8 & 0xfff) as u32, (device & 0xff | device >> 12 & 0xf_ff00) as u32)
}

/// What `stat` tells of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// Number of the file system that holds it.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Names that it has.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Which device it is, for devices.
    pub special: u64,
    /// Bytes.
    pub size: u64,
    /// What it takes on the disk, in units of 512 bytes.
    pub blocks: u64,
    /// A good size for reads and writes.
    pub block_size: u32,
    /// Last read, seconds since 1970.
    pub accessed: u32,
    /// Last written, seconds since 1970.
    pub modified: u32,
    /// Last changed in any way, seconds since 1970.
    pub changed: u32,
}

impl Status {
    /// That of something without a place on a file system.
    pub const fn anonymous(mode: u32) -> Self {
        Self {
            device: 1,
            inode: 1,
            mode,
            links: 1,
            uid: 0,
            gid: 0,
            special: 0,
            size: 0,
            blocks: 0,
            block_size: 4096,
            accessed: 0,
            modified: 0,
            changed: 0,
        }
    }

    /// Whether it is of this type.
    pub fn is(&self, kind: u32) -> bool {
        self.mode & TYPE == kind
    }
}

/// An entry of a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// The file's number.
    pub inode: u64,
    /// The file's type, as in a mode; 0: not known.
    pub kind: u32,
    /// Where to continue after it.
    pub next: u64,
}

/// A kind of file.
pub trait File: Any + Send + Sync {
    /// What `stat` tells.
    fn status(&self) -> Result<Status>;

    /// Reads from position `at`, which only files with positions heed: what there is, at least a
    /// byte, for which it waits unless `flags` forbid; 0 at the end.
    fn read(&self, at: u64, into: &mut [u8], flags: Flags) -> Result<usize> {
        let _ = (at, into, flags);
        Err(EBADF)
    }

    /// Writes at position `at`, which only files with positions heed: what has room, at least a
    /// byte, for which it waits unless `flags` forbid.
    fn write(&self, at: u64, from: &[u8], flags: Flags) -> Result<usize> {
        let _ = (at, from, flags);
        Err(EBADF)
    }

    /// Where the end is, for files with positions. None: there are no positions (`ESPIPE`).
    fn end(&self) -> Option<u64> {
        None
    }

    /// What can be done without waiting.
    fn ready(&self) -> Ready {
        Ready::READ | Ready::WRITE
    }

    /// The channel that is woken when [`ready`](Self::ready) may have changed. 0: it never changes.
    fn channel(&self) -> u32 {
        0
    }

    /// `ioctl` with an argument that is a number, or an address in the running process.
    fn ioctl(&self, request: u32, argument: u32) -> Result<u32> {
        let _ = (request, argument);
        Err(ENOTTY)
    }

    /// The entries from position `from` on (0: the first), for as long as `emit` wants them.
    fn entries(&self, from: u64, emit: &mut dyn FnMut(&Entry<'_>) -> bool) -> Result {
        let _ = (from, emit);
        Err(ENOTDIR)
    }

    /// Sets the length.
    fn truncate(&self, length: u64) -> Result {
        let _ = length;
        Err(EINVAL)
    }

    /// Returns when all that was written is where it stays.
    fn sync(&self) -> Result {
        Err(EINVAL)
    }

    /// What a private mapping of it shows.
    fn contents(&self) -> Result<Contents> {
        Err(ENODEV)
    }
}

impl dyn File {
    /// The file as one of a certain kind, if it is one.
    pub fn as_kind<T: File>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}

/// What a mapping shows.
#[derive(Clone, Debug)]
pub enum Contents {
    /// These bytes, and zeroes behind them.
    Bytes(Image),
    /// Zeroes.
    Zero,
}

/// One opening of a file, shared by the descriptors that `dup` and `fork` made of it.
pub struct Open {
    /// The file.
    pub file: Arc<dyn File>,
    /// Position in bytes; in a directory, what [`Entry::next`] said.
    pub position: AtomicU64,
    flags: AtomicU32,
}

impl Open {
    /// Opens a file, at its start.
    pub fn new(file: Arc<dyn File>, flags: Flags) -> Self {
        Self { file, position: AtomicU64::new(0), flags: AtomicU32::new(flags.bits()) }
    }

    /// How it is open.
    pub fn flags(&self) -> Flags {
        Flags::from_bits_truncate(self.flags.load(Ordering::Relaxed))
    }

    /// Changes those of the flags that can be.
    pub fn set_flags(&self, flags: Flags) {
        let kept = self.flags().difference(Flags::CHANGEABLE);
        let set = kept.union(flags.intersection(Flags::CHANGEABLE));
        self.flags.store(set.bits(), Ordering::Relaxed);
    }

    /// Reads on from the position, and moves it.
    pub fn read(&self, into: &mut [u8]) -> Result<usize> {
        let at = self.position.load(Ordering::Relaxed);
        let count = self.read_at(at, into)?;
        self.position.store(at + count as u64, Ordering::Relaxed);
        Ok(count)
    }

    /// Reads at a position of the caller's.
    pub fn read_at(&self, at: u64, into: &mut [u8]) -> Result<usize> {
        if !self.flags().reads() {
            return Err(EBADF);
        }
        self.file.read(at, into, self.flags())
    }

    /// Writes on at the position, or at the end when appending, and moves it.
    pub fn write(&self, from: &[u8]) -> Result<usize> {
        let append = self.flags().contains(Flags::APPEND);
        let end = if append { self.file.end() } else { None };
        let at = end.unwrap_or_else(|| self.position.load(Ordering::Relaxed));
        let count = self.write_at(at, from)?;
        self.position.store(at + count as u64, Ordering::Relaxed);
        Ok(count)
    }

    /// Writes at a position of the caller's.
    pub fn write_at(&self, at: u64, from: &[u8]) -> Result<usize> {
        if !self.flags().writes() {
            return Err(EBADF);
        }
        self.file.write(at, from, self.flags())
    }

    /// Moves the position as `lseek` does.
    pub fn seek(&self, offset: i64, whence: u32) -> Result<u64> {
        let end = self.file.end().ok_or(crate::errno::ESPIPE)?;
        let base = match whence {
            0 => 0,
            1 => self.position.load(Ordering::Relaxed).cast_signed(),
            2 => end.cast_signed(),
            _ => return Err(EINVAL),
        };
        let target = base.checked_add(offset).filter(|target| *target >= 0).ok_or(EINVAL)?;
        self.position.store(target.cast_unsigned(), Ordering::Relaxed);
        Ok(target.cast_unsigned())
    }
}

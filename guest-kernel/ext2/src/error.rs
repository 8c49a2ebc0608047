//! What can go wrong.

use crate::device::Failed;
use core::fmt;

/// Why an operation failed. Unless it is [`Device`](Self::Device) or [`Corrupt`](Self::Corrupt), the
/// volume is as it was before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The device failed.
    Device,
    /// What is stored cannot be so.
    Corrupt(&'static str),
    /// Not an ext2 volume, or one with something that this crate does not know.
    Unknown(&'static str),
    /// The volume is only read.
    ReadOnly,
    /// No block is free, or no inode.
    Full,
    /// No entry of that name.
    Missing,
    /// There is an entry of that name.
    Exists,
    /// Not a directory.
    NotDirectory,
    /// A directory.
    IsDirectory,
    /// The directory has entries.
    NotEmpty,
    /// Longer than a file can be.
    TooLarge,
    /// Longer than a name or a link's target can be.
    NameTooLong,
    /// More links than can be counted.
    TooManyLinks,
    /// What is asked makes no sense, as moving a directory into itself.
    Invalid,
}

impl From<Failed> for Error {
    fn from(_: Failed) -> Self {
        Self::Device
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device => f.write_str("the device failed"),
            Self::Corrupt(what) => write!(f, "damaged: {what}"),
            Self::Unknown(what) => f.write_str(what),
            Self::ReadOnly => f.write_str("read-only"),
            Self::Full => f.write_str("no space left"),
            Self::Missing => f.write_str("no such entry"),
            Self::Exists => f.write_str("exists already"),
            Self::NotDirectory => f.write_str("not a directory"),
            Self::IsDirectory => f.write_str("a directory"),
            Self::NotEmpty => f.write_str("the directory is not empty"),
            Self::TooLarge => f.write_str("too large"),
            Self::NameTooLong => f.write_str("the name is too long"),
            Self::TooManyLinks => f.write_str("too many links"),
            Self::Invalid => f.write_str("invalid"),
        }
    }
}

//! Devices without a disk: what swallows, what is zeroes.

use super::file::{CHARACTERS, Contents, File, Flags, Result, Status, device};
use crate::errno::ENOSPC;
use crate::task::process;

/// Swallows writes, is empty.
pub struct Null;

impl File for Null {
    fn status(&self) -> Result<Status> {
        Ok(Status { special: device(1, 3), ..Status::anonymous(CHARACTERS | 0o666) })
    }

    fn read(&self, _: u64, _: &mut [u8], _: Flags) -> Result<usize> {
        Ok(0)
    }

    fn write(&self, _: u64, from: &[u8], _: Flags) -> Result<usize> {
        Ok(from.len())
    }

    fn end(&self) -> Option<u64> {
        Some(0)
    }
}

/// Is endless zeroes, and swallows writes, or is full.
pub struct Zero {
    /// Whether writes find no room.
    pub full: bool,
}

impl File for Zero {
    fn status(&self) -> Result<Status> {
        let special = device(1, if self.full { 7 } else { 5 });
        Ok(Status { special, ..Status::anonymous(CHARACTERS | 0o666) })
    }

    fn read(&self, _: u64, into: &mut [u8], _: Flags) -> Result<usize> {
        into.fill(0);
        Ok(into.len())
    }

    fn write(&self, _: u64, from: &[u8], _: Flags) -> Result<usize> {
        if self.full { Err(ENOSPC) } else { Ok(from.len()) }
    }

    fn end(&self) -> Option<u64> {
        Some(0)
    }

    fn contents(&self) -> Result<Contents> {
        Ok(Contents::Zero)
    }
}

/// Bytes that tell runs apart, and are no secret.
pub struct Random {
    /// Which of the two devices.
    pub special: u64,
}

impl File for Random {
    fn status(&self) -> Result<Status> {
        Ok(Status { special: self.special, ..Status::anonymous(CHARACTERS | 0o666) })
    }

    fn read(&self, _: u64, into: &mut [u8], _: Flags) -> Result<usize> {
        for chunk in into.chunks_mut(16) {
            chunk.iter_mut().zip(process::random()).for_each(|(to, from)| *to = from);
        }
        Ok(into.len())
    }

    fn write(&self, _: u64, from: &[u8], _: Flags) -> Result<usize> {
        Ok(from.len())
    }

    fn end(&self) -> Option<u64> {
        Some(0)
    }
}

//! Devices without a disk: the console, what swallows, what is zeroes.

use super::file::{CHARACTERS, Contents, File, Flags, Ready, Result, Status, device};
use crate::arch::uaccess::{copy_to_user, write_user};
use crate::errno::{EFAULT, ENOSPC, ENOTTY};
use crate::task::{process, scheduler};
use crate::{console, tty};

/// The terminal.
pub struct Console;

impl File for Console {
    fn status(&self) -> Result<Status> {
        Ok(Status { special: device(5, 1), ..Status::anonymous(CHARACTERS | 0o666) })
    }

    fn read(&self, _: u64, into: &mut [u8], _: Flags) -> Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        tty::read_line(into)
    }

    fn write(&self, _: u64, from: &[u8], _: Flags) -> Result<usize> {
        console::write_bytes(from);
        console::flush();
        Ok(from.len())
    }

    fn ready(&self) -> Ready {
        let input = if tty::has_input() { Ready::READ } else { Ready::empty() };
        input | Ready::WRITE
    }

    fn channel(&self) -> u32 {
        scheduler::CONSOLE
    }

    fn ioctl(&self, request: u32, argument: u32) -> Result<u32> {
        match request {
            // TCGETS. struct termios: ICRNL, OPOST|ONLCR, B38400|CS8|CREAD, ISIG|ICANON|ECHO|ECHOE;
            // c_line, c_cc[19].
            0x5401 => {
                let flags = [0o400u32, 0o5, 0o277, 0o33];
                write_user(argument, &flags)?;
                let mut rest = [0u8; 20];
                rest[1..6].copy_from_slice(&[3, 28, 127, 21, 4]);
                copy_to_user(argument.checked_add(16).ok_or(EFAULT)?, &rest)?;
                Ok(0)
            }
            // TIOCGWINSZ.
            0x5413 => {
                write_user(argument, &[24u16, 80, 0, 0])?;
                Ok(0)
            }
            _ => Err(ENOTTY),
        }
    }
}

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

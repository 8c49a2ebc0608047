//! Files: the initrd read-only, the console, and two devices.
//!
//! An open file is shared by the descriptors that `dup` and `fork` made of it, its position
//! included. Paths are absolute or relative to `/`: there is one current directory.

use crate::arch::abi::StartInfo;
use crate::initrd::{Initrd, Member};
use crate::mm::p2m;
use crate::shell::kernel::Errno;
use crate::sync::Guarded;
use crate::syscall::errno::{EBADF, EMFILE, ENOENT, EROFS};
use alloc::sync::Arc;
use alloc::vec::Vec;

pub mod pipe;

/// Most open files of a process.
const FILES: usize = 64;

static INITRD: Guarded<Initrd> = Guarded::new(Initrd::new(&[]));

/// Finds the initrd that the builder loaded as the module.
pub fn init(start_info: &StartInfo) {
    let at = if start_info.flags & pv_abi::start_info::SIF_MOD_START_PFN != 0 {
        p2m::address(pv_abi::types::Pfn::new(u64::from(start_info.mod_start)))
    } else {
        start_info.mod_start
    };
    if at != 0 && start_info.mod_len != 0 {
        let bytes = crate::mm::boot_bytes(at, start_info.mod_len);
        INITRD.with(|initrd| *initrd = Initrd::new(bytes));
    }
}

/// The initrd.
pub fn initrd() -> Initrd {
    INITRD.with(|initrd| *initrd)
}

/// What an open file is.
pub enum Kind {
    /// The terminal.
    Console,
    /// Swallows writes, is empty.
    Null,
    /// Swallows writes, is endless zeroes.
    Zero,
    /// A file or directory of the initrd.
    Member(Member),
    /// The end of a pipe to read from.
    PipeReader(pipe::Reader),
    /// The end of a pipe to write to.
    PipeWriter(pipe::Writer),
}

/// An open file.
pub struct Open {
    /// What it is.
    pub kind: Kind,
    /// Position in bytes; in a directory, in entries.
    pub position: Guarded<u64>,
}

/// A descriptor.
#[derive(Clone)]
struct Descriptor {
    open: Arc<Open>,
    close_on_exec: bool,
}

/// The descriptors of a process.
#[derive(Clone)]
pub struct Files {
    list: Vec<Option<Descriptor>>,
}

impl Files {
    /// Descriptors 0 to 2 on the console.
    pub fn console() -> Self {
        let open = Arc::new(Open { kind: Kind::Console, position: Guarded::new(0) });
        let descriptor = Some(Descriptor { open, close_on_exec: false });
        Self { list: alloc::vec![descriptor.clone(), descriptor.clone(), descriptor] }
    }

    /// The open file of a descriptor.
    pub fn get(&self, number: u32) -> Result<Arc<Open>, Errno> {
        let descriptor = self.list.get(number as usize).and_then(Option::as_ref).ok_or(EBADF)?;
        Ok(Arc::clone(&descriptor.open))
    }

    /// The lowest free descriptor from `lowest` on becomes that of `open`.
    pub fn add(&mut self, open: Arc<Open>, lowest: u32, close_on_exec: bool) -> Result<u32, Errno> {
        let lowest = lowest as usize;
        if lowest >= FILES {
            return Err(crate::syscall::errno::EINVAL);
        }
        if self.list.len() < lowest {
            self.list.resize(lowest, None);
        }
        let descriptor = Some(Descriptor { open, close_on_exec });
        let free = self.list.iter().skip(lowest).position(Option::is_none);
        match free {
            Some(index) => {
                self.list[lowest + index] = descriptor;
                Ok((lowest + index) as u32)
            }
            None if self.list.len() < FILES => {
                self.list.push(descriptor);
                Ok(self.list.len() as u32 - 1)
            }
            None => Err(EMFILE),
        }
    }

    /// Makes `to` a descriptor of the same file as `from`.
    pub fn duplicate(&mut self, from: u32, to: u32, close_on_exec: bool) -> Result<u32, Errno> {
        let open = self.get(from)?;
        let index = to as usize;
        if index >= FILES {
            return Err(EBADF);
        }
        if self.list.len() <= index {
            self.list.resize(index + 1, None);
        }
        if from != to {
            self.list[index] = Some(Descriptor { open, close_on_exec });
        }
        Ok(to)
    }

    /// Closes a descriptor.
    pub fn close(&mut self, number: u32) -> Result<(), Errno> {
        let slot = self.list.get_mut(number as usize).ok_or(EBADF)?;
        slot.take().map(|_| ()).ok_or(EBADF)
    }

    /// Whether a descriptor is closed by `execve`.
    pub fn is_close_on_exec(&self, number: u32) -> Result<bool, Errno> {
        let slot = self.list.get(number as usize).and_then(Option::as_ref).ok_or(EBADF)?;
        Ok(slot.close_on_exec)
    }

    /// Sets whether a descriptor is closed by `execve`.
    pub fn set_close_on_exec(&mut self, number: u32, close_on_exec: bool) -> Result<(), Errno> {
        let slot = self.list.get_mut(number as usize).and_then(Option::as_mut).ok_or(EBADF)?;
        slot.close_on_exec = close_on_exec;
        Ok(())
    }

    /// Closes what `execve` closes.
    pub fn close_on_exec(&mut self) {
        for slot in &mut self.list {
            slot.take_if(|descriptor| descriptor.close_on_exec);
        }
    }

    /// Closes everything.
    pub fn close_all(&mut self) {
        self.list.clear();
    }
}

/// Opens a path for reading, or a device for writing, too.
pub fn open(path: &str, writing: bool) -> Result<Open, Errno> {
    let kind = match path {
        "/dev/console" | "/dev/tty" => Kind::Console,
        "/dev/null" => Kind::Null,
        "/dev/zero" => Kind::Zero,
        path => {
            let member = initrd().find(path).ok_or(if writing { EROFS } else { ENOENT })?;
            if writing {
                return Err(if member.is_directory() {
                    crate::syscall::errno::EISDIR
                } else {
                    EROFS
                });
            }
            Kind::Member(member)
        }
    };
    Ok(Open { kind, position: Guarded::new(0) })
}

//! What a process has of files: descriptors, small numbers for open ones; the directory that its paths
//! begin at; its umask.

use super::file::{Open, Result};
use super::place::Place;
use crate::errno::{EBADF, EINVAL, EMFILE};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Most open files of a process.
pub const FILES: usize = 256;

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
    /// Where relative paths begin. None: at the root.
    directory: Option<Place>,
    /// Permissions that new files do not get.
    umask: u32,
}

impl Files {
    /// Descriptors 0 to 2 of one open file.
    pub fn standard(open: Open) -> Self {
        let descriptor = Some(Descriptor { open: Arc::new(open), close_on_exec: false });
        let list = alloc::vec![descriptor.clone(), descriptor.clone(), descriptor];
        Self { list, directory: None, umask: 0o022 }
    }

    /// Where relative paths begin. None: at the root.
    pub fn directory(&self) -> Option<Place> {
        self.directory.clone()
    }

    /// Has relative paths begin elsewhere: the directory before.
    pub fn set_directory(&mut self, directory: Place) -> Option<Place> {
        self.directory.replace(directory)
    }

    /// Permissions that new files do not get.
    pub fn umask(&self) -> u32 {
        self.umask
    }

    /// Changes them: those before.
    pub fn set_umask(&mut self, umask: u32) -> u32 {
        core::mem::replace(&mut self.umask, umask & 0o777)
    }

    /// The open file of a descriptor.
    pub fn get(&self, number: u32) -> Result<Arc<Open>> {
        let descriptor = self.list.get(number as usize).and_then(Option::as_ref).ok_or(EBADF)?;
        Ok(Arc::clone(&descriptor.open))
    }

    /// The lowest free descriptor from `lowest` on becomes that of `open`.
    pub fn add(&mut self, open: Arc<Open>, lowest: u32, close_on_exec: bool) -> Result<u32> {
        let lowest = lowest as usize;
        if lowest >= FILES {
            return Err(EINVAL);
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
    pub fn duplicate(&mut self, from: u32, to: u32, close_on_exec: bool) -> Result<u32> {
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
    pub fn close(&mut self, number: u32) -> Result {
        let slot = self.list.get_mut(number as usize).ok_or(EBADF)?;
        slot.take().map(|_| ()).ok_or(EBADF)
    }

    /// Whether a descriptor is closed by `execve`.
    pub fn is_close_on_exec(&self, number: u32) -> Result<bool> {
        let slot = self.list.get(number as usize).and_then(Option::as_ref).ok_or(EBADF)?;
        Ok(slot.close_on_exec)
    }

    /// Sets whether a descriptor is closed by `execve`.
    pub fn set_close_on_exec(&mut self, number: u32, close_on_exec: bool) -> Result {
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

    /// Closes everything, and lets the directory go.
    pub fn close_all(&mut self) {
        self.list.clear();
        self.directory = None;
    }
}

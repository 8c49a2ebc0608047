//! A list of frames that grows by one at a time, kept in frames itself.
//!
//! A directory frame holds the numbers of up to 512 frames. Shared frames, status frames,
//! the frames of active entries and those of mapping records are such lists: reaching
//! element n of a table is two look-ups, and nothing has to be contiguous.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use crate::mm::frame::Owner;
use crate::mm::memory::Memory;
use crate::platform::FrameAccess;

/// Frames that one directory lists.
pub const PER_DIRECTORY: u32 = 512;

/// Up to `DIRECTORIES` * 512 frames.
pub struct FrameList<const DIRECTORIES: usize> {
    /// The first of these are there, as many as the length takes.
    directories: [Mfn; DIRECTORIES],
    len: u32,
}

impl<const DIRECTORIES: usize> FrameList<DIRECTORIES> {
    /// No frames.
    pub const fn new() -> Self {
        FrameList { directories: [Mfn::new(0); DIRECTORIES], len: 0 }
    }

    /// How many there are.
    #[inline(always)]
    pub fn count(&self) -> u32 {
        self.len
    }

    /// Frame number `index`.
    #[inline(always)]
    pub fn get(&self, access: &impl FrameAccess, index: u32) -> Option<Mfn> {
        if index >= self.len {
            return None;
        }
        // No more than there are, whatever the length says: so no check is left of it.
        let directory = (index / PER_DIRECTORY) as usize % DIRECTORIES;
        let directory = *self.directories.get(directory)?;
        let word = access.words(directory).get((index % PER_DIRECTORY) as usize)?;
        Some(Mfn::new(word.load(Ordering::Relaxed)))
    }

    /// All frames in order.
    pub fn iter<'a>(&'a self, access: &'a impl FrameAccess) -> impl Iterator<Item = Mfn> + 'a {
        (0..self.len).map_while(|index| self.get(access, index))
    }

    /// Appends a frame. `ENOMEM` without room or without a frame for another directory.
    pub fn push(
        &mut self,
        memory: &Memory,
        access: &impl FrameAccess,
        mfn: Mfn,
    ) -> Result<(), Errno> {
        let at = (self.len / PER_DIRECTORY) as usize;
        let directory = self.directories.get_mut(at).ok_or(Errno::ENOMEM)?;
        if self.len.is_multiple_of(PER_DIRECTORY) {
            *directory = memory.allocate(Owner::Hypervisor, 0)?;
        }
        if let Some(word) = access.words(*directory).get((self.len % PER_DIRECTORY) as usize) {
            word.store(mfn.raw(), Ordering::Relaxed);
        }
        self.len = self.len.saturating_add(1);
        Ok(())
    }

    /// Takes the last frame off.
    pub fn pop(&mut self, memory: &Memory, access: &impl FrameAccess) -> Option<Mfn> {
        let last = self.len.checked_sub(1)?;
        let mfn = self.get(access, last)?;
        self.len = last;
        if last.is_multiple_of(PER_DIRECTORY)
            && let Some(directory) = self.directories.get((last / PER_DIRECTORY) as usize)
        {
            memory.release(*directory, 0);
        }
        Some(mfn)
    }

    /// Appends a new, zeroed frame of the hypervisor's.
    pub fn grow(&mut self, memory: &Memory, access: &impl FrameAccess) -> Result<(), Errno> {
        let mfn = memory.allocate(Owner::Hypervisor, 0)?;
        access.zero(mfn);
        self.push(memory, access, mfn).inspect_err(|_| memory.release(mfn, 0))
    }
}

impl<const DIRECTORIES: usize> Default for FrameList<DIRECTORIES> {
    fn default() -> Self {
        FrameList::new()
    }
}

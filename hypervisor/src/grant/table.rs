//! A domain's grant table: the frames that it shares with the guest, and the active entries.
//!
//! Frames are made as the guest asks for more references, up to its limit, and stay until the
//! domain is destroyed; a first one is made when anybody first looks. They are the
//! hypervisor's making, lent to the guest like `shared_info`: owned by the domain, held by
//! one writable reference of ours, and never the domain's to give away. Status frames
//! stay as well when the guest goes back to version 1: what it may still have mapped is
//! then a page that nobody looks at, not one that was freed under it.

use pv_abi::errno::Errno;
use pv_abi::types::{GrantRef, Mfn};

use super::active::{self, Slot};
use super::claim::HalfWord;
use super::frames::FrameList;
use super::shared::{Body, Shared};
use crate::domain::Domain;
use crate::lock::Guard;
use crate::mm::frame::Owner;
use crate::platform::{FrameAccess, Platform};
use crate::system::System;

/// The most frames that a table can have: a directory of them.
pub const MAX_FRAMES: u32 = super::frames::PER_DIRECTORY;
/// Active-entry frames for each frame of the table: entries are smallest in version 1.
const ACTIVE_PER_SHARED: u32 = entries_per_frame(1) / active::PER_FRAME;
/// Frames made by one request before it is preempted.
pub const GROW_STEP: u32 = 16;
/// Status words in a frame.
const STATUS_PER_FRAME: u32 = 2048;

/// Entries in a frame of a table of `version`.
pub const fn entries_per_frame(version: u32) -> u32 {
    if version == 1 { 512 } else { 256 }
}

/// Status frames that go with `frames` frames of a version 2 table.
pub const fn status_frames(frames: u32) -> u32 {
    (frames * entries_per_frame(2)).div_ceil(STATUS_PER_FRAME)
}

/// What a domain's table lock guards.
pub struct Table {
    /// The domain is being destroyed: nothing is granted any more.
    pub closed: bool,
    /// 1 or 2.
    pub version: u32,
    /// Entries in use that only version 2 can have: parts and transitive grants.
    pub v2_pins: u32,
    /// Frames of entries.
    pub shared: FrameList<1>,
    /// Frames of status words; looked at in version 2 only.
    pub status: FrameList<1>,
    /// Frames of active entries.
    pub active: FrameList<2>,
}

impl<P: Platform> System<P> {
    /// Locks `domain`'s grant table. Below `Domain::paging`; no two are held at once.
    #[inline(always)]
    pub(crate) fn grant_table<'a>(&'a self, domain: &'a Domain) -> Guard<'a, Table> {
        let mut table = domain.grants.table.lock();
        if table.shared.count() == 0 && !table.closed {
            // Without memory it stays empty: no reference is good, and the next one tries again.
            let _ = table.grow(self, domain, 1);
        }
        table
    }
}

impl Table {
    /// No frames, version 1.
    pub const fn new() -> Table {
        Table {
            closed: false,
            version: 1,
            v2_pins: 0,
            shared: FrameList::new(),
            status: FrameList::new(),
            active: FrameList::new(),
        }
    }

    /// How many references there are.
    #[inline(always)]
    pub fn entries(&self) -> u32 {
        self.shared.count() * entries_per_frame(self.version)
    }

    /// The status frames that the guest is told of.
    pub fn visible_status_frames(&self) -> u32 {
        if self.version == 1 { 0 } else { self.status.count() }
    }

    /// The active entry of `gref`. With version 2, which has half as many entries to a frame,
    /// there is one past the end, too, never in use: [`Table::entry`] says whether there is
    /// such a reference.
    #[inline(always)]
    pub fn slot<'a>(&self, access: &'a impl FrameAccess, gref: GrantRef) -> Option<Slot<'a>> {
        let number = gref.raw();
        let frame = self.active.get(access, number / active::PER_FRAME)?;
        Slot::in_frame(access.words(frame), number % active::PER_FRAME)
    }

    /// The entry of `gref` in shared memory.
    #[inline(always)]
    pub fn entry<'a>(&self, access: &'a impl FrameAccess, gref: GrantRef) -> Option<Shared<'a>> {
        let number = gref.raw();
        let frame = self.shared.get(access, number / entries_per_frame(self.version))?;
        if self.version == 1 {
            let at = (number % entries_per_frame(1)) as usize * 2;
            let halves = access.half_words(frame);
            let frame = halves.get(at + 1)?;
            return Some(Shared { header: halves.get(at)?, body: Body::V1 { frame } });
        }
        let at = (number % entries_per_frame(2)) as usize;
        let words = access.words(frame);
        let status = self.status.get(access, number / STATUS_PER_FRAME)?;
        let index = number % STATUS_PER_FRAME;
        let status = HalfWord {
            word: access.half_words(status).get((index / 2) as usize)?,
            shift: index % 2 * 16,
        };
        Some(Shared {
            header: access.half_words(frame).get(at * 4)?,
            body: Body::V2 { head: words.get(at * 2)?, frame: words.get(at * 2 + 1)?, status },
        })
    }

    /// Grows `owner`'s table to `frames` frames. `ENOMEM`: it has grown as far as
    /// there was memory.
    pub fn grow<P: Platform>(
        &mut self,
        sys: &System<P>,
        owner: &Domain,
        frames: u32,
    ) -> Result<(), Errno> {
        let (memory, access) = (&sys.memory, &sys.platform);
        if self.version != 1 {
            self.grow_status(sys, owner, frames)?;
        }
        while self.shared.count() < frames {
            let active = self.shared.count().saturating_add(1).saturating_mul(ACTIVE_PER_SHARED);
            while self.active.count() < active {
                self.active.grow(memory, access)?;
            }
            let mfn = lend(sys, owner)?;
            self.shared
                .push(memory, access, mfn)
                .inspect_err(|_| sys.take_back_unseen(owner, mfn))?;
        }
        Ok(())
    }

    /// Makes the status frames for `frames` frames of entries.
    pub fn grow_status<P: Platform>(
        &mut self,
        sys: &System<P>,
        owner: &Domain,
        frames: u32,
    ) -> Result<(), Errno> {
        while self.status.count() < status_frames(frames) {
            let mfn = lend(sys, owner)?;
            let pushed = self.status.push(&sys.memory, &sys.platform, mfn);
            pushed.inspect_err(|_| sys.take_back_unseen(owner, mfn))?;
        }
        Ok(())
    }
}

/// A zeroed frame that we lend to `owner`.
fn lend<P: Platform>(sys: &System<P>, owner: &Domain) -> Result<Mfn, Errno> {
    let mfn = sys.memory.allocate(Owner::Hypervisor, 0)?;
    sys.platform.zero(mfn);
    sys.lend(owner, mfn);
    Ok(mfn)
}

impl Default for Table {
    fn default() -> Self {
        Table::new()
    }
}

//! Mapping records: which grants of others a domain has mapped.
//!
//! A record is found by its *handle*, which the guest gets when it maps and names when it
//! unmaps. It holds all that unmapping needs (the frame among it), so that a mapping can be
//! taken down when its granter is long gone.
//!
//! Records are made as handles are needed, up to the domain's limit, and reused.

use core::sync::atomic::{AtomicU64, Ordering};

use pv_abi::errno::Errno;
use pv_abi::grant_table as abi;
use pv_abi::types::{DomId, GrantHandle, GrantRef, Mfn};

use super::frames::FrameList;
use crate::mm::memory::Memory;
use crate::platform::FrameAccess;

/// Records in a frame.
pub const PER_FRAME: u32 = 256;
/// The most frames of them that a domain can have.
pub const MAX_FRAMES: u32 = DIRECTORIES as u32 * super::frames::PER_DIRECTORY;
const DIRECTORIES: usize = 8;

/// "None" in the list of free records.
const END: u32 = u32::MAX;
/// `GNTMAP_*` flags that a record keeps.
const KEPT: u32 = abi::GNTMAP_DEVICE_MAP
    | abi::GNTMAP_HOST_MAP
    | abi::GNTMAP_READONLY
    | abi::GNTMAP_APPLICATION_MAP
    | abi::GNTMAP_CONTAINS_PTE;
/// The flags that say that there is a mapping.
const MAPPED: u32 = abi::GNTMAP_DEVICE_MAP | abi::GNTMAP_HOST_MAP;

/// A mapping of somebody's grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// The granter's number.
    pub granter: DomId,
    /// Which domain of that number it was.
    pub serial: u32,
    /// The reference in its table.
    pub gref: GrantRef,
    /// The frame.
    pub mfn: Mfn,
    /// `GNTMAP_*`, as mapped; what was unmapped is cleared.
    pub flags: u32,
}

impl Mapping {
    /// Whether it is for writing.
    pub fn writable(&self) -> bool {
        self.flags & abi::GNTMAP_READONLY == 0
    }
    /// Whether a CPU maps it.
    pub fn host(&self) -> bool {
        self.flags & abi::GNTMAP_HOST_MAP != 0
    }
    /// Whether a device does.
    pub fn device(&self) -> bool {
        self.flags & abi::GNTMAP_DEVICE_MAP != 0
    }
    /// Whether any of them does.
    pub fn is_mapped(&self) -> bool {
        self.flags & MAPPED != 0
    }
}

/// Where a record lies: its place is the same as long as its domain lives.
///
/// One that is reserved belongs to the vCPU that maps. Those that hold a mapping change under the
/// domain's paging lock, which who unmaps holds: no two vCPUs unmap the same handle.
pub struct Record<'a> {
    /// Its handle.
    pub handle: GrantHandle,
    first: &'a AtomicU64,
    second: &'a AtomicU64,
}

impl Record<'_> {
    /// Records a mapping.
    #[inline(always)]
    pub fn fill(&self, mapping: &Mapping) {
        // Frame numbers fit: the frame table covers at most 2^32 - 1 frames.
        let second = mapping.mfn.raw() & 0xffff_ffff | u64::from(mapping.serial) << 32;
        let first = u64::from(mapping.gref.raw())
            | u64::from(mapping.granter.raw()) << 32
            | u64::from(mapping.flags & KEPT) << 48;
        self.second.store(second, Ordering::Relaxed);
        self.first.store(first, Ordering::Release);
    }

    /// The mapping in it; `None` if there is none.
    #[inline(always)]
    pub fn get(&self) -> Option<Mapping> {
        let first = self.first.load(Ordering::Acquire);
        let second = self.second.load(Ordering::Relaxed);
        let mapping = Mapping {
            granter: DomId::new((first >> 32) as u16),
            serial: (second >> 32) as u32,
            gref: GrantRef::new(first as u32),
            mfn: Mfn::new(second & 0xffff_ffff),
            flags: (first >> 48) as u32,
        };
        mapping.is_mapped().then_some(mapping)
    }
}

/// What the lock of a domain's mapping records guards.
pub struct Maptrack {
    frames: FrameList<DIRECTORIES>,
    /// The first free record, each of which holds the next.
    free: u32,
    /// Records that were ever used; those from here on have never been.
    used: u32,
}

impl Maptrack {
    /// No records.
    pub const fn new() -> Maptrack {
        Maptrack { frames: FrameList::new(), free: END, used: 0 }
    }

    /// Frames that the records take.
    pub fn frames(&self) -> u32 {
        self.frames.count()
    }

    /// The record of a handle that was ever given out.
    #[inline(always)]
    pub fn record<'a>(
        &self,
        access: &'a impl FrameAccess,
        handle: GrantHandle,
    ) -> Option<Record<'a>> {
        let number = handle.raw();
        if number >= self.used {
            return None;
        }
        let words = access.words(self.frames.get(access, number / PER_FRAME)?);
        let at = (number % PER_FRAME) as usize * 2;
        Some(Record { handle, first: words.get(at)?, second: words.get(at + 1)? })
    }

    /// A free record, which the caller fills or [`frees`](Maptrack::free).
    ///
    /// `ENOSPC`: the domain has as many as it may, `limit` frames; `ENOMEM`.
    #[inline(always)]
    pub fn reserve<'a>(
        &mut self,
        memory: &Memory,
        access: &'a impl FrameAccess,
        limit: u32,
    ) -> Result<Record<'a>, Errno> {
        if let Some(record) = self.record(access, GrantHandle::new(self.free)) {
            self.free = record.first.load(Ordering::Relaxed) as u32;
            record.first.store(0, Ordering::Relaxed);
            return Ok(record);
        }
        self.reserve_new(memory, access, limit)
    }

    #[cold]
    fn reserve_new<'a>(
        &mut self,
        memory: &Memory,
        access: &'a impl FrameAccess,
        limit: u32,
    ) -> Result<Record<'a>, Errno> {
        if self.used == self.frames.count() * PER_FRAME {
            if self.frames.count() >= limit {
                return Err(Errno::ENOSPC);
            }
            self.frames.grow(memory, access)?;
        }
        let handle = GrantHandle::new(self.used);
        self.used = self.used.saturating_add(1);
        self.record(access, handle).ok_or(Errno::ENOMEM)
    }

    /// Gives a record back that holds no mapping (any more).
    #[inline(always)]
    pub fn free(&mut self, record: &Record<'_>) {
        record.first.store(u64::from(self.free), Ordering::Relaxed);
        self.free = record.handle.raw();
    }

    /// The mapping behind a handle; `None` if there is none.
    #[inline(always)]
    pub fn get(&self, access: &impl FrameAccess, handle: GrantHandle) -> Option<Mapping> {
        self.record(access, handle)?.get()
    }

    /// All mappings.
    pub fn iter<'a>(
        &'a self,
        access: &'a impl FrameAccess,
    ) -> impl Iterator<Item = (GrantHandle, Mapping)> + 'a {
        (0..self.used).map(GrantHandle::new).filter_map(|h| Some((h, self.get(access, h)?)))
    }

    /// Takes the last record away, for a domain that is being destroyed, and the mapping in it,
    /// if any; `None` once there are no more.
    pub fn take_last(
        &mut self,
        memory: &Memory,
        access: &impl FrameAccess,
    ) -> Option<Option<Mapping>> {
        let last = self.used.checked_sub(1)?;
        let mapping = self.get(access, GrantHandle::new(last));
        self.free = END;
        self.used = last;
        if last.is_multiple_of(PER_FRAME)
            && let Some(frame) = self.frames.pop(memory, access)
        {
            memory.release(frame, 0);
        }
        Some(mapping)
    }
}

impl Default for Maptrack {
    fn default() -> Self {
        Maptrack::new()
    }
}

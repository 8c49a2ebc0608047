//! All of the machine's memory: the frame table, the machine-to-physical tables, the heap.

use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, Mfn};

use super::frame::{Frame, Owner, Type, Word};
use super::heap::Heap;
use crate::domain::Domain;
use crate::lock::{Lock, Rank};

/// "No such pseudo-physical frame" in the machine-to-physical tables.
pub const INVALID_M2P: u64 = u64::MAX;

/// The machine's frames and what is known of them.
pub struct Memory {
    frames: &'static [Frame],
    m2p32: &'static [AtomicU32],
    m2p64: &'static [AtomicU64],
    heap: Lock<Heap>,
}

impl Memory {
    /// Takes the tables that boot code made: one element per machine frame, records zero.
    pub const fn new(
        frames: &'static [Frame],
        m2p32: &'static [AtomicU32],
        m2p64: &'static [AtomicU64],
    ) -> Memory {
        Memory { frames, m2p32, m2p64, heap: Lock::new(Rank::Leaf, Heap::new()) }
    }

    /// Gives the frames `[start, end)` of RAM to the heap.
    pub fn add_range(&self, start: Mfn, end: Mfn) {
        self.heap.lock().add_range(self.frames, start, end);
    }

    /// The record of a frame; `None` past the last frame of the machine.
    #[inline(always)]
    pub fn frame(&self, mfn: Mfn) -> Option<&'static Frame> {
        // A number that does not fit usize is past the end as well.
        self.frames.get(usize::try_from(mfn.raw()).unwrap_or(usize::MAX))
    }

    /// The first frame of a range that `domain` has; the range's end if it has none.
    pub fn first_owned(&self, domain: DomId, range: Range<u64>) -> u64 {
        let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let frames = bounds.and_then(|(start, end)| self.frames.get(start..end));
        let found = frames.unwrap_or_default().iter().position(|frame| frame.is_owned_by(domain));
        found.map_or(range.end, |found| range.start.saturating_add(found as u64))
    }

    /// How many frames the frame table describes: the highest frame number plus one.
    pub fn frame_count(&self) -> u64 {
        self.frames.len() as u64
    }

    /// Free frames, and all frames that were ever given to the heap.
    pub fn free_and_total(&self) -> (u64, u64) {
        let heap = self.heap.lock();
        (heap.free_frames(), heap.total_frames())
    }

    /// Takes 2^`order` frames for `owner`: allocated, no type, one reference each. Contents are as they were.
    pub fn allocate(&self, owner: Owner, order: u8) -> Result<Mfn, Errno> {
        let mfn = self.heap.lock().take(self.frames, order).ok_or(Errno::ENOMEM)?;
        self.hand_out(mfn, owner, order);
        Ok(mfn)
    }

    /// The same, of frames below `limit`.
    pub fn allocate_below(&self, owner: Owner, order: u8, limit: Mfn) -> Result<Mfn, Errno> {
        let taken = self.heap.lock().take_below(self.frames, order, limit);
        let mfn = taken.ok_or(Errno::ENOMEM)?;
        self.hand_out(mfn, owner, order);
        Ok(mfn)
    }

    /// Gives 2^`order` frames of the hypervisor's, to which nobody else refers, to a domain, which
    /// has one reference to each: so they can be emptied before anyone can refer to them.
    pub fn hand_over(&self, mfn: Mfn, domain: &Domain, order: u8) {
        domain.footprint.include(mfn, 1 << order);
        for frame in self.slice(self.frames, mfn, 1 << order) {
            frame.set_owner(Owner::Domain(domain.id));
        }
    }

    fn hand_out(&self, mfn: Mfn, owner: Owner, order: u8) {
        for frame in self.slice(self.frames, mfn, 1 << order) {
            frame.set_owner(owner);
            frame.set(Word::fresh());
        }
    }

    /// The elements of one of the tables for `count` frames from `mfn` on.
    fn slice<T>(&self, table: &'static [T], mfn: Mfn, count: u64) -> &'static [T] {
        let start = usize::try_from(mfn.raw()).unwrap_or(usize::MAX);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        table.get(start..start.saturating_add(count)).unwrap_or(&[])
    }

    /// Gives 2^`order` frames back that nobody refers to any more.
    ///
    /// The caller has flushed stale translations of them.
    pub fn release(&self, mfn: Mfn, order: u8) {
        self.heap.lock().release(self.frames, mfn, order);
    }

    /// Gives the frames `[start, end)` back, as [`Memory::release`] does.
    pub(super) fn release_range(&self, start: Mfn, end: Mfn) {
        self.heap.lock().release_range(self.frames, start, end);
    }

    /// Takes a reference to a frame of `domain`'s, whatever its type.
    ///
    /// `EINVAL` if the frame is not the domain's, or has no owner, or has too many references.
    #[inline(always)]
    pub fn get_page(&self, mfn: Mfn, domain: DomId) -> Result<&'static Frame, Errno> {
        let frame = self.frame(mfn).ok_or(Errno::EINVAL)?;
        if !frame.is_owned_by(domain) {
            return Err(Errno::EINVAL);
        }
        frame
            .update(|w| if w.total() == 0 { None } else { w.add_total() })
            .map_err(|_| Errno::EINVAL)?;
        // The owner may have changed before the reference was taken; from here on it cannot.
        if !frame.is_owned_by(domain) {
            let _ = frame.update(Word::sub_total);
            return Err(Errno::EINVAL);
        }
        Ok(frame)
    }

    /// Takes a writable reference to a frame of `domain`'s that has others already; `false` if it
    /// has none, is not the domain's, or has too many references.
    ///
    /// A frame that has one keeps its type, so this needs no lock.
    #[inline(always)]
    pub fn get_writable_page(&self, mfn: Mfn, domain: DomId) -> bool {
        let Some(frame) = self.frame(mfn).filter(|f| f.is_owned_by(domain)) else { return false };
        let taken = frame.update(|w| {
            if w.kind() != Type::Writable || w.type_count() == 0 {
                return None;
            }
            w.add_type().and_then(Word::add_total)
        });
        if taken.is_ok() && !frame.is_owned_by(domain) {
            let _ = frame.update(|w| w.sub_type().and_then(Word::sub_total));
            return false;
        }
        taken.is_ok()
    }

    /// The pseudo-physical number that `mfn` has in its owner's eyes.
    pub fn m2p(&self, mfn: Mfn) -> u64 {
        usize::try_from(mfn.raw())
            .ok()
            .and_then(|i| self.m2p64.get(i))
            .map_or(INVALID_M2P, |e| e.load(Ordering::Relaxed))
    }

    /// Records that number in both tables; pv32 guests see it truncated.
    #[inline(always)]
    pub fn set_m2p(&self, mfn: Mfn, pfn: u64) {
        let Ok(i) = usize::try_from(mfn.raw()) else { return };
        if let Some(entry) = self.m2p64.get(i) {
            entry.store(pfn, Ordering::Relaxed);
        }
        if let Some(entry) = self.m2p32.get(i) {
            entry.store(pfn as u32, Ordering::Relaxed);
        }
    }

    /// The same for `count` frames that are consecutive in both numberings.
    pub fn set_m2p_range(&self, mfn: Mfn, pfn: u64, count: u64) {
        for (entry, pfn) in self.slice(self.m2p64, mfn, count).iter().zip(pfn..) {
            entry.store(pfn, Ordering::Relaxed);
        }
        for (entry, pfn) in self.slice(self.m2p32, mfn, count).iter().zip(pfn as u32..) {
            entry.store(pfn, Ordering::Relaxed);
        }
    }

    /// Records that `count` frames have no such number any more.
    pub(super) fn forget_m2p_range(&self, mfn: Mfn, count: u64) {
        for entry in self.slice(self.m2p64, mfn, count) {
            entry.store(INVALID_M2P, Ordering::Relaxed);
        }
        for entry in self.slice(self.m2p32, mfn, count) {
            entry.store(INVALID_M2P as u32, Ordering::Relaxed);
        }
    }

    /// Frames of each type with at least one type reference, in [`Type::ALL`]'s order, of `domain`.
    pub fn count_types(&self, domain: DomId) -> [u64; Type::ALL.len()] {
        let mut counts = [0; Type::ALL.len()];
        for frame in self.frames.iter().filter(|f| f.is_owned_by(domain)) {
            let word = frame.load();
            let kind = if word.type_count() == 0 { Type::None } else { word.kind() };
            if let Some(n) = counts.get_mut(kind as usize) {
                *n += 1;
            }
        }
        counts
    }

    /// Every frame that has an owner, with its record.
    pub fn owned(&self) -> impl Iterator<Item = (Mfn, &'static Frame)> {
        self.frames
            .iter()
            .enumerate()
            .filter(|(_, f)| f.owner() != Owner::Nobody)
            .map(|(i, f)| (Mfn::new(i as u64), f))
    }
}

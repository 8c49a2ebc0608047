//! Giving a frame a page-table type: each entry is checked and takes its reference; and the reverse.
//!
//! Both directions work on the entries `[0, progress)`: validation raises `progress`,
//! taking apart lowers it, and either can stop at any entry with the frame *partial*.
//! Every table costs one unit of the budget, whatever is in it.

use core::sync::atomic::{AtomicU64, Ordering};

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use super::frame::{Frame, Owner, Type};
use super::m2p_window::WINDOW_SLOTS;
use super::pte;
use super::types::PageTypes;
use crate::domain::permissions::{self, DeviceAccess};
use crate::error::Stop;
use crate::platform::{Platform, Words};
use crate::width::Width;

/// Entries of a pv32 root: one per GiB of 4 GiB.
pub const PV32_ROOT_ENTRIES: u16 = 4;

/// The first entry of an `L2Top` that is the hypervisor's; a domain may begin its window earlier, never later.
pub const WINDOW_FIRST: u16 = 512 - WINDOW_SLOTS as u16;

/// The L4 entries that are the hypervisor's in a 64-bit guest's tables.
pub const HYPERVISOR_L4: core::ops::Range<u16> = 256..272;

/// Entries that are looked at together for whether any maps something.
const CHUNK: usize = 8;

/// Whether no entry of a level-1 table's piece is present.
#[inline(always)]
fn maps_nothing(chunk: &[AtomicU64]) -> bool {
    chunk.iter().fold(0, |any, word| any | word.load(Ordering::Relaxed)) & pte::P == 0
}

/// What an entry of a table holds a reference to.
pub(super) enum Child {
    /// A page, by the entry's permissions.
    Page,
    /// A table of this type.
    Table(Type),
    /// Nothing: the entry is the hypervisor's.
    Reserved,
}

/// What the entry at `index` of a table of type `table` refers to.
#[inline(always)]
pub(super) fn child(width: Width, hv_start: u64, table: Type, index: u16) -> Child {
    match table {
        Type::L2 => Child::Table(Type::L1),
        Type::L2Top if index >= window_start(hv_start) => Child::Reserved,
        Type::L2Top => Child::Table(Type::L1),
        Type::L3 => match (width, index) {
            (Width::Pv32, 3) => Child::Table(Type::L2Top),
            (Width::Pv32, PV32_ROOT_ENTRIES..) => Child::Reserved,
            _ => Child::Table(Type::L2),
        },
        Type::L4 if HYPERVISOR_L4.contains(&index) => Child::Reserved,
        Type::L4 => Child::Table(Type::L3),
        _ => Child::Page,
    }
}

/// The first `L2Top` entry of a window that begins at `hv_start`.
fn window_start(hv_start: u64) -> u16 {
    let slot = hv_start.saturating_sub(0xc000_0000) >> 21;
    slot.min(u64::from(WINDOW_FIRST)) as u16
}

impl<P: Platform> PageTypes<'_, P> {
    /// Checks a frame whose first type reference is being taken, from entry `from` on.
    ///
    /// On `Preempted` the frame is partial and the caller has no reference; on an errno
    /// everything is undone (or on its way to be), too.
    pub(super) fn validate(
        &mut self,
        mfn: Mfn,
        frame: &Frame,
        kind: Type,
        from: u16,
    ) -> Result<(), Stop> {
        let (done, outcome) = match self.paging.spend() {
            Err(stop) => (from, Err(stop)),
            Ok(()) => self.take_entries(mfn, kind, from),
        };
        match outcome {
            Ok(()) => {
                let _ = frame.update(|w| Some(w.with_validated(true)));
                Ok(())
            }
            Err(Stop::Preempted) => {
                self.make_partial(frame, done);
                Err(Stop::Preempted)
            }
            Err(refused) => {
                self.take_apart(mfn, frame, kind, done);
                Err(refused)
            }
        }
    }

    /// Takes the references of the entries from `from` on; returns how many entries have theirs.
    fn take_entries(&mut self, mfn: Mfn, kind: Type, from: u16) -> (u16, Result<(), Stop>) {
        let words = self.words(mfn);
        if kind == Type::SegDesc {
            let checked =
                super::descriptor::validate_frame(words, self.width, self.domain.hv_start);
            return (0, checked.map_err(Stop::Errno));
        }
        if let Err(refused) = self.prepare(mfn, kind) {
            return (from, Err(refused));
        }
        if kind == Type::L1 {
            return self.take_pages(words, from);
        }
        let (width, hv_start) = (self.width, self.domain.hv_start);
        for (index, word) in (from..).zip(words.iter().skip(usize::from(from))) {
            let entry = word.load(Ordering::Relaxed);
            if entry & pte::P == 0 {
                continue;
            }
            let taken = match child(width, hv_start, kind, index) {
                Child::Page => self.get_page(entry).map(|_| ()),
                Child::Table(below) => self.get_table(mfn, kind, below, entry),
                Child::Reserved => continue,
            };
            if let Err(stop) = taken {
                return (index, Err(stop));
            }
            let adjusted = pte::adjust(width, kind, entry);
            if adjusted != entry {
                // Nobody else may write the frame now, bar the accessed bit of a walker.
                word.fetch_or(adjusted, Ordering::Relaxed);
            }
        }
        (pte::ENTRIES, Ok(()))
    }

    /// [`PageTypes::take_entries`] for level 1, most entries of which map nothing.
    fn take_pages(&mut self, words: &Words, from: u16) -> (u16, Result<(), Stop>) {
        for (chunk, first) in words.chunks_exact(CHUNK).zip((0..).step_by(CHUNK)) {
            if first + (CHUNK as u16) <= from || maps_nothing(chunk) {
                continue;
            }
            for (index, word) in (first..).zip(chunk) {
                let entry = word.load(Ordering::Relaxed);
                if entry & pte::P == 0 || index < from {
                    continue;
                }
                match self.get_page(entry) {
                    Err(stop) => return (index, Err(stop)),
                    // Nobody else may write the frame now, bar the accessed bit of a walker.
                    Ok(allowed) if allowed != entry => word.store(allowed, Ordering::Relaxed),
                    Ok(_) => {}
                }
            }
        }
        (pte::ENTRIES, Ok(()))
    }

    /// Drops the references of the level-1 entries below `upto`.
    fn put_pages(&mut self, words: &Words, upto: u16) {
        for (chunk, first) in words.chunks_exact(CHUNK).zip((0..).step_by(CHUNK)) {
            if first >= upto || maps_nothing(chunk) {
                continue;
            }
            for (index, word) in (first..).zip(chunk) {
                let entry = word.load(Ordering::Relaxed);
                if entry & pte::P != 0 && index < upto {
                    self.put_entry_page(entry);
                }
            }
        }
    }

    /// Puts the entries that are the hypervisor's in place, before any of the guest's can be used.
    fn prepare(&mut self, mfn: Mfn, kind: Type) -> Result<(), Stop> {
        let words = self.words(mfn);
        match (kind, self.width) {
            (Type::L2Top, _) => {
                let start = window_start(self.domain.hv_start);
                for (i, word) in words.iter().skip(usize::from(start)).enumerate() {
                    word.store(self.sys.m2p_window.entry(i), Ordering::Relaxed);
                }
            }
            (Type::L3, Width::Pv32) => {
                // The window must be reachable whatever the guest does with its tables.
                let top = words.get(3).map_or(0, |w| w.load(Ordering::Relaxed));
                if top & pte::P == 0 {
                    return Err(Errno::EINVAL.into());
                }
                for word in words.iter().skip(usize::from(PV32_ROOT_ENTRIES)) {
                    word.store(0, Ordering::Relaxed);
                }
            }
            (Type::L4, _) => {
                for index in HYPERVISOR_L4 {
                    if let Some(word) = words.get(usize::from(index)) {
                        word.store(0, Ordering::Relaxed);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Drops the references of the entries below `upto`, then the frame's only type reference.
    ///
    /// What the budget does not allow is deferred: the frame is partial then.
    pub(super) fn take_apart(&mut self, mfn: Mfn, frame: &Frame, kind: Type, upto: u16) {
        if kind == Type::SegDesc {
            return self.end_type(mfn, frame);
        }
        // With no room to defer, the work is done at once: late is better than never.
        let may_defer = !self.paging.deferred.is_full();
        if self.paging.spend().is_err() && may_defer {
            self.make_partial(frame, upto);
            return self.defer(mfn);
        }
        let words = self.words(mfn);
        if kind == Type::L1 {
            // One unit of the budget: never stopped half-way.
            self.put_pages(words, upto);
            return self.end_type(mfn, frame);
        }
        let (width, hv_start) = (self.width, self.domain.hv_start);
        let mut index = upto;
        while index > 0 {
            index -= 1;
            let Some(word) = words.get(usize::from(index)) else { continue };
            let entry = word.load(Ordering::Relaxed);
            if entry & pte::P == 0 {
                continue;
            }
            match child(width, hv_start, kind, index) {
                Child::Page => self.put_entry_page(entry),
                Child::Table(below) => {
                    let ours = pte::adjusted_bits(width, kind);
                    if ours != 0 {
                        word.fetch_and(!ours, Ordering::Relaxed);
                    }
                    self.put_table(mfn, below, entry);
                    if self.paging.exhausted() && index > 0 && !self.paging.deferred.is_full() {
                        self.make_partial(frame, index);
                        return self.defer(mfn);
                    }
                }
                Child::Reserved => {}
            }
        }
        self.end_type(mfn, frame);
    }

    /// Takes the reference of a present level-1 entry; returns the entry as it is to be written.
    ///
    /// Memory is always cached; other attributes are for devices (XSA-154: one frame mapped in
    /// two ways has two contents).
    #[inline(always)]
    pub(super) fn get_page(&mut self, entry: u64) -> Result<u64, Stop> {
        if entry & pte::forbidden(self.width, Type::L1) != 0 {
            return self.get_device(entry);
        }
        let mfn = pte::mfn(entry);
        let taken = if entry & pte::RW != 0 {
            self.get_nested(mfn, Type::Writable)
        } else {
            self.sys.memory.get_page(mfn, self.domain.id).map(|_| ()).map_err(Stop::Errno)
        };
        match taken {
            Ok(()) => Ok(entry),
            Err(Stop::Errno(Errno::EINVAL)) => self.get_device(entry),
            Err(stop) => Err(stop),
        }
    }

    /// The same for an entry that names a device's frame, which takes no reference: it becomes
    /// uncached, and read-only if the device is the hypervisor's to write.
    ///
    /// `EINVAL`: no device's, or not the domain's to map.
    #[cold]
    fn get_device(&self, entry: u64) -> Result<u64, Stop> {
        let mfn = pte::mfn(entry);
        // What has an owner is memory, whatever the firmware says.
        if self.sys.memory.frame(mfn).is_some_and(|f| f.owner() != Owner::Nobody) {
            return Err(Errno::EINVAL.into());
        }
        let access = permissions::device_access(self.sys, self.domain, mfn);
        match access.ok_or(Errno::EINVAL)? {
            DeviceAccess::Full => Ok(pte::uncached(entry)),
            DeviceAccess::ReadOnly => Ok(pte::uncached(entry) & !pte::RW),
        }
    }

    /// Drops the reference of a present level-1 entry.
    #[inline(always)]
    pub(super) fn put_entry_page(&mut self, entry: u64) {
        let mfn = pte::mfn(entry);
        let Some(frame) = self.sys.memory.frame(mfn) else { return };
        if !frame.is_owned_by(self.domain.id) && !self.forget_foreign(frame) {
            return;
        }
        if entry & pte::RW != 0 {
            self.sys.put_writable_page_of(mfn, frame);
        } else {
            self.sys.put_page_of(mfn, frame);
        }
    }

    /// Of a frame that is not the domain's: whether there is a reference to drop, which no CPU
    /// of the domain's relies on any more then (T1). A device's frame has none.
    #[cold]
    fn forget_foreign(&mut self, frame: &Frame) -> bool {
        let is_memory = matches!(frame.owner(), Owner::Domain(_));
        if is_memory {
            self.flush_stale();
        }
        is_memory
    }

    /// Takes the reference of a present entry of `table`, of a higher level.
    #[inline(always)]
    pub(super) fn get_table(
        &mut self,
        table: Mfn,
        kind: Type,
        below: Type,
        entry: u64,
    ) -> Result<(), Stop> {
        if entry & pte::forbidden(self.width, kind) != 0 {
            return Err(Errno::EINVAL.into());
        }
        match self.get_nested(pte::mfn(entry), below) {
            Err(Stop::Errno(Errno::EINVAL)) => self.get_linear(table, kind, entry),
            other => other,
        }
    }

    /// Drops the reference of a present entry of `table`, of a higher level.
    #[inline(always)]
    pub(super) fn put_table(&mut self, table: Mfn, below: Type, entry: u64) {
        if self.is_linear(table, below, entry) {
            self.put_linear(table, entry);
        } else {
            self.put(pte::mfn(entry));
        }
    }
}

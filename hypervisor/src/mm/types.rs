//! Taking and dropping references to a domain's frames by type.

use core::ops::Range;
use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use super::frame::{Frame, Owner, Type, Word};
use super::paging::Paging;
use super::pte;
use crate::domain::Domain;
use crate::error::Stop;
use crate::lock::Guard;
use crate::platform::{Platform, Words};
use crate::system::System;
use crate::width::Width;

/// The page types of one domain's frames, for as long as its paging lock is held.
pub struct PageTypes<'a, P: Platform> {
    pub(super) sys: &'a System<P>,
    pub(super) domain: &'a Domain,
    /// The domain's, which does not change once it has page tables.
    pub(super) width: Width,
    pub(super) paging: Guard<'a, Paging>,
    /// The domain was flushed since the request at hand began, and no entry has changed since: no
    /// CPU translates to a frame that is not mapped.
    tlb_clean: bool,
}

impl<P: Platform> System<P> {
    /// Locks the page types of `domain`'s frames and gives the request a fresh budget.
    pub fn page_types<'a>(&'a self, domain: &'a Domain) -> PageTypes<'a, P> {
        let mut paging = self.spin_on(&domain.paging);
        paging.refill();
        PageTypes { sys: self, domain, width: domain.width(), paging, tlb_clean: false }
    }

    /// Drops a reference to a frame; the last one frees it.
    #[inline(always)]
    pub fn put_page(&self, mfn: Mfn) {
        if let Some(frame) = self.memory.frame(mfn) {
            self.put_page_of(mfn, frame);
        }
    }

    #[inline(always)]
    pub(super) fn put_page_of(&self, mfn: Mfn, frame: &Frame) {
        if let Ok(word) = frame.update(Word::sub_total)
            && word.total() == 0
        {
            self.free_page(mfn, frame);
        }
    }

    /// Drops a writable reference to a frame, whoever has it; the last one of all frees it.
    ///
    /// A frame of this type has nothing to be taken apart, so this needs no lock.
    #[inline(always)]
    pub fn put_writable_page(&self, mfn: Mfn) {
        if let Some(frame) = self.memory.frame(mfn) {
            self.put_writable_page_of(mfn, frame);
        }
    }

    #[inline(always)]
    pub(super) fn put_writable_page_of(&self, mfn: Mfn, frame: &Frame) {
        let dropped = frame.update(|w| w.sub_type().and_then(Word::sub_total));
        debug_assert!(dropped.is_ok(), "{mfn}: a writable reference was dropped twice");
        if let Ok(word) = dropped
            && word.total() == 0
        {
            self.free_page(mfn, frame);
        }
    }

    /// Gives back frames of `domain`'s that lie side by side, none of them lent, from each of which
    /// the last reference is gone.
    pub(crate) fn free_pages(&self, domain: &Domain, frames: Range<u64>) {
        let count = frames.end.saturating_sub(frames.start);
        if count == 0 {
            return;
        }
        // As below.
        self.flush_domain(domain);
        domain.pages.fetch_sub(count as u32, Ordering::SeqCst);
        self.memory.forget_m2p_range(Mfn::new(frames.start), count);
        self.memory.release_range(Mfn::new(frames.start), Mfn::new(frames.end));
    }

    /// Gives back a frame that the last reference is gone from.
    #[cold]
    fn free_page(&self, mfn: Mfn, frame: &Frame) {
        if let Owner::Domain(id) = frame.owner()
            && let Some(domain) = self.domain(id)
        {
            // Before anyone else gets the frame, no CPU may translate to it (T2).
            self.flush_domain(domain);
            let count = if frame.load().lent() { &domain.lent } else { &domain.pages };
            count.fetch_sub(1, Ordering::SeqCst);
        }
        self.memory.set_m2p(mfn, super::memory::INVALID_M2P);
        self.memory.release(mfn, 0);
    }
}

impl<'a, P: Platform> PageTypes<'a, P> {
    /// Takes a reference of type `kind` (and with it a total reference) to a frame of the domain's.
    ///
    /// `EINVAL`: not the domain's frame, in use as another type, or its contents do not
    /// satisfy the type. `EBUSY`: an `L2Top` that another table has. `Preempted`: ask again.
    #[inline(always)]
    pub fn get(&mut self, mfn: Mfn, kind: Type) -> Result<(), Stop> {
        self.begin();
        self.get_nested(mfn, kind)
    }

    /// A new request, or an entry has changed: what is not mapped now may have been just before.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        self.tlb_clean = false;
    }

    /// [`PageTypes::get`] in the course of a validation.
    #[inline(always)]
    pub(super) fn get_nested(&mut self, mfn: Mfn, kind: Type) -> Result<(), Stop> {
        let frame = self.sys.memory.frame(mfn).ok_or(Errno::EINVAL)?;
        if !frame.is_owned_by(self.domain.id) {
            return Err(Errno::EINVAL.into());
        }
        let mut word = frame.load();
        while word.kind() == kind && word.type_count() > 0 {
            if kind == Type::L2Top {
                return Err(Errno::EBUSY.into());
            }
            // A table that is not validated yet is one of those we are validating right now: a loop.
            if kind.needs_validation() && !word.validated() {
                return Err(Errno::EINVAL.into());
            }
            let new = word.add_type().and_then(Word::add_total).ok_or(Errno::EBUSY)?;
            match frame.swap(word, new) {
                Ok(()) => return self.still_ours(mfn, frame),
                Err(found) => word = found,
            }
        }
        self.get_first(mfn, frame, kind)
    }

    /// The owner may have changed while the reference was being taken; from now on it cannot.
    #[inline(always)]
    fn still_ours(&mut self, mfn: Mfn, frame: &Frame) -> Result<(), Stop> {
        if frame.is_owned_by(self.domain.id) {
            return Ok(());
        }
        self.put(mfn);
        Err(Errno::EINVAL.into())
    }

    /// Takes the first reference of type `kind`: the type changes, and the contents are checked.
    fn get_first(&mut self, mfn: Mfn, frame: &Frame, kind: Type) -> Result<(), Stop> {
        let mut word = frame.load();
        let old = loop {
            if word.total() == 0 || (word.type_count() > 0 && word.kind() != kind) {
                return Err(Errno::EINVAL.into());
            }
            if word.type_count() > 0 {
                return self.get_nested(mfn, kind);
            }
            if word.partial() && word.kind() != kind {
                self.defer(mfn);
                return Err(Stop::Preempted);
            }
            let mut new = word.with_kind(kind).with_validated(false);
            // A partial frame's own reference becomes ours.
            if word.partial() {
                new = new.with_partial(false);
            } else {
                new = new.add_total().ok_or(Errno::EBUSY)?;
            }
            match frame.swap(word, new.add_type().ok_or(Errno::EBUSY)?) {
                Ok(()) => break word,
                Err(found) => word = found,
            }
        };
        // After the change, so that no CPU can pick up an old translation any more.
        if old.kind() != Type::None && old.kind() != kind {
            self.flush_stale();
        }
        if !kind.needs_validation() {
            return self.still_ours(mfn, frame);
        }
        let from = if old.partial() { frame.progress() } else { 0 };
        if from == 0 {
            frame.set_linear(0);
        }
        self.validate(mfn, frame, kind, from)
    }

    /// Drops translations of the domain's memory on every CPU that may have some.
    pub(super) fn flush_stale(&mut self) {
        if !self.tlb_clean {
            self.sys.flush_domain(self.domain);
            self.tlb_clean = true;
        }
    }

    /// Drops a reference taken by [`PageTypes::get`].
    ///
    /// The last one takes the table apart, as far as the budget goes; the rest is deferred
    /// ([`PageTypes::finish`]).
    #[inline(always)]
    pub fn put(&mut self, mfn: Mfn) {
        let Some(frame) = self.sys.memory.frame(mfn) else { return };
        let mut word = frame.load();
        loop {
            if word.type_count() == 1 && word.kind().needs_validation() {
                return self.put_last(mfn, frame);
            }
            let Some(new) = word.sub_type().and_then(Word::sub_total) else {
                debug_assert!(false, "{mfn}: a reference was dropped twice");
                return;
            };
            match frame.swap(word, new) {
                Ok(()) => {
                    if new.total() == 0 {
                        self.sys.free_page(mfn, frame);
                    }
                    return;
                }
                Err(found) => word = found,
            }
        }
    }

    fn put_last(&mut self, mfn: Mfn, frame: &Frame) {
        // The count stays at one meanwhile, so that nobody gives the frame another type.
        let kind = match frame.update(|w| Some(w.with_validated(false))) {
            Ok(word) | Err(word) => word.kind(),
        };
        self.take_apart(mfn, frame, kind, pte::ENTRIES);
    }

    /// Ends the last type reference of a frame none of whose entries holds a reference any more.
    pub(super) fn end_type(&mut self, mfn: Mfn, frame: &Frame) {
        if let Ok(word) = frame.update(|w| w.sub_type().and_then(Word::sub_total))
            && word.total() == 0
        {
            self.sys.free_page(mfn, frame);
        }
    }

    /// Turns the only type reference into the partial state: `progress` entries hold references.
    pub(super) fn make_partial(&mut self, frame: &Frame, progress: u16) {
        frame.set_progress(progress);
        let _ = frame.update(|w| w.sub_type().map(|w| w.with_partial(true)));
    }

    /// Puts a partial frame on the list of what is to be taken apart.
    pub(super) fn defer(&mut self, mfn: Mfn) {
        if !self.paging.deferred.contains(&mfn) {
            let _ = self.paging.deferred.push(mfn);
        }
    }

    /// Has a table taken apart whose validation was begun and given up ([`PageTypes::finish`]).
    pub fn abandon(&mut self, mfn: Mfn) {
        if self.sys.memory.frame(mfn).is_some_and(|frame| frame.load().partial()) {
            self.defer(mfn);
        }
    }

    /// Accounts for one unit of work; `Preempted` once the budget is gone.
    pub fn spend(&mut self) -> Result<(), Stop> {
        self.paging.spend()
    }

    /// Takes deferred frames apart; `Preempted` while any are left.
    ///
    /// Every page-table request starts and ends with it.
    #[inline(always)]
    pub fn finish(&mut self) -> Result<(), Stop> {
        if self.paging.deferred.is_empty() { Ok(()) } else { self.finish_deferred() }
    }

    #[cold]
    fn finish_deferred(&mut self) -> Result<(), Stop> {
        while let Some(mfn) = self.paging.deferred.pop() {
            let Some(frame) = self.sys.memory.frame(mfn) else { continue };
            // Somebody may have continued the validation since.
            let resumed = frame.update(|w| {
                if w.partial() && w.type_count() == 0 {
                    w.with_partial(false).add_type()
                } else {
                    None
                }
            });
            if let Ok(word) = resumed {
                self.take_apart(mfn, frame, word.kind(), frame.progress());
            }
            if self.paging.exhausted() && !self.paging.deferred.is_empty() {
                return Err(Stop::Preempted);
            }
        }
        Ok(())
    }

    /// Pins a frame at a page-table type: a reference that lasts until [`PageTypes::unpin`].
    ///
    /// `EINVAL` if it is pinned already; else as [`PageTypes::get`].
    pub fn pin(&mut self, mfn: Mfn, kind: Type) -> Result<(), Stop> {
        self.get(mfn, kind)?;
        let frame = self.sys.memory.frame(mfn).ok_or(Errno::EINVAL)?;
        let pinned = frame.update(|w| if w.pinned() { None } else { Some(w.with_pinned(true)) });
        if pinned.is_err() {
            self.put(mfn);
            return Err(Errno::EINVAL.into());
        }
        Ok(())
    }

    /// Ends a pin. `EINVAL` if the frame is not the domain's or not pinned.
    pub fn unpin(&mut self, mfn: Mfn) -> Result<(), Stop> {
        let frame = self.sys.memory.get_page(mfn, self.domain.id)?;
        self.begin();
        let unpinned = frame.update(|w| if w.pinned() { Some(w.with_pinned(false)) } else { None });
        if unpinned.is_ok() {
            self.put(mfn);
        }
        self.sys.put_page(mfn);
        unpinned.map(|_| ()).map_err(|_| Errno::EINVAL.into())
    }

    /// The frame's contents as entries.
    #[inline(always)]
    pub(super) fn words(&self, mfn: Mfn) -> &'a Words {
        let sys: &'a System<P> = self.sys;
        sys.platform.words(mfn)
    }
}

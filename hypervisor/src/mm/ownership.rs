//! Moving a frame from one owner to another.
//!
//! Between two owners a frame is the hypervisor's. It leaves its old owner without references,
//! without a type, and with no CPU that could still reach it (T2 in [`super::tlb`]); so whoever
//! gets it ([`super::memory::Memory::hand_over`]) finds a frame as fresh as a new one, but for its
//! contents: those are the callers' affair.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use super::frame::{Owner, Word};
use crate::domain::Domain;
use crate::platform::Platform;
use crate::system::System;

impl<P: Platform> System<P> {
    /// Takes from `domain` its own reference to a frame, if that is the only one. Nobody can take
    /// another then; the frame counts as the domain's still, until it is freed, given to somebody
    /// else, or [restored](System::restore_page). Translations of it may be left (T2).
    ///
    /// `EINVAL`: not the domain's, not its to give (`shared_info`), pinned, or in use: mapped
    /// anywhere, a page table, a descriptor table.
    pub(crate) fn withdraw_page(&self, domain: &Domain, mfn: Mfn) -> Result<(), Errno> {
        // With a reference of ours it stays the domain's while we look.
        let frame = self.memory.get_page(mfn, domain.id)?;
        let alone = |w: Word| {
            let only = w.allocated() && !w.pinned() && !w.partial() && w.total() == 2;
            if only { w.with_allocated(false).sub_total()?.sub_total() } else { None }
        };
        if frame.update(alone).is_err() {
            self.put_page(mfn);
            return Err(Errno::EINVAL);
        }
        Ok(())
    }

    /// The contrary of [`System::withdraw_page`].
    pub(crate) fn restore_page(&self, mfn: Mfn) {
        if let Some(frame) = self.memory.frame(mfn) {
            let _ = frame.update(|w| w.with_allocated(true).add_total());
        }
    }

    /// Takes a frame from `domain` for the hypervisor, which has one reference then. Errnos as
    /// [`System::withdraw_page`].
    pub fn steal_page(&self, domain: &Domain, mfn: Mfn) -> Result<(), Errno> {
        self.withdraw_page(domain, mfn)?;
        self.flush_domain(domain);
        if let Some(frame) = self.memory.frame(mfn) {
            frame.set_owner(Owner::Hypervisor);
            frame.set(Word::fresh());
        }
        self.memory.set_m2p(mfn, super::memory::INVALID_M2P);
        domain.pages.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    /// Lends `domain` a frame of the hypervisor's to which nobody else refers: the domain may map
    /// it, but has it not to give away. The one reference is the hypervisor's still, *writable*;
    /// whoever drops it frees the frame, unless the domain maps it.
    pub fn lend(&self, domain: &Domain, mfn: Mfn) {
        let Some(frame) = self.memory.frame(mfn) else { return };
        domain.lent.fetch_add(1, Ordering::SeqCst);
        frame.set(Word::lent_out());
        frame.set_owner(Owner::Domain(domain.id));
    }

    /// Ends [`System::lend`] and frees the frame, before the domain was told of it.
    pub(crate) fn take_back_unseen(&self, domain: &Domain, mfn: Mfn) {
        if let Some(frame) = self.memory.frame(mfn) {
            frame.set_owner(Owner::Hypervisor);
        }
        self.memory.release(mfn, 0);
        domain.lent.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Domain {
    /// Counts `count` more frames as the domain's. `ENOMEM`: more than it may have.
    pub fn charge_pages(&self, count: u32) -> Result<(), Errno> {
        let most = self.max_pages.load(Ordering::Relaxed);
        self.pages
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |pages| {
                pages.checked_add(count).filter(|n| *n <= most)
            })
            .map(|_| ())
            .map_err(|_| Errno::ENOMEM)
    }
}

//! Moving a frame from one owner to another.
//!
//! Between two owners a frame is the hypervisor's. It leaves its old owner without references,
//! without a type, and with no CPU that could still reach it (T2 in [`super::tlb`]); so whoever
//! gets it finds a frame as fresh as a new one, but for its contents: those are the callers'
//! affair.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use super::frame::{Owner, Word};
use crate::domain::Domain;
use crate::platform::Platform;
use crate::system::System;

impl<P: Platform> System<P> {
    /// Takes a frame from `domain` for the hypervisor, which has one reference then.
    ///
    /// `EINVAL`: not the domain's, not its to give (`shared_info`), pinned, or in use: mapped
    /// anywhere, a page table, a descriptor table.
    pub fn steal_page(&self, domain: &Domain, mfn: Mfn) -> Result<(), Errno> {
        let frame = self.memory.frame(mfn).ok_or(Errno::EINVAL)?;
        if !frame.is_owned_by(domain.id) {
            return Err(Errno::EINVAL);
        }
        // Without references nobody can take one, so nobody gets in between here and the end.
        frame
            .update(|w| {
                let idle = w.total() == 1 && w.type_count() == 0 && !w.pinned() && !w.partial();
                (idle && w.allocated()).then_some(Word::EMPTY)
            })
            .map_err(|_| Errno::EINVAL)?;
        domain.pages.fetch_sub(1, Ordering::Relaxed);
        self.flush_domain(domain);
        frame.set_owner(Owner::Hypervisor);
        frame.set(Word::fresh());
        self.memory.set_m2p(mfn, super::memory::INVALID_M2P);
        Ok(())
    }

    /// Gives a frame of the hypervisor's, with no other reference than the caller's, to `domain`.
    ///
    /// `ENOMEM`: the domain has all that it may have.
    pub fn assign_page(&self, domain: &Domain, mfn: Mfn) -> Result<(), Errno> {
        let frame = self.memory.frame(mfn).ok_or(Errno::EINVAL)?;
        domain.charge_pages(1)?;
        frame.set(Word::EMPTY);
        frame.set_owner(Owner::Domain(domain.id));
        frame.set(Word::fresh());
        Ok(())
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

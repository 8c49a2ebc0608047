//! All domains by number: found without a lock, and taken out again.
//!
//! A reference that [`Domains::get`] gave is good until the CPU goes back to a guest or
//! idles. A domain that is taken out ([`Domains::take_out`]) is therefore nobody's only after
//! a [grace period](super::grace); [`Leaving`] has it until then.

#![allow(unsafe_code)]
// UNSAFETY: an atomic pointer is the one word that readers and the remover can share.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use pv_abi::types::{DomId, Mfn};

use super::grace::{Began, Grace};
use super::{Domain, MAX_DOMAINS};
use crate::mm::frame_box::FrameBox;

/// The domains of the machine.
pub struct Domains {
    /// Null: there is none.
    slots: [AtomicPtr<Domain>; MAX_DOMAINS],
    /// The first frame of each.
    frames: [AtomicU32; MAX_DOMAINS],
}

/// A domain that cannot be found any more, though a CPU may still have a reference.
pub struct Leaving {
    domain: FrameBox<Domain>,
    began: Began,
}

impl Leaving {
    /// The domain's number.
    pub fn id(&self) -> DomId {
        self.domain.id
    }

    /// Takes the domain out of `leaving`, once nobody else can have a reference to it; `cpus` CPUs
    /// are up, and `here` is the one we are on.
    pub fn gone(
        leaving: &mut Option<Leaving>,
        grace: &Grace,
        cpus: u32,
        here: u32,
    ) -> Option<FrameBox<Domain>> {
        let over = |leaving: &mut Leaving| grace.is_over(&leaving.began, cpus, here);
        leaving.take_if(over).map(|leaving| leaving.domain)
    }

    /// The CPUs among the first `cpus` that have not passed yet.
    pub fn missing<'a>(&'a self, grace: &'a Grace, cpus: u32) -> impl Iterator<Item = u32> + 'a {
        (0..cpus).filter(|cpu| !grace.has_passed(&self.began, *cpu))
    }
}

impl Domains {
    /// No domains.
    pub const fn new() -> Domains {
        Domains {
            slots: [const { AtomicPtr::new(ptr::null_mut()) }; MAX_DOMAINS],
            frames: [const { AtomicU32::new(0) }; MAX_DOMAINS],
        }
    }

    /// The domain with number `id`.
    #[inline(always)]
    pub fn get(&self, id: DomId) -> Option<&Domain> {
        Self::look(self.slots.get(usize::from(id.raw()))?)
    }

    #[inline(always)]
    fn look(slot: &AtomicPtr<Domain>) -> Option<&Domain> {
        // SAFETY: 1. The pointer is null or comes from a `FrameBox`, whose object is initialised
        //            and only ever shared. 2. It is freed only after a grace period (`Leaving`),
        //            and whoever called us gives the reference up before its CPU passes.
        unsafe { slot.load(Ordering::Acquire).as_ref() }
    }

    /// Adds a domain whose number is its `id`, and returns it; gives it back if there is one
    /// already, or no such number.
    pub fn add(&self, domain: FrameBox<Domain>) -> Result<&Domain, FrameBox<Domain>> {
        let index = usize::from(domain.id.raw());
        let (Some(slot), Some(frame)) = (self.slots.get(index), self.frames.get(index)) else {
            return Err(domain);
        };
        let mfn = domain.mfn();
        let object = domain.into_raw();
        let added =
            slot.compare_exchange(ptr::null_mut(), object, Ordering::AcqRel, Ordering::Relaxed);
        if added.is_err() {
            // SAFETY: 1. `into_raw` gave both just now, and the pointer was put nowhere.
            return Err(unsafe { FrameBox::from_raw(object, mfn) });
        }
        // Frame numbers fit: the frame table covers at most 2^32 - 1 frames.
        frame.store(mfn.raw() as u32, Ordering::Release);
        Self::look(slot).ok_or_else(|| {
            // Only `take_out` empties a slot, and nobody takes out what was just added.
            // SAFETY: as above.
            unsafe { FrameBox::from_raw(object, mfn) }
        })
    }

    /// Makes a domain impossible to find, and begins the grace period after which it can be freed.
    ///
    /// One caller at a time: under the lock of domain control.
    pub fn take_out(&self, id: DomId, grace: &Grace) -> Option<Leaving> {
        let index = usize::from(id.raw());
        let (slot, frame) = (self.slots.get(index)?, self.frames.get(index)?);
        let object = slot.swap(ptr::null_mut(), Ordering::SeqCst);
        if object.is_null() {
            return None;
        }
        let mfn = Mfn::new(u64::from(frame.load(Ordering::Acquire)));
        // SAFETY: 1. `add` put the pointer there, from a box with this first frame. 2. The swap
        //            made this the one box of it. 3. References from before may live; the box
        //            is handed out by `Leaving::gone` only after all have ended.
        let domain = unsafe { FrameBox::from_raw(object, mfn) };
        Some(Leaving { domain, began: grace.begin() })
    }

    /// All domains, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Domain> {
        self.from(DomId::new(0))
    }

    /// The domains from number `first` on.
    pub fn from(&self, first: DomId) -> impl Iterator<Item = &Domain> {
        self.slots.iter().skip(first.raw().into()).filter_map(Self::look)
    }
}

impl Default for Domains {
    fn default() -> Self {
        Domains::new()
    }
}

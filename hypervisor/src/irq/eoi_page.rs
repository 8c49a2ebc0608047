//! A page of the guest's with a bit for each pirq: set if an interrupt of it needs
//! `PHYSDEVOP_eoi`. It spares guests the hypercall for edges and messages.
//!
//! The page stays the guest's, and writable for it; nothing relies on what it says. It keeps
//! a reference of its type as long as the domain lives.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use crate::domain::Domain;
use crate::error::Stop;
use crate::mm::frame::Type;
use crate::platform::Platform;
use crate::system::System;

/// `PHYSDEVOP_pirq_eoi_gmfn_v1`, and `_v2`: registers the page. With `end_unmasks` (v1) an end
/// unmasks the port as well.
///
/// `EINVAL`: not an ordinary page of the domain's; `EBUSY`: there is one. As on Xen, bits are
/// set when pirqs are bound from now on.
pub fn register<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    mfn: Mfn,
    end_unmasks: bool,
) -> Result<(), Stop> {
    sys.page_types(domain).get(mfn, Type::Writable)?;
    let page = &domain.pirqs.eoi_page;
    if page.compare_exchange(0, mfn.raw(), Ordering::AcqRel, Ordering::Relaxed).is_err() {
        sys.page_types(domain).put(mfn);
        return Err(Errno::EBUSY.into());
    }
    if end_unmasks {
        domain.pirqs.end_unmasks.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// Says whether a pirq needs an end, if anybody looks.
pub(super) fn set<P: Platform>(sys: &System<P>, domain: &Domain, pirq: u32, needs_end: bool) {
    let Some(mfn) = domain.pirqs.eoi_page() else { return };
    let words = sys.platform.half_words(mfn);
    let Some(word) = words.get((pirq / 32) as usize) else { return };
    let bit = 1 << (pirq % 32);
    if needs_end {
        word.fetch_or(bit, Ordering::AcqRel);
    } else {
        word.fetch_and(!bit, Ordering::AcqRel);
    }
}

/// Gives the page up.
pub(super) fn release<P: Platform>(sys: &System<P>, domain: &Domain) {
    let mfn = domain.pirqs.eoi_page.swap(0, Ordering::AcqRel);
    if mfn != 0 {
        sys.page_types(domain).put(Mfn::new(mfn));
    }
}

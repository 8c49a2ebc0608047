//! What a toolstack sets of a domain beside its state.

use core::sync::atomic::Ordering;

use pv_abi::domctl::{
    HypercallInit, IomemPermission, IoportPermission, IrqPermission, MaxMem, SetVirqHandler,
    Setdomainhandle, Settimeoffset,
};
use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use crate::builder::hypercall_page;
use crate::domain::Domain;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::mm::frame::Type;
use crate::platform::Platform;
use crate::time::clock;

/// `XEN_DOMCTL_max_mem`: the most memory that the domain can have. It keeps what it has, if
/// that is more.
pub(super) fn max_mem(domain: &Domain, argument: &MaxMem) -> Result<(), Stop> {
    let pages = u32::try_from(argument.max_memkb >> 2).unwrap_or(u32::MAX - 1);
    domain.max_pages.store(pages, Ordering::Relaxed);
    Ok(())
}

/// `XEN_DOMCTL_setdomainhandle`.
pub(super) fn setdomainhandle(domain: &Domain, argument: &Setdomainhandle) -> Result<(), Stop> {
    *domain.handle.lock() = argument.handle;
    Ok(())
}

/// `XEN_DOMCTL_settimeoffset`: how far the domain's wall clock is ahead, any number of seconds.
pub(super) fn settimeoffset<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    argument: &Settimeoffset,
) -> Result<(), Stop> {
    domain.time_offset_s.store(argument.time_offset_seconds, Ordering::Relaxed);
    // The shared page of one that is dying is about to be the heap's.
    if !domain.end.is_dying() {
        clock::publish_wallclock(ctx.sys, domain);
    }
    Ok(())
}

/// `XEN_DOMCTL_set_virq_handler`: `domain` gets a global virtual interrupt from now on.
///
/// `EINVAL`: no such virtual interrupt, or one of each vCPU's own.
pub(super) fn set_virq_handler<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    argument: &SetVirqHandler,
) -> Result<(), Stop> {
    Ok(ctx.sys.virq_handlers.set(argument.virq, domain.id)?)
}

/// `XEN_DOMCTL_ioport_permission`: passes ports on that the caller itself may use, or takes them.
///
/// `EINVAL`: no ports, or beyond the last; `EPERM`: not the caller's; `ENOMEM`: too many ranges.
pub(super) fn ioport_permission<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    argument: &IoportPermission,
) -> Result<(), Stop> {
    let last = argument.first_port.checked_add(argument.nr_ports).and_then(|n| n.checked_sub(1));
    let last = last.filter(|_| argument.nr_ports > 0).ok_or(Errno::EINVAL)?;
    let port = |number| u16::try_from(number).map_err(|_| Errno::EINVAL);
    let (first, last) = (port(argument.first_port)?, port(last)?);
    if !ctx.domain.permissions.has_port_range(first, last) {
        return Err(Errno::EPERM.into());
    }
    let done = if argument.allow_access != 0 {
        domain.permissions.permit_ports(first, last)
    } else {
        domain.permissions.deny_ports(first, last)
    };
    Ok(done?)
}

/// `XEN_DOMCTL_iomem_permission`: the same for frames of device memory.
///
/// `EINVAL`: no frames, or beyond all numbers; `EPERM`: not the caller's; `ENOMEM`.
pub(super) fn iomem_permission<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    argument: &IomemPermission,
) -> Result<(), Stop> {
    let last = argument.first_mfn.checked_add(argument.nr_mfns).and_then(|n| n.checked_sub(1));
    let last = last.filter(|_| argument.nr_mfns > 0).ok_or(Errno::EINVAL)?;
    let (first, last) = (Mfn::new(argument.first_mfn), Mfn::new(last));
    if !ctx.domain.permissions.has_memory(first, last) {
        return Err(Errno::EPERM.into());
    }
    let done = if argument.allow_access != 0 {
        domain.permissions.permit_memory(first, last)
    } else {
        domain.permissions.deny_memory(first, last)
    };
    Ok(done?)
}

/// `XEN_DOMCTL_irq_permission`: the same for an interrupt, by the caller's own number for it.
///
/// `EINVAL`: no such number; `EPERM`: it stands for nothing, or for what is not the caller's.
pub(super) fn irq_permission<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    argument: &IrqPermission,
) -> Result<(), Stop> {
    let entry = ctx.domain.pirqs.get(argument.pirq).ok_or(Errno::EINVAL)?;
    let irq = entry.irq().filter(|irq| ctx.domain.permissions.has_irq(*irq));
    let irq = irq.ok_or(Errno::EPERM)?;
    if argument.allow_access != 0 {
        domain.permissions.permit_irq(irq);
    } else {
        domain.permissions.deny_irq(irq);
    }
    Ok(())
}

/// `XEN_DOMCTL_hypercall_init`: fills a frame of the domain's with the stubs of its width.
///
/// `EINVAL`: not its frame; `EPERM`: the frame cannot be written, being a page table.
pub(super) fn hypercall_init<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    argument: &HypercallInit,
) -> Result<(), Stop> {
    let (sys, mfn) = (ctx.sys, Mfn::new(argument.gmfn));
    sys.memory.get_page(mfn, domain.id)?;
    let mut types = sys.page_types(domain);
    let written = match types.get(mfn, Type::Writable) {
        Ok(()) => {
            hypercall_page::fill(&sys.platform, mfn, domain.width());
            types.put(mfn);
            Ok(())
        }
        Err(Stop::Errno(_)) => Err(Errno::EPERM.into()),
        Err(other) => Err(other),
    };
    drop(types);
    sys.put_page(mfn);
    written
}

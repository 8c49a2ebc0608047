//! Making domains and their vCPUs.

use core::sync::atomic::Ordering;

use pv_abi::domctl as abi;
use pv_abi::domctl::{AddressSize, Createdomain, Domctl, MaxVcpus};
use pv_abi::errno::Errno;
use pv_abi::types::{DOMID_FIRST_RESERVED, DomId, VcpuId};

use super::{Reply, answer, argument};
use crate::domain::destroy::Control;
use crate::domain::limits::{
    DEFAULT_GRANT_FRAMES, DEFAULT_MAPTRACK_FRAMES, Limits, MAX_GRANT_VERSION,
};
use crate::domain::{Domain, MAX_DOMAINS, MAX_VCPUS};
use crate::error::Stop;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::width::Width;

/// Every flag that Xen knows.
const KNOWN_FLAGS: u32 = (abi::XEN_DOMCTL_CDF_MAX << 1) - 1;
/// Flags for what there is not: HVM guests and what only they have, an IOMMU, performance
/// counters.
const REFUSED_FLAGS: u32 = abi::XEN_DOMCTL_CDF_HVM
    | abi::XEN_DOMCTL_CDF_HAP
    | abi::XEN_DOMCTL_CDF_S3_INTEGRITY
    | abi::XEN_DOMCTL_CDF_IOMMU
    | abi::XEN_DOMCTL_CDF_NESTED_VIRT
    | abi::XEN_DOMCTL_CDF_VPMU;

/// `XEN_DOMCTL_createdomain`: a paused PV domain without memory and vCPUs, 64 bits wide until
/// it is said otherwise. The caller gets its number.
///
/// With a number of the caller's choice `EEXIST` if there is such a domain, and `ENOSPC` if it
/// is higher than the table has (Xen's goes to 0x7fef). `EINVAL`: what is asked for cannot be;
/// `ENOMEM`: no number or no memory is left.
pub(super) fn createdomain<P: Platform>(
    ctx: &Ctx<'_, P>,
    control: &mut Control,
    op: &mut Domctl,
) -> Result<Reply, Stop> {
    let config: Createdomain = argument(op)?;
    let id = number(ctx, control, op.domain)?;
    let limits = limits(&config)?;
    let domain = ctx.sys.create_domain(id, limits)?;
    *domain.handle.lock() = config.handle;
    op.domain = id;
    Ok(answer(op, &config))
}

/// The new domain's number: the one that is asked for, or the next free one.
fn number<P: Platform>(
    ctx: &Ctx<'_, P>,
    control: &mut Control,
    wanted: DomId,
) -> Result<DomId, Errno> {
    let taken = |control: &Control, id| ctx.sys.domain(id).is_some() || control.is_leaving(id);
    if wanted.raw() > 0 && wanted.raw() < DOMID_FIRST_RESERVED {
        if taken(control, wanted) {
            return Err(Errno::EEXIST);
        }
        let fits = usize::from(wanted.raw()) < MAX_DOMAINS;
        return if fits { Ok(wanted) } else { Err(Errno::ENOSPC) };
    }
    let last = control.rover;
    let numbers = (last.saturating_add(1)..MAX_DOMAINS as u16).chain(1..=last);
    for number in numbers {
        let id = DomId::new(number);
        if !taken(control, id) {
            control.rover = number;
            return Ok(id);
        }
    }
    Err(Errno::ENOMEM)
}

/// Checks what is asked for as Xen does (`sanitise_domain_config`).
fn limits(config: &Createdomain) -> Result<Limits, Errno> {
    let version = config.grant_opts & abi::XEN_DOMCTL_GRANT_VERSION_MASK;
    let emulated = config.arch.emulation_flags;
    let refused = config.flags & (!KNOWN_FLAGS | REFUSED_FLAGS) != 0
        || config.iommu_opts != 0
        || config.grant_opts != version
        || version == 0
        || version > MAX_GRANT_VERSION
        || config.max_vcpus == 0
        || config.max_vcpus > MAX_VCPUS as u32
        || config.vmtrace_size != 0
        || config.cpupool_id != 0
        || emulated != 0 && emulated != abi::XEN_X86_EMU_PIT
        || config.arch.misc_flags & !abi::XEN_X86_MSR_RELAXED != 0;
    if refused {
        return Err(Errno::EINVAL);
    }
    let or = |asked: i32, default: u32| u32::try_from(asked).unwrap_or(default).min(default);
    Ok(Limits {
        vcpus: config.max_vcpus,
        event_channel: config.max_evtchn_port,
        grant_frames: or(config.max_grant_frames, DEFAULT_GRANT_FRAMES),
        maptrack_frames: or(config.max_maptrack_frames, DEFAULT_MAPTRACK_FRAMES),
        grant_version: version,
        serves_store: config.flags & abi::XEN_DOMCTL_CDF_XS_DOMAIN != 0,
    })
}

/// `XEN_DOMCTL_max_vcpus`: makes the vCPUs that createdomain was told of.
///
/// `EINVAL` for another number, or for the caller's own domain; `ENOMEM`: some were made, and
/// the call can be made again.
pub(super) fn max_vcpus<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    argument: &MaxVcpus,
) -> Result<(), Stop> {
    let own = domain.id == ctx.domain.id;
    if own || argument.max != domain.limits.vcpus || domain.end.is_dying() {
        return Err(Errno::EINVAL.into());
    }
    for id in (0..argument.max).map(VcpuId::new) {
        if domain.vcpu(id).is_none() {
            ctx.sys.create_vcpu(domain, id)?;
        }
    }
    Ok(())
}

/// `XEN_DOMCTL_set_address_size`: makes a domain that has no memory yet 32 bits wide.
///
/// `EINVAL` for other sizes, and for going back; `EACCES` once it has memory; `ENOMEM`.
pub(super) fn set_address_size<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    argument: &AddressSize,
) -> Result<(), Stop> {
    match (argument.size, domain.width()) {
        (32, Width::Pv32) | (64, Width::Pv64) => Ok(()),
        (32, Width::Pv64) => {
            if domain.pages.load(Ordering::Relaxed) != 0 {
                return Err(Errno::EACCES.into());
            }
            Ok(ctx.sys.narrow(domain)?)
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

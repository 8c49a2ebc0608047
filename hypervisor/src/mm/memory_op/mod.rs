//! `memory_op`: how much memory domains have, getting more, giving some back.
//!
//! | file | commands |
//! |---|---|
//! | `reservation` | increase_reservation, decrease_reservation, populate_physmap |
//! | `exchange` | exchange |
//! | `maps` | memory maps, and where the machine-to-physical table is |
//! | `claim` | claim_pages |
//! | here | numbers, and what translated guests alone have |
//!
//! The command word's upper bits say how much was done before a continuation. A caller that is
//! not privileged acts on its own domain.

mod claim;
mod exchange;
mod maps;
mod reservation;

use core::mem::offset_of;
use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::memory;
use pv_abi::memory::VnumaTopologyInfo;
use pv_abi::types::DomId;
use pv_abi::{x86_32, x86_64};

pub use maps::E820;

use crate::domain::Domain;
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::hypercall::{Args, target};
use crate::platform::Platform;
use crate::support::{Limit, partial, refused};
use crate::width::Width;

/// Bits of the command word that say which command; the others count extents done before
/// a continuation.
const COMMAND_BITS: u32 = 6;

/// The largest extent a guest gets at once: 2 MiB. Xen has it configurable, and gives domain 0
/// up to 1 GiB; here one extent is one step (XSA-31, XSA-158).
const MAX_EXTENT_ORDER: u32 = 9;

/// What there is to say no.
pub const LIMITS: &[Limit] = &[
    partial(memory::XENMEM_CLAIM_PAGES, "no memory can be set aside; a claim can be ended"),
    partial(memory::XENMEM_INCREASE_RESERVATION, "extents of up to 2 MiB for domain 0, too"),
    partial(memory::XENMEM_POPULATE_PHYSMAP, "extents of up to 2 MiB for domain 0, too"),
    refused(memory::XENMEM_ADD_TO_PHYSMAP, Errno::EACCES, "for translated guests"),
    refused(memory::XENMEM_ADD_TO_PHYSMAP_BATCH, Errno::EACCES, "for translated guests"),
    refused(memory::XENMEM_REMOVE_FROM_PHYSMAP, Errno::EACCES, "for translated guests"),
    refused(memory::XENMEM_SET_POD_TARGET, Errno::EINVAL, "for HVM guests"),
    refused(memory::XENMEM_GET_POD_TARGET, Errno::EINVAL, "for HVM guests"),
    refused(memory::XENMEM_GET_VNUMAINFO, Errno::EOPNOTSUPP, "no domain has virtual nodes"),
    refused(memory::XENMEM_ACQUIRE_RESOURCE, Errno::EPERM, "of one's own; of others' EINVAL"),
];

/// `memory_op(cmd, arg)`.
///
/// `ENOSYS` for commands that are not there: those of translated guests' memory (sharing,
/// paging, access). `EINVAL` for a command without continuations that claims to be one.
pub fn memory_op<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let command = args[0] as u32 & ((1 << COMMAND_BITS) - 1);
    let done_before = args[0] >> COMMAND_BITS;
    let arg = args[1];
    match command {
        memory::XENMEM_INCREASE_RESERVATION
        | memory::XENMEM_DECREASE_RESERVATION
        | memory::XENMEM_POPULATE_PHYSMAP => reservation::reservation(ctx, args, command),
        memory::XENMEM_ADD_TO_PHYSMAP => Err(add_to_physmap(ctx, done_before, arg).into()),
        memory::XENMEM_ADD_TO_PHYSMAP_BATCH => {
            Err(add_to_physmap_batch(ctx, done_before, arg).into())
        }
        _ if done_before != 0 && has_no_continuation(command) => Err(Errno::EINVAL.into()),
        memory::XENMEM_EXCHANGE => exchange::exchange(ctx, arg),
        // Xen says one more than the last, as `max_page`; its documentation says the last.
        memory::XENMEM_MAXIMUM_RAM_PAGE => Ok(ctx.sys.memory.frame_count().saturating_sub(1)),
        memory::XENMEM_CURRENT_RESERVATION => {
            Ok(asked_domain(ctx, arg)?.pages.load(Ordering::Relaxed).into())
        }
        memory::XENMEM_MAXIMUM_RESERVATION => {
            Ok(asked_domain(ctx, arg)?.max_pages.load(Ordering::Relaxed).into())
        }
        memory::XENMEM_MAXIMUM_GPFN => Ok(maximum_gpfn(ctx, asked_domain(ctx, arg)?)),
        memory::XENMEM_MACHPHYS_MAPPING => maps::machphys_mapping(ctx, arg),
        memory::XENMEM_MACHPHYS_MFN_LIST | memory::XENMEM_MACHPHYS_COMPAT_MFN_LIST => {
            maps::machphys_mfn_list(ctx, arg, command)
        }
        memory::XENMEM_MEMORY_MAP => maps::memory_map(ctx, arg),
        memory::XENMEM_SET_MEMORY_MAP => maps::set_memory_map(ctx, arg),
        memory::XENMEM_MACHINE_MEMORY_MAP => maps::machine_memory_map(ctx, arg),
        memory::XENMEM_CLAIM_PAGES => claim::claim_pages(ctx, arg),
        memory::XENMEM_REMOVE_FROM_PHYSMAP => {
            Err(translated_only(ctx, ctx.read::<DomId>(arg)?).into())
        }
        memory::XENMEM_SET_POD_TARGET | memory::XENMEM_GET_POD_TARGET => {
            Err(pod_target(ctx, arg).into())
        }
        memory::XENMEM_RESERVED_DEVICE_MEMORY_MAP => maps::reserved_device_memory_map(ctx, arg),
        memory::XENMEM_GET_VNUMAINFO => Err(vnuma_info(ctx, arg).into()),
        memory::XENMEM_ACQUIRE_RESOURCE => Err(acquire_resource(ctx, arg).into()),
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// Commands that refuse to be a continuation.
fn has_no_continuation(command: u32) -> bool {
    matches!(
        command,
        memory::XENMEM_EXCHANGE
            | memory::XENMEM_MAXIMUM_RAM_PAGE
            | memory::XENMEM_CURRENT_RESERVATION
            | memory::XENMEM_MAXIMUM_RESERVATION
            | memory::XENMEM_MAXIMUM_GPFN
            | memory::XENMEM_CLAIM_PAGES
            | memory::XENMEM_REMOVE_FROM_PHYSMAP
            | memory::XENMEM_GET_VNUMAINFO
            | memory::XENMEM_RESERVED_DEVICE_MEMORY_MAP
    )
}

fn asked_domain<'a, P: Platform>(ctx: &Ctx<'a, P>, arg: u64) -> Result<&'a Domain, Errno> {
    let id: DomId = ctx.read(arg)?;
    target(ctx, id.raw())
}

/// The highest pseudo-physical frame that the domain's kernel says it has.
fn maximum_gpfn<P: Platform>(ctx: &Ctx<'_, P>, domain: &Domain) -> u64 {
    let info = domain.shared_info;
    let pages = match domain.width() {
        Width::Pv32 => {
            let at =
                offset_of!(x86_32::SharedInfo, arch) + offset_of!(x86_32::ArchSharedInfo, max_pfn);
            let word = ctx.sys.platform.half_words(info).get(at / 4);
            word.map_or(0, |word| word.load(Ordering::Relaxed)).into()
        }
        Width::Pv64 => {
            let at =
                offset_of!(x86_64::SharedInfo, arch) + offset_of!(x86_64::ArchSharedInfo, max_pfn);
            let word = ctx.sys.platform.words(info).get(at / 8);
            word.map_or(0, |word| word.load(Ordering::Relaxed))
        }
    };
    pages.saturating_sub(1)
}

/// Why a PV domain's memory cannot be mapped by its pseudo-physical numbers.
fn translated_only<P: Platform>(ctx: &Ctx<'_, P>, id: DomId) -> Errno {
    target(ctx, id.raw()).err().unwrap_or(Errno::EACCES)
}

/// `XENMEM_add_to_physmap` is for translated guests; a PV kernel maps frames by itself.
fn add_to_physmap<P: Platform>(ctx: &Ctx<'_, P>, done_before: u64, arg: u64) -> Errno {
    if done_before > u16::MAX.into() {
        return Errno::EDOM;
    }
    let fields = match ctx.width() {
        Width::Pv32 => ctx.read::<x86_32::AddToPhysmap>(arg).map(|a| (a.domid, a.space)),
        Width::Pv64 => ctx.read::<x86_64::AddToPhysmap>(arg).map(|a| (a.domid, a.space)),
    };
    match fields {
        Err(fault) => fault,
        Ok((_, memory::XENMAPSPACE_GMFN_FOREIGN)) => Errno::ENOSYS,
        Ok((id, _)) => translated_only(ctx, id),
    }
}

fn add_to_physmap_batch<P: Platform>(ctx: &Ctx<'_, P>, done_before: u64, arg: u64) -> Errno {
    if done_before > u16::MAX.into() {
        return Errno::EDOM;
    }
    let fields = match ctx.width() {
        Width::Pv32 => ctx.read::<x86_32::AddToPhysmapBatch>(arg).map(|a| (a.domid, a.space)),
        Width::Pv64 => ctx.read::<x86_64::AddToPhysmapBatch>(arg).map(|a| (a.domid, a.space)),
    };
    match fields {
        Err(fault) => fault,
        Ok((_, space)) if u32::from(space) == memory::XENMAPSPACE_GMFN_RANGE => Errno::EOPNOTSUPP,
        Ok((id, _)) => translated_only(ctx, id),
    }
}

/// Populating on demand is for translated guests.
fn pod_target<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> Errno {
    let id = match ctx.width() {
        Width::Pv32 => ctx.read::<x86_32::PodTarget>(arg).map(|a| a.domid),
        Width::Pv64 => ctx.read::<x86_64::PodTarget>(arg).map(|a| a.domid),
    };
    match id.and_then(|id| target(ctx, id.raw())) {
        Err(errno) => errno,
        Ok(_) => Errno::EINVAL,
    }
}

/// No domain has virtual NUMA nodes.
fn vnuma_info<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> Errno {
    match ctx.read::<VnumaTopologyInfo>(arg) {
        Err(fault) => fault,
        Ok(topology) if topology.pad != 0 => Errno::EINVAL,
        Ok(topology) => target(ctx, topology.domid.raw()).err().unwrap_or(Errno::EOPNOTSUPP),
    }
}

/// Resources of other domains cannot be mapped this way yet: none has any.
fn acquire_resource<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> Errno {
    let fields = match ctx.width() {
        Width::Pv32 => ctx.read::<x86_32::MemAcquireResource>(arg).map(|a| (a.domid, a.pad)),
        Width::Pv64 => ctx.read::<x86_64::MemAcquireResource>(arg).map(|a| (a.domid, a.pad)),
    };
    match fields {
        Err(fault) => fault,
        Ok((_, pad)) if pad != 0 => Errno::EINVAL,
        Ok((id, _)) if id == DomId::SELF || id == ctx.domain.id => Errno::EPERM,
        Ok((id, _)) if ctx.sys.domain(id).is_none() => Errno::ESRCH,
        Ok(_) if !ctx.domain.privileged => Errno::EPERM,
        Ok(_) => Errno::EINVAL,
    }
}

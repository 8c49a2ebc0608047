//! The two versions of the table: choosing one, and the status words that the second has.
//!
//! A change clears the table but for the first entries, which belong to the tools that built
//! the domain and may be in use meanwhile. It happens under the table's lock, as every step
//! of a use does: no use sees one version when it begins a step and the other when it ends it.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::grant_table as abi;
use pv_abi::types::GrantRef;
use pv_abi::{x86_32, x86_64};

use super::setup::visible;
use super::shared::Body;
use super::table::Table;
use super::{domain_or_self, may_see, ops};
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::platform::{FrameAccess, Platform};
use crate::width::Width;

/// Entries that survive.
const RESERVED: usize = abi::GNTTAB_NR_RESERVED_ENTRIES as usize;
const IN_USE: u16 = abi::GTF_READING | abi::GTF_WRITING;

/// An entry that both versions can say: flags (with those of its status), domain, frame.
#[derive(Clone, Copy, Default)]
struct Reserved {
    header: u32,
    frame: u32,
}

/// `GNTTABOP_set_version`.
///
/// `EINVAL`: neither 1 nor 2; `ENOSYS`: a version that the domain may not choose; `EBUSY`: other
/// than the reserved entries are in use, or the guest has status frames mapped; `EAGAIN`: a
/// copy by a part or a transitive grant is under way; `ERANGE`: a reserved entry cannot be
/// said in version 1; `ENOMEM`. The argument tells the version in use in any case.
pub(super) fn set_version<P: Platform>(ctx: &mut Ctx<'_, P>, at: u64) -> HypercallResult {
    let wanted: abi::GnttabSetVersion = ctx.read(at)?;
    let outcome = choose(ctx, wanted.version);
    let version = ctx.sys.grant_table(ctx.domain).version;
    ctx.write(at, &abi::GnttabSetVersion { version })?;
    outcome?;
    Ok(0)
}

fn choose<P: Platform>(ctx: &Ctx<'_, P>, wanted: u32) -> Result<(), Errno> {
    if wanted != 1 && wanted != 2 {
        return Err(Errno::EINVAL);
    }
    if wanted > ctx.domain.limits.grant_version {
        return Err(Errno::ENOSYS);
    }
    let (sys, access) = (ctx.sys, &ctx.sys.platform);
    let table = &mut *sys.grant_table(ctx.domain);
    if table.version == wanted {
        return Ok(());
    }
    let in_use = (abi::GNTTAB_NR_RESERVED_ENTRIES..table.entries())
        .filter_map(|number| table.slot(access, GrantRef::new(number)))
        .any(|slot| !slot.pins().is_none());
    if in_use {
        return Err(Errno::EBUSY);
    }
    let kept = if wanted == 2 {
        let frames = table.shared.count();
        table.grow_status(sys, ctx.domain, frames)?;
        reserved_v1(table, access)
    } else {
        if table.v2_pins != 0 {
            return Err(Errno::EAGAIN);
        }
        // Our own reference is the only one unless the guest maps it.
        let mapped = table
            .status
            .iter(access)
            .any(|mfn| sys.memory.frame(mfn).is_some_and(|frame| frame.load().total() > 1));
        let kept = reserved_v2(table, access)?;
        if mapped {
            return Err(Errno::EBUSY);
        }
        kept
    };
    for mfn in table.shared.iter(access).chain(table.status.iter(access)) {
        access.zero(mfn);
    }
    table.version = wanted;
    restore(table, access, &kept);
    Ok(())
}

fn reserved_v1(table: &Table, access: &impl FrameAccess) -> [Reserved; RESERVED] {
    let mut kept = [Reserved::default(); RESERVED];
    for (slot, number) in kept.iter_mut().zip(0..) {
        if let Some(entry) = table.entry(access, GrantRef::new(number))
            && let Body::V1 { frame } = entry.body
        {
            slot.header = entry.header.load(Ordering::Relaxed);
            slot.frame = frame.load(Ordering::Relaxed);
        }
    }
    kept
}

/// `ERANGE` if one does not fit.
fn reserved_v2(table: &Table, access: &impl FrameAccess) -> Result<[Reserved; RESERVED], Errno> {
    let mut kept = [Reserved::default(); RESERVED];
    for (slot, number) in kept.iter_mut().zip(0..) {
        let Some(entry) = table.entry(access, GrantRef::new(number)) else { continue };
        let Body::V2 { frame, status, .. } = entry.body else { continue };
        let header = entry.header.load(Ordering::Relaxed);
        let frame = frame.load(Ordering::Relaxed);
        match header as u16 & abi::GTF_TYPE_MASK {
            abi::GTF_PERMIT_ACCESS if frame >> 32 == 0 => {
                slot.header = header | u32::from(status.get() & IN_USE);
                slot.frame = frame as u32;
            }
            abi::GTF_PERMIT_ACCESS | abi::GTF_TRANSITIVE => return Err(Errno::ERANGE),
            _ => {}
        }
    }
    Ok(kept)
}

fn restore(table: &Table, access: &impl FrameAccess, kept: &[Reserved; RESERVED]) {
    for (Reserved { header, frame: kept }, number) in kept.iter().zip(0..) {
        let Some(entry) = table.entry(access, GrantRef::new(number)) else { continue };
        match entry.body {
            Body::V1 { frame } => {
                frame.store(*kept, Ordering::Relaxed);
                entry.header.store(*header, Ordering::Release);
            }
            Body::V2 { frame, status, .. } => {
                frame.store(u64::from(*kept), Ordering::Relaxed);
                status.put(*header as u16 & IN_USE);
                entry.header.store(header & !u32::from(IN_USE), Ordering::Release);
            }
        }
    }
}

/// `GNTTABOP_get_version`. `ESRCH`: no such domain; `EPERM`: another's, without privilege.
pub(super) fn get_version<P: Platform>(ctx: &mut Ctx<'_, P>, at: u64) -> HypercallResult {
    let op: abi::GnttabGetVersion = ctx.read(at)?;
    let domain = domain_or_self(ctx, op.dom).ok_or(Errno::ESRCH)?;
    if !may_see(ctx, domain) {
        return Err(Errno::EPERM.into());
    }
    let version = ctx.sys.grant_table(domain).version;
    ctx.write(at, &abi::GnttabGetVersion { version, ..op })?;
    Ok(0)
}

/// `GNTTABOP_get_status_frames`: tells the first `nr_frames` status frames.
///
/// `EFAULT` as `setup_table`; `GNTST_general_error`: there are fewer (none in version 1);
/// `GNTST_bad_virt_addr`: the list is not writable.
pub(super) fn get_status_frames<P: Platform>(ctx: &mut Ctx<'_, P>, at: u64) -> HypercallResult {
    let (frames, dom, list, status) = match ctx.width() {
        Width::Pv32 => {
            let op: x86_32::GnttabGetStatusFrames = ctx.read(at)?;
            let status = core::mem::offset_of!(x86_32::GnttabGetStatusFrames, status);
            (op.nr_frames, op.dom, u64::from(op.frame_list), status)
        }
        Width::Pv64 => {
            let op: x86_64::GnttabGetStatusFrames = ctx.read(at)?;
            let status = core::mem::offset_of!(x86_64::GnttabGetStatusFrames, status);
            (op.nr_frames, op.dom, op.frame_list, status)
        }
    };
    ops::check_array(ctx, list, frames, size_of::<u64>())?;
    let tell = || {
        let domain = visible(ctx, dom)?;
        for index in 0..frames {
            let table = ctx.sys.grant_table(domain);
            // All of them or none: the number is compared before the first is told.
            if frames > table.visible_status_frames() {
                return Err(abi::GNTST_GENERAL_ERROR);
            }
            let mfn = table.status.get(&ctx.sys.platform, index);
            drop(table);
            let mfn = mfn.ok_or(abi::GNTST_GENERAL_ERROR)?;
            let at = list.wrapping_add(u64::from(index) * size_of::<u64>() as u64);
            ctx.write(at, &mfn.raw()).map_err(|_| abi::GNTST_BAD_VIRT_ADDR)?;
        }
        Ok(())
    };
    let outcome: Result<(), super::Refused> = tell();
    ctx.write(at.wrapping_add(status as u64), &outcome.err().unwrap_or(abi::GNTST_OKAY))?;
    Ok(0)
}

//! `mmu_update`: a list of changes to page-table entries and to the machine-to-physical table.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::mmu::{self, MmuUpdate};
use pv_abi::types::{DomId, Mfn};

use super::frame::Type;
use super::types::PageTypes;
use crate::domain::Domain;
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::platform::Platform;

/// Updates made before other work gets a chance.
const BATCH: u32 = 512;

/// In the count argument: the call is a continuation, and `pdone` holds what is done already.
/// A value of the hypervisor's own; a guest that sets it counts from its own `pdone`.
pub(super) const CONTINUED: u64 = 1 << 31;

/// `mmu_update(ureqs, count, pdone, foreigndom)`.
///
/// Stops at the first request that fails; `pdone`, if not null, says how many were done.
/// `EFAULT`: the list; `EINVAL`: an entry or frame that is refused; `ENOSYS`: an unknown
/// command; `ESRCH`, `EPERM`: another domain.
pub fn mmu_update<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let owner = other_domain(ctx, args[3])?;
    let (sys, domain) = (ctx.sys, ctx.domain);
    let mut types = sys.page_types(domain);
    types.finish()?;
    let count = (args[1] & !CONTINUED) as u32;
    let mut outcome = Ok(());
    let mut done = 0;
    while done < count {
        if done == BATCH {
            outcome = Err(Stop::Preempted);
            break;
        }
        let at = args[0].wrapping_add(u64::from(done) * size_of::<MmuUpdate>() as u64);
        outcome = match ctx.read::<MmuUpdate>(at) {
            Ok(request) => one(ctx, &mut types, owner, request.ptr, request.val),
            Err(fault) => Err(fault.into()),
        };
        if outcome.is_err() {
            break;
        }
        done += 1;
        // What a removed table leaves behind must not pile up over a list.
        outcome = types.finish();
        if outcome.is_err() {
            break;
        }
    }
    conclude(ctx, args, done, count, size_of::<MmuUpdate>() as u64, outcome)
}

/// Ends a request over a list: reports progress, and prepares the continuation.
pub(super) fn conclude<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    args: &mut Args,
    done: u32,
    count: u32,
    size: u64,
    outcome: Result<(), Stop>,
) -> HypercallResult {
    if args[2] != 0 {
        let before = if args[1] & CONTINUED != 0 { ctx.read::<u32>(args[2])? } else { 0 };
        ctx.write(args[2], &before.wrapping_add(done))?;
    }
    match outcome {
        Err(Stop::Preempted) => {
            args[0] = args[0].wrapping_add(u64::from(done) * size);
            args[1] = u64::from(count - done) | CONTINUED;
            Err(Stop::Preempted)
        }
        Err(other) => Err(other),
        Ok(()) => Ok(0),
    }
}

/// The domain whose frames a `foreigndom` argument means (bits 0-15); tables of another
/// domain (bits 16-31, number + 1) are not to be changed yet.
pub(super) fn other_domain<'a, P: Platform>(
    ctx: &Ctx<'a, P>,
    foreigndom: u64,
) -> Result<&'a Domain, Errno> {
    let (page_owner, table_owner) = (foreigndom as u16, (foreigndom >> 16) as u16);
    if table_owner != 0 && table_owner.wrapping_sub(1) != ctx.domain.id.raw() {
        return Err(if ctx.domain.privileged { Errno::ESRCH } else { Errno::EPERM });
    }
    if page_owner == DomId::SELF.raw() || page_owner == ctx.domain.id.raw() {
        return Ok(ctx.domain);
    }
    if !ctx.domain.privileged {
        return Err(Errno::EPERM);
    }
    ctx.sys.domain(DomId::new(page_owner)).ok_or(Errno::ESRCH)
}

#[inline(always)]
fn one<P: Platform>(
    ctx: &Ctx<'_, P>,
    types: &mut PageTypes<'_, P>,
    owner: &Domain,
    pointer: u64,
    value: u64,
) -> Result<(), Stop> {
    let mfn = Mfn::new(pointer >> 12);
    match (pointer & 7) as u32 {
        mmu::MMU_NORMAL_PT_UPDATE | mmu::MMU_PT_UPDATE_NO_TRANSLATE => {
            entry(ctx, types, owner, mfn, pointer, value, false)
        }
        mmu::MMU_PT_UPDATE_PRESERVE_AD => entry(ctx, types, owner, mfn, pointer, value, true),
        mmu::MMU_MACHPHYS_UPDATE => {
            ctx.sys.memory.get_page(mfn, owner.id)?;
            ctx.sys.memory.set_m2p(mfn, value);
            ctx.sys.put_page(mfn);
            Ok(())
        }
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// Writes one 64-bit word of a frame: as a page-table entry if the frame is a page table, else
/// as plain memory.
#[inline(always)]
fn entry<P: Platform>(
    ctx: &Ctx<'_, P>,
    types: &mut PageTypes<'_, P>,
    owner: &Domain,
    mfn: Mfn,
    pointer: u64,
    value: u64,
    preserve_ad: bool,
) -> Result<(), Stop> {
    // Entries that name another domain's frames come with grants and foreign mappings.
    if owner.id != ctx.domain.id {
        return Err(Errno::EPERM.into());
    }
    let index = (pointer & 0xfff) >> 3;
    let frame = ctx.sys.memory.get_page(mfn, ctx.domain.id)?;
    let word = frame.load();
    let result = if word.type_count() > 0 && word.kind().is_page_table() {
        // Under the paging lock a page table with references stays one.
        types.write_entry(mfn, word.kind(), index as u16, value, preserve_ad)
    } else {
        types.get(mfn, Type::Writable).map(|()| {
            if let Some(word) = ctx.sys.platform.words(mfn).get(index as usize) {
                word.store(value, Ordering::Relaxed);
            }
            types.put(mfn);
        })
    };
    ctx.sys.put_page(mfn);
    result
}

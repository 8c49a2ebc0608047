//! `mmu_update`: a list of changes to page-table entries and to the machine-to-physical table.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::mmu::{self, MmuUpdate};
use pv_abi::types::Mfn;

use super::foreign::{self, Owners};
use super::frame::Type;
use super::types::PageTypes;
use crate::domain::Domain;
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::platform::Platform;
use crate::system::System;

/// Updates made before other work gets a chance.
const BATCH: u32 = 512;
/// The same, where each takes locks of its own and may wait for other CPUs.
const BATCH_OF_OTHERS: u32 = 128;

/// In the count argument: the call is a continuation, and `pdone` holds what is done already.
/// A value of the hypervisor's own; a guest that sets it counts from its own `pdone`.
pub(super) const CONTINUED: u64 = 1 << 31;

/// `mmu_update(ureqs, count, pdone, foreigndom)`.
///
/// Stops at the first request that fails; `pdone`, if not null, says how many were done.
/// `EFAULT`: the list; `EINVAL`: an entry or frame that is refused; `ENOSYS`: an unknown
/// command; `ESRCH`, `EPERM`: another domain.
pub fn mmu_update<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let owners = Owners::of(ctx, args[3])?;
    if !owners.are(ctx) {
        return others(ctx, args, owners);
    }
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
        outcome = match fetch(ctx, args, done) {
            Ok(request) => one(sys, &mut types, request),
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

/// The same where other domains take part: each request takes the locks that it needs.
#[cold]
fn others<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    args: &mut Args,
    owners: Owners<'_>,
) -> HypercallResult {
    let count = (args[1] & !CONTINUED) as u32;
    let mut outcome = Ok(());
    let mut done = 0;
    while done < count {
        if done == BATCH_OF_OTHERS {
            outcome = Err(Stop::Preempted);
            break;
        }
        outcome = fetch(ctx, args, done).map_err(Stop::from).and_then(|request| {
            let MmuUpdate { ptr, val } = request;
            match Command::of(ptr)? {
                Command::Entry { preserve_ad } => {
                    foreign::update(ctx, owners, ptr & !7, val, preserve_ad)
                }
                Command::MachineToPhysical => set_m2p(ctx.sys, owners.frames, ptr, val),
            }
        });
        if outcome.is_err() {
            break;
        }
        done += 1;
    }
    conclude(ctx, args, done, count, size_of::<MmuUpdate>() as u64, outcome)
}

/// Copies in request `index` of the list.
#[inline(always)]
fn fetch<P: Platform>(ctx: &Ctx<'_, P>, args: &Args, index: u32) -> Result<MmuUpdate, Errno> {
    let offset = u64::from(index) * size_of::<MmuUpdate>() as u64;
    ctx.read(args[0].wrapping_add(offset))
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

/// What the low bits of a request's pointer ask for.
enum Command {
    /// Write an entry.
    Entry {
        /// The accessed and dirty bits that the CPU has set meanwhile stay.
        preserve_ad: bool,
    },
    /// Record a frame's pseudo-physical number.
    MachineToPhysical,
}

impl Command {
    #[inline(always)]
    fn of(pointer: u64) -> Result<Command, Errno> {
        match (pointer & 7) as u32 {
            mmu::MMU_NORMAL_PT_UPDATE | mmu::MMU_PT_UPDATE_NO_TRANSLATE => {
                Ok(Command::Entry { preserve_ad: false })
            }
            mmu::MMU_PT_UPDATE_PRESERVE_AD => Ok(Command::Entry { preserve_ad: true }),
            mmu::MMU_MACHPHYS_UPDATE => Ok(Command::MachineToPhysical),
            _ => Err(Errno::ENOSYS),
        }
    }
}

/// One request of the caller's about its own memory.
#[inline(always)]
fn one<P: Platform>(
    sys: &System<P>,
    types: &mut PageTypes<'_, P>,
    MmuUpdate { ptr, val }: MmuUpdate,
) -> Result<(), Stop> {
    match Command::of(ptr)? {
        Command::Entry { preserve_ad } => {
            let mfn = Mfn::new(ptr >> 12);
            sys.memory.get_page(mfn, types.domain.id)?;
            let result = entry(sys, types, mfn, ptr, val, preserve_ad);
            sys.put_page(mfn);
            result
        }
        Command::MachineToPhysical => set_m2p(sys, types.domain, ptr, val),
    }
}

#[inline(always)]
fn set_m2p<P: Platform>(
    sys: &System<P>,
    owner: &Domain,
    pointer: u64,
    value: u64,
) -> Result<(), Stop> {
    let mfn = Mfn::new(pointer >> 12);
    sys.memory.get_page(mfn, owner.id)?;
    sys.memory.set_m2p(mfn, value);
    sys.put_page(mfn);
    Ok(())
}

/// Writes one 64-bit word of frame `mfn`, on which the caller holds a reference: as a page-table
/// entry if the frame is a page table, else as plain memory.
#[inline(always)]
pub(super) fn entry<P: Platform>(
    sys: &System<P>,
    types: &mut PageTypes<'_, P>,
    mfn: Mfn,
    pointer: u64,
    value: u64,
    preserve_ad: bool,
) -> Result<(), Stop> {
    let index = (pointer & 0xfff) >> 3;
    let word = sys.memory.frame(mfn).ok_or(Errno::EINVAL)?.load();
    if word.type_count() > 0 && word.kind().is_page_table() {
        // Under the paging lock a page table with references stays one.
        return types.write_entry(mfn, word.kind(), index as u16, value, preserve_ad);
    }
    types.get(mfn, Type::Writable)?;
    if let Some(word) = sys.platform.words(mfn).get(index as usize) {
        word.store(value, Ordering::Relaxed);
    }
    types.put(mfn);
    Ok(())
}

//! `mmuext_op`: pins, roots, TLB and cache flushes, page clearing and copying.

use pv_abi::errno::Errno;
use pv_abi::mmu;
use pv_abi::types::Mfn;
use pv_abi::{x86_32, x86_64};

use super::foreign;
use super::frame::Type;
use super::mmu_update::conclude;
use super::pte;
use super::tlb::{Cpus, only};
use super::types::PageTypes;
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::platform::Platform;
use crate::support::{Limit, refused};
use crate::width::Width;

/// What is not whole.
pub const LIMITS: &[Limit] = &[
    refused(mmu::MMUEXT_MARK_SUPER, Errno::EOPNOTSUPP, "as on Xen: PV guests have no large pages"),
    refused(mmu::MMUEXT_UNMARK_SUPER, Errno::EOPNOTSUPP, "as on Xen"),
];

/// One `struct mmuext_op`, of either width.
#[derive(Clone, Copy)]
struct Op {
    cmd: u32,
    /// A frame, or an address.
    arg1: u64,
    /// A count, a bitmap's address, or a frame.
    arg2: u64,
}

/// `mmuext_op(uops, count, pdone, foreigndom)`.
///
/// Stops at the first operation that fails; `pdone`, if not null, says how many were done.
/// Errnos as `xen.h` and the operations below say.
pub fn mmuext_op<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let owner = foreign::named(ctx, args[3] as u16)?;
    let sys = ctx.sys;
    let size = match ctx.width() {
        Width::Pv32 => size_of::<x86_32::MmuextOp>(),
        Width::Pv64 => size_of::<x86_64::MmuextOp>(),
    } as u64;
    let mut types = sys.page_types(owner);
    types.finish()?;
    let count = (args[1] & !super::mmu_update::CONTINUED) as u32;
    let mut outcome = Ok(());
    let mut done = 0;
    while done < count {
        let at = args[0].wrapping_add(u64::from(done) * size);
        outcome = match fetch(ctx, at) {
            Ok(op) => one(ctx, &mut types, op),
            Err(fault) => Err(fault.into()),
        };
        if outcome.is_err() {
            break;
        }
        done += 1;
        outcome = types.finish();
        if outcome.is_err() || done == count {
            break;
        }
        // Each operation may be long; a list of them is preempted between any two.
        outcome = types.spend();
        if outcome.is_err() {
            break;
        }
    }
    conclude(ctx, args, done, count, size, outcome)
}

#[inline(always)]
fn fetch<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<Op, Errno> {
    Ok(match ctx.width() {
        Width::Pv32 => {
            let op: x86_32::MmuextOp = ctx.read(at)?;
            Op { cmd: op.cmd, arg1: op.arg1.into(), arg2: op.arg2.into() }
        }
        Width::Pv64 => {
            let op: x86_64::MmuextOp = ctx.read(at)?;
            Op { cmd: op.cmd, arg1: op.arg1, arg2: op.arg2 }
        }
    })
}

#[inline(always)]
fn one<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    types: &mut PageTypes<'_, P>,
    op: Op,
) -> Result<(), Stop> {
    let platform = &ctx.sys.platform;
    let mfn = Mfn::new(op.arg1);
    let owner = types.domain;
    let own = core::ptr::eq(owner, ctx.domain);
    match op.cmd {
        mmu::MMUEXT_PIN_L1_TABLE => types.pin(mfn, Type::L1),
        mmu::MMUEXT_PIN_L2_TABLE => types.pin(mfn, Type::L2),
        mmu::MMUEXT_PIN_L3_TABLE => types.pin(mfn, Type::L3),
        // A pv32 guest has no level 4; Xen passes over the request in silence.
        mmu::MMUEXT_PIN_L4_TABLE if owner.width() == Width::Pv32 => Ok(()),
        mmu::MMUEXT_PIN_L4_TABLE => types.pin(mfn, Type::L4),
        mmu::MMUEXT_UNPIN_TABLE => types.unpin(mfn),
        mmu::MMUEXT_CLEAR_PAGE => {
            types.get(mfn, Type::Writable)?;
            platform.zero(mfn);
            types.put(mfn);
            Ok(())
        }
        mmu::MMUEXT_COPY_PAGE => {
            let source = Mfn::new(op.arg2);
            ctx.sys.memory.get_page(source, owner.id)?;
            let writable = types.get(mfn, Type::Writable);
            if writable.is_ok() {
                platform.copy(source, mfn);
                types.put(mfn);
            }
            ctx.sys.put_page(source);
            writable
        }
        mmu::MMUEXT_MARK_SUPER | mmu::MMUEXT_UNMARK_SUPER => Err(Errno::EOPNOTSUPP.into()),
        // The rest is about the caller's own address space.
        mmu::MMUEXT_NEW_BASEPTR..=mmu::MMUEXT_FLUSH_CACHE_GLOBAL if !own => {
            Err(Errno::EPERM.into())
        }
        mmu::MMUEXT_NEW_BASEPTR => new_baseptr(ctx, types, mfn),
        mmu::MMUEXT_TLB_FLUSH_LOCAL => {
            platform.flush_tlb();
            Ok(())
        }
        mmu::MMUEXT_INVLPG_LOCAL => {
            flush_page(ctx, only(platform.this_cpu()), op.arg1);
            Ok(())
        }
        mmu::MMUEXT_TLB_FLUSH_ALL => {
            ctx.sys.flush_domain(ctx.domain);
            Ok(())
        }
        mmu::MMUEXT_INVLPG_ALL => {
            flush_page(ctx, ctx.domain.loaded.cpus(), op.arg1);
            Ok(())
        }
        mmu::MMUEXT_TLB_FLUSH_MULTI => {
            ctx.sys.flush_cpus(cpus_of_bitmap(ctx, op.arg2)?);
            Ok(())
        }
        mmu::MMUEXT_INVLPG_MULTI => {
            let cpus = cpus_of_bitmap(ctx, op.arg2)?;
            flush_page(ctx, cpus, op.arg1);
            Ok(())
        }
        mmu::MMUEXT_FLUSH_CACHE | mmu::MMUEXT_FLUSH_CACHE_GLOBAL => {
            if !ctx.domain.privileged {
                return Err(Errno::EACCES.into());
            }
            platform.flush_cache();
            Ok(())
        }
        mmu::MMUEXT_SET_LDT => super::descriptor::set_ldt(ctx, types, op.arg1, op.arg2),
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// The CPUs with translations of the vCPUs whose bits are set in the bitmap at `bitmap`: a `long`,
/// of which bits beyond the last vCPU mean nothing.
///
/// `EFAULT` if it cannot be read.
pub(super) fn cpus_of_bitmap<P: Platform>(ctx: &Ctx<'_, P>, bitmap: u64) -> Result<Cpus, Errno> {
    let vcpus = ctx.read_long(bitmap, 0)?;
    Ok(ctx.sys.cpus_of(ctx.domain, vcpus))
}

/// Drops the translation of one address of the guest's; others are none of its business.
#[inline(always)]
fn flush_page<P: Platform>(ctx: &Ctx<'_, P>, cpus: Cpus, address: u64) {
    if ctx.width().range_ok(address, 1) {
        ctx.sys.flush_address(cpus, address);
    }
}

/// Loads another root page table; `EINVAL` if the frame cannot be one.
#[inline(always)]
pub(crate) fn new_baseptr<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    types: &mut PageTypes<'_, P>,
    root: Mfn,
) -> Result<(), Stop> {
    if root == ctx.state.root {
        return Ok(());
    }
    types.get(root, Type::root_of(ctx.width()))?;
    super::descriptor::forget_ldt_pages(ctx, types);
    let old = core::mem::replace(&mut ctx.state.root, root);
    load_root(ctx);
    types.put(old);
    Ok(())
}

/// Makes the CPU walk the vCPU's current root.
///
/// pv32: the root is the level-3 table below slot 0 of the vCPU's own L4.
#[inline(always)]
pub(crate) fn load_root<P: Platform>(ctx: &Ctx<'_, P>) {
    let platform = &ctx.sys.platform;
    if ctx.width() == Width::Pv32
        && let Some(slot) = platform.words(ctx.state.l4).first()
    {
        let entry = pte::make(ctx.state.root, pte::P | pte::RW | pte::US | pte::A);
        slot.store(entry, core::sync::atomic::Ordering::Relaxed);
    }
    platform.load_root(ctx.state.l4);
}

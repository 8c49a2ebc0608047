//! `update_va_mapping`: changes the level-1 entry that maps an address of the caller's.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::mmu::{UVMF_ALL, UVMF_FLUSHTYPE_MASK, UVMF_INVLPG, UVMF_LOCAL, UVMF_TLB_FLUSH};
use pv_abi::types::Mfn;

use super::foreign::{self, Owners};
use super::frame::Type;
use super::mmuext::cpus_of_bitmap;
use super::pte;
use crate::domain::Domain;
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::platform::Platform;
use crate::system::System;
use crate::width::Width;

/// `update_va_mapping(va, new_val, flags)`; a pv32 guest passes the value in two words.
///
/// `EINVAL`: the address has no level-1 table, or the entry is refused; then no TLB entry
/// is dropped either (XSA-279).
pub fn update_va_mapping<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let va = args[0];
    let (value, flags) = match ctx.width() {
        Width::Pv32 => (args[1] | args[2] << 32, args[3]),
        Width::Pv64 => (args[1], args[2]),
    };
    let (sys, domain) = (ctx.sys, ctx.domain);
    let mut types = sys.page_types(domain);
    types.finish()?;
    let table = find_l1(sys, domain, ctx.state.root, va).ok_or(Errno::EINVAL)?;
    types.write_entry(table, Type::L1, (va >> 12 & 511) as u16, value, false)?;
    flush(ctx, va, flags)?;
    Ok(0)
}

/// `update_va_mapping_otherdomain(va, new_val, flags, domid)`: the same, with an entry that names
/// a frame of `domid`'s.
///
/// `EPERM`: without privilege; `ESRCH`: no such domain; else as above.
pub fn update_va_mapping_otherdomain<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    args: &mut Args,
) -> HypercallResult {
    let va = args[0];
    let (value, flags, domid) = match ctx.width() {
        Width::Pv32 => (args[1] | args[2] << 32, args[3], args[4]),
        Width::Pv64 => (args[1], args[2], args[3]),
    };
    let owners = Owners { tables: ctx.domain, frames: foreign::named(ctx, domid as u16)? };
    if owners.are(ctx) || value & pte::P == 0 {
        return update_va_mapping(ctx, args);
    }
    let (sys, root) = (ctx.sys, ctx.state.root);
    let table = {
        let _types = sys.page_types(ctx.domain);
        let table = find_l1(sys, ctx.domain, root, va).ok_or(Errno::EINVAL)?;
        sys.memory.get_page(table, ctx.domain.id)?;
        table
    };
    let written = foreign::write_foreign(sys, owners, table, va >> 12 & 511, value, false);
    sys.put_page(table);
    written?;
    flush(ctx, va, flags)?;
    Ok(0)
}

/// The validated level-1 table below `root` that maps `va`.
#[inline(always)]
pub(crate) fn find_l1<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    root: Mfn,
    va: u64,
) -> Option<Mfn> {
    let levels: &[u32] = match domain.width() {
        Width::Pv32 if va >> 32 != 0 => return None,
        Width::Pv32 => &[30, 21],
        Width::Pv64 => &[39, 30, 21],
    };
    let mut table = root;
    for shift in levels {
        let entry = sys.platform.words(table).get((va >> shift & 511) as usize)?;
        let entry = entry.load(Ordering::Relaxed);
        if entry & pte::P == 0 {
            return None;
        }
        table = pte::mfn(entry);
    }
    // The last slots of a pv32 guest lead to tables of the hypervisor's.
    sys.memory.frame(table)?.is_l1_of(domain.id).then_some(table)
}

/// Drops the translations that the `UVMF_*` flags name: on this CPU, on all of the domain's, or
/// on those of a bitmap of vCPUs, whose address is in the upper bits.
#[inline(always)]
fn flush<P: Platform>(ctx: &Ctx<'_, P>, va: u64, flags: u64) -> Result<(), Errno> {
    let (kind, target) = (flags & UVMF_FLUSHTYPE_MASK, flags & !UVMF_FLUSHTYPE_MASK);
    match (kind, target) {
        (UVMF_TLB_FLUSH, UVMF_LOCAL) => ctx.sys.platform.flush_tlb(),
        (UVMF_INVLPG, UVMF_LOCAL) => ctx.sys.platform.flush_page(va),
        (UVMF_TLB_FLUSH, UVMF_ALL) => ctx.sys.flush_domain(ctx.domain),
        (UVMF_INVLPG, UVMF_ALL) => ctx.sys.flush_address(ctx.domain.loaded.cpus(), va),
        (UVMF_TLB_FLUSH, bitmap) => ctx.sys.flush_cpus(cpus_of_bitmap(ctx, bitmap)?),
        (UVMF_INVLPG, bitmap) => ctx.sys.flush_address(cpus_of_bitmap(ctx, bitmap)?, va),
        _ => {}
    }
    Ok(())
}

//! Page tables and frames of other domains: what a privileged domain does to build and serve
//! them, by way of the `foreigndom` argument of the page-table calls.
//!
//! Two domains take part besides the caller: the one whose *tables* change, and the one whose
//! *frames* a level-1 entry may name. An entry of a higher level always names a table of the same
//! domain. An entry that names another's frame holds the same references as any other: a plain
//! one, and a writable one if it permits writes. So the owner cannot make a page table of a frame
//! that somebody else can write, and a frame lives on until the last entry is gone, whatever
//! becomes of its owner.
//!
//! A writable reference may change the frame's type, which needs the paging lock of the frame's
//! owner. Two such locks are never held at once: the reference is taken first ([`hold`]), under the
//! owner's lock alone, then the entry is written under that of the tables' domain, and takes the
//! reference over. To drop references no lock of the owner's is needed; but the domain that had
//! the mapping is flushed before (T1 in [`super::tlb`]).

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, Mfn};

use super::frame::Type;
use super::mmu_update;
use super::pte;
use crate::domain::Domain;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::system::System;

/// The domains that a `foreigndom` argument means.
#[derive(Clone, Copy)]
pub(super) struct Owners<'a> {
    /// Whose tables change.
    pub(super) tables: &'a Domain,
    /// Whose frames level-1 entries may name.
    pub(super) frames: &'a Domain,
}

impl<'a> Owners<'a> {
    /// Decodes `foreigndom`: bits 0-15 say whose frames, bits 16-31 whose tables (number + 1; 0:
    /// the caller's).
    ///
    /// `EPERM`: another domain, without privilege; `ESRCH`: no such domain.
    #[inline(always)]
    pub(super) fn of<P: Platform>(ctx: &Ctx<'a, P>, foreigndom: u64) -> Result<Owners<'a>, Errno> {
        let (frames, tables) = (foreigndom as u16, (foreigndom >> 16) as u16);
        Ok(Owners {
            tables: if tables == 0 { ctx.domain } else { named(ctx, tables.wrapping_sub(1))? },
            frames: named(ctx, frames)?,
        })
    }

    /// Whether all is the caller's own.
    #[inline(always)]
    pub(super) fn are<P: Platform>(self, ctx: &Ctx<'_, P>) -> bool {
        core::ptr::eq(self.tables, ctx.domain) && core::ptr::eq(self.frames, ctx.domain)
    }
}

/// The domain with that number. `DOMID_IO` means devices, for which the caller's own rights count.
#[inline(always)]
pub(super) fn named<'a, P: Platform>(ctx: &Ctx<'a, P>, id: u16) -> Result<&'a Domain, Errno> {
    if id == DomId::IO.raw() {
        return Ok(ctx.domain);
    }
    crate::hypercall::target(ctx, id)
}

/// `MMU_NORMAL_PT_UPDATE` and its like, whoever the domains are: takes all locks by itself.
pub(super) fn update<P: Platform>(
    ctx: &Ctx<'_, P>,
    owners: Owners<'_>,
    pointer: u64,
    value: u64,
    preserve_ad: bool,
) -> Result<(), Stop> {
    let (sys, tables) = (ctx.sys, owners.tables);
    let table = Mfn::new(pointer >> 12);
    let frame = sys.memory.get_page(table, tables.id)?;
    let word = frame.load();
    let names_foreign = owners.frames.id != tables.id
        && value & pte::P != 0
        && word.type_count() > 0
        && word.kind() == Type::L1;
    let result = if names_foreign {
        write_foreign(sys, owners, table, (pointer & 0xfff) >> 3, value, preserve_ad)
    } else {
        let mut types = sys.page_types(tables);
        types
            .finish()
            .and_then(|()| mmu_update::entry(sys, &mut types, table, pointer, value, preserve_ad))
    };
    sys.put_page(table);
    result
}

/// Writes a present level-1 entry that names a frame of another domain than the table's.
///
/// `EINVAL`: the frame is not that domain's, is in use as a page table, or the table is none.
pub(super) fn write_foreign<P: Platform>(
    sys: &System<P>,
    owners: Owners<'_>,
    table: Mfn,
    index: u64,
    value: u64,
    preserve_ad: bool,
) -> Result<(), Stop> {
    if value & pte::forbidden(owners.tables.width(), Type::L1) != 0 {
        return Err(Errno::EINVAL.into());
    }
    hold(sys, owners.frames, value)?;
    let mut types = sys.page_types(owners.tables);
    let written = types.finish().and_then(|()| {
        types.exchange_page_entry(table, index as u16, value, preserve_ad, |_| true)
    });
    match written {
        Ok(old) => {
            types.drop_entry(old);
            Ok(())
        }
        Err(stop) => {
            unhold(sys, value);
            Err(stop)
        }
    }
}

/// Takes the references that a present level-1 entry needs to a frame of `owner`'s.
///
/// To be called without any paging lock. `EINVAL` if the frame is not the owner's or is in use as
/// another type; `Preempted`: ask again.
fn hold<P: Platform>(sys: &System<P>, owner: &Domain, entry: u64) -> Result<(), Stop> {
    let mfn = pte::mfn(entry);
    if entry & pte::RW == 0 {
        sys.memory.get_page(mfn, owner.id)?;
        return Ok(());
    }
    let mut types = sys.page_types(owner);
    types.finish()?;
    types.get(mfn, Type::Writable)
}

/// Drops what [`hold`] took, if no entry has had it.
fn unhold<P: Platform>(sys: &System<P>, entry: u64) {
    if entry & pte::RW != 0 {
        sys.put_writable_page(pte::mfn(entry));
    } else {
        sys.put_page(pte::mfn(entry));
    }
}

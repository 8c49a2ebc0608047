//! Beginning and ending the use of a grant.
//!
//! [`System::pin_grant`] does, under the lock of the granter's table, all that must be one step: it looks
//! at the active entry, asks the shared one, counts the pin and takes a reference to the
//! page. What else a use needs (a writable reference of a page that nobody has mapped
//! writable yet) comes after the lock is gone, and if it is refused [`System::unpin_grant`] undoes.
//!
//! A pin says to the granter that its page is in use; a page reference keeps the page. They
//! are counted apart and never stand for one another.

use pv_abi::grant_table as abi;
use pv_abi::types::{GrantRef, Mfn};

use super::Refused;
use super::active::{Active, Pins, Slot, Target};
use super::claim::{HalfWord, Wanted};
use super::table::Table;
use crate::domain::Domain;
use crate::error::Stop;
use crate::mm::frame::Type;
use crate::platform::Platform;
use crate::system::System;

/// A reference to a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Held {
    /// It keeps the page.
    Plain,
    /// It keeps the page and its type, *writable*.
    Writable,
}

/// Where a grant that is in use lies.
///
/// The active entry stays where it is while there are pins. The shared one moves if a
/// reserved entry is in use while the guest chooses another version.
#[derive(Clone, Copy)]
pub struct At<'a> {
    slot: Slot<'a>,
    status: HalfWord<'a>,
    version: u32,
}

/// A grant in use.
#[derive(Clone, Copy)]
pub struct Pinned<'a> {
    /// Where it lies.
    pub at: At<'a>,
    /// What it gives access to.
    pub target: Target,
    /// The reference to the page; none with a transitive grant, which has no page itself.
    pub held: Held,
}

impl<P: Platform> System<P> {
    /// Takes a reference to a page of `owner`'s: a writable one if it is wanted and to be had
    /// at once.
    #[inline(always)]
    pub(super) fn hold(&self, mfn: Mfn, owner: &Domain, write: bool) -> Result<Held, Refused> {
        if write && self.memory.get_writable_page(mfn, owner.id) {
            return Ok(Held::Writable);
        }
        match self.memory.get_page(mfn, owner.id) {
            Ok(_) => Ok(Held::Plain),
            Err(_) => Err(abi::GNTST_BAD_PAGE),
        }
    }

    /// Drops a reference. The caller has flushed translations that relied on it.
    #[inline(always)]
    pub fn let_go(&self, mfn: Mfn, held: Held) {
        match held {
            Held::Plain => self.put_page(mfn),
            Held::Writable => self.put_writable_page(mfn),
        }
    }

    /// Turns a reference to a page of `owner`'s into a writable one; if that is refused the
    /// reference is gone.
    ///
    /// Takes `owner`'s paging lock if the page has another type yet: the caller holds no
    /// domain's. `GNTST_eagain` while a page table of that page is still being taken apart.
    #[inline(always)]
    pub(super) fn make_writable(
        &self,
        mfn: Mfn,
        owner: &Domain,
        held: Held,
    ) -> Result<(), Refused> {
        if held == Held::Writable {
            return Ok(());
        }
        let outcome = self.first_writable(mfn, owner);
        self.put_page(mfn);
        outcome
    }

    #[cold]
    fn first_writable(&self, mfn: Mfn, owner: &Domain) -> Result<(), Refused> {
        let mut types = self.page_types(owner);
        let got = types.finish().and_then(|()| types.get(mfn, Type::Writable));
        got.map_err(|stop| match stop {
            Stop::Preempted => abi::GNTST_EAGAIN,
            _ => abi::GNTST_GENERAL_ERROR,
        })
    }

    /// One more writable reference to a page that we hold one of.
    pub(super) fn hold_again(&self, mfn: Mfn, owner: &Domain, write: bool) -> Result<(), Refused> {
        let got = if write {
            self.memory.get_writable_page(mfn, owner.id)
        } else {
            self.memory.get_page(mfn, owner.id).is_ok()
        };
        if got { Ok(()) } else { Err(abi::GNTST_GENERAL_ERROR) }
    }

    /// Begins a use of grant `gref` of `owner`'s.
    ///
    /// `GNTST_bad_gntref`: there is no such reference; `GNTST_bad_page`: it names no page of
    /// the granter's; `GNTST_general_error`: it does not grant what is wanted, or is used too
    /// often already, or `owner` is being destroyed.
    #[inline(always)]
    pub fn pin_grant(
        &self,
        owner: &Domain,
        gref: GrantRef,
        want: &Wanted,
    ) -> Result<Pinned<'_>, Refused> {
        let table = &mut *self.grant_table(owner);
        let access = &self.platform;
        let slot = table.slot(access, gref).ok_or(abi::GNTST_BAD_GNTREF)?;
        let entry = table.entry(access, gref).ok_or(abi::GNTST_BAD_GNTREF)?;
        if table.closed || owner.end.is_dying() {
            return Err(abi::GNTST_GENERAL_ERROR);
        }
        let pins = slot.pins();
        let active = if pins.is_none() {
            let target = entry.permit(false, want)?;
            Active { pins, grantee: want.grantee, target }
        } else {
            let active = slot.load();
            check_pinned(&active, want)?;
            if want.write && !pins.has_writers() {
                let target = entry.permit(true, want)?;
                // What was granted for reading must be what is granted for writing.
                if target != active.target {
                    entry.reduce(pins, want.write);
                    return Err(abi::GNTST_GENERAL_ERROR);
                }
            }
            active
        };
        let undo = |refused: Refused| {
            entry.reduce(pins, want.write);
            refused
        };
        let more = pins.plus(want.pins).ok_or_else(|| undo(abi::GNTST_GENERAL_ERROR))?;
        let held = match active.target {
            Target::Page(mfn) | Target::Part { mfn, .. } => {
                self.hold(mfn, owner, want.write).map_err(undo)?
            }
            Target::Transitive { .. } => Held::Plain,
        };
        if pins.is_none() {
            slot.store(Active { pins: more, ..active });
            if !matches!(active.target, Target::Page(_)) {
                table.v2_pins = table.v2_pins.saturating_add(1);
            }
        } else {
            slot.set_pins(more);
        }
        let at = At { slot, status: entry.status(), version: table.version };
        Ok(Pinned { at, target: active.target, held })
    }

    /// Ends a use of grant `gref` of `owner`'s, which took `pins`. `write`: for writing.
    ///
    /// Nothing, once the table of a domain that is being destroyed is gone.
    #[inline(always)]
    pub fn unpin_grant(&self, owner: &Domain, gref: GrantRef, pins: Pins, write: bool) {
        let table = &mut *owner.grants.table.lock();
        let Some(slot) = table.slot(&self.platform, gref) else { return };
        let status = table.entry(&self.platform, gref).map(|entry| entry.status());
        end_use(table, slot, status, pins, write);
    }

    /// The same for a use that has just begun, by where the grant was found.
    #[inline(always)]
    pub(super) fn unpin_at(
        &self,
        owner: &Domain,
        gref: GrantRef,
        at: &At<'_>,
        pins: Pins,
        write: bool,
    ) {
        let table = &mut *owner.grants.table.lock();
        let status = if table.version == at.version {
            Some(at.status)
        } else {
            table.entry(&self.platform, gref).map(|entry| entry.status())
        };
        end_use(table, at.slot, status, pins, write);
    }
}

#[inline(always)]
fn end_use(
    table: &mut Table,
    slot: Slot<'_>,
    status: Option<HalfWord<'_>>,
    pins: Pins,
    write: bool,
) {
    let Some(rest) = slot.pins().minus(pins) else {
        debug_assert!(false, "a grant was unpinned twice");
        return;
    };
    slot.set_pins(rest);
    if rest.is_none() && !slot.is_page() {
        table.v2_pins = table.v2_pins.saturating_sub(1);
    }
    if let Some(status) = status {
        status.reduce(rest, write);
    }
}

/// Whether a grant that is in use can be used as wanted, too.
#[inline(always)]
fn check_pinned(active: &Active, want: &Wanted) -> Result<(), Refused> {
    let fits = match active.target {
        Target::Page(_) => true,
        Target::Part { .. } => !want.map,
        Target::Transitive { .. } => !want.map && want.transitive,
    };
    if !fits || active.grantee != want.grantee || active.pins.plus(want.pins).is_none() {
        return Err(abi::GNTST_GENERAL_ERROR);
    }
    Ok(())
}

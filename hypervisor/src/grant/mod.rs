//! Grant tables: how a domain lets another use its pages.
//!
//! A domain writes into its *grant table*, memory that it shares with the hypervisor, that
//! domain d may read (or write) frame f. d names the entry (a *reference*) and asks the
//! hypervisor to map the frame into its own address space, or to copy to or from it. So
//! two domains that do not trust each other share pages, without one ever naming the
//! other's frames.
//!
//! | file | is |
//! |---|---|
//! | [`table`] | a domain's table: its frames, and the lock under which it changes |
//! | [`shared`] | an entry as the granter writes it, read once |
//! | [`claim`] | telling the granter that an entry is in use, while it may be changing it |
//! | [`active`] | what is remembered of a grant while it is in use: its pins |
//! | [`maptrack`] | what a domain has mapped of others', by handle |
//! | [`pin`] | beginning and ending a use |
//! | [`map`], [`unmap`], [`copy`], [`transfer`], [`cache`] | the uses |
//! | [`setup`], [`version`], [`swap`] | what a domain does with its own table |
//! | [`ops`] | the hypercall |
//! | [`release`] | the end of a domain |
//! | [`report`] | all of it in words |
//! | [`frames`] | lists of frames, which all of these tables are |
//!
//! # Three counts, each with one owner
//!
//! - A **pin** (of the granter's active entry) belongs to a mapping record of the grantee's,
//!   one for each of "a CPU maps it" and "a device maps it"; or to a copy that is being made.
//! - A **page reference** belongs to the page-table entry that maps the page, or to the record
//!   of a device mapping, or to a copy. Whatever removes an entry drops its reference: unmapping,
//!   but also any other change of the page table. Then the pin stays until the record goes.
//! - A **record** belongs to its handle.
//!
//! So no count is inferred from another, and each goes when its one owner goes. `mm`'s invariants
//! I3 and I4 find all page references; I9 finds that the pins of each entry are those of the
//! records, over all domains.
//!
//! # The granter's death
//!
//! A record holds the frame. Unmapping needs the granter only to take its pin off, and there is
//! nothing to take off once its table is gone. So when a domain is destroyed its table is
//! [closed](release) and freed at once, whoever has mapped from it; what is mapped stays, by the
//! references that page tables and records hold, and the last of them to go frees the frame.
//! A record says *which* domain it was ([`Grants::serial`]), so that a later one with the same
//! number does not lose pins. The number itself is not given to another domain before the last
//! frame is gone: frames know their owner by number.
//!
//! # Stale translations
//!
//! An entry is removed first, then the mapper's CPUs are flushed, once for a batch of up to
//! [`unmap::BATCH`], and only then references and pins go: the granter hears that its page is not
//! in use any more when nobody can use it any more.
//!
//! # Locks
//!
//! A table's lock and the lock of a domain's records are taken for short steps, never two
//! at once, and never while waiting for anything: below `Domain::paging`.

pub mod active;
pub mod cache;
pub mod claim;
pub mod copy;
pub mod frames;
pub mod map;
pub mod maptrack;
pub mod ops;
pub mod pin;
pub mod release;
pub mod report;
pub mod setup;
pub mod shared;
pub mod swap;
pub mod table;
pub mod transfer;
pub mod unmap;
pub mod version;

use core::sync::atomic::{AtomicU32, Ordering};

use pv_abi::types::{DomId, Mfn};

use crate::domain::Domain;
use crate::guest::Ctx;
use crate::lock::{Lock, Rank};
use crate::mm::frame::Type;
use crate::platform::{FrameAccess, Platform};
use maptrack::Maptrack;
use table::Table;

/// A status `GNTST_*` other than `GNTST_okay`.
pub type Refused = i16;

/// What a domain grants, and what it has mapped.
pub struct Grants {
    /// Tells the domain from earlier and later ones with its number.
    pub serial: u32,
    /// What it grants.
    pub(crate) table: Lock<Table>,
    /// What it has mapped.
    pub maptrack: Lock<Maptrack>,
}

/// The next domain's serial number.
static NEXT_SERIAL: AtomicU32 = AtomicU32::new(1);

impl Grants {
    /// An empty table. What it may grow to is among [`Domain::limits`].
    pub fn new() -> Grants {
        Grants {
            serial: NEXT_SERIAL.fetch_add(1, Ordering::Relaxed),
            table: Lock::new(Rank::Sharing, Table::new()),
            maptrack: Lock::new(Rank::Sharing, Maptrack::new()),
        }
    }
}

impl Grants {
    /// Tells `note` each page reference that is held here, and the type that it relies on: frames
    /// lent to the guest, and pages that devices have mapped.
    pub(crate) fn find_holders<E>(
        &self,
        access: &impl FrameAccess,
        mut note: impl FnMut(Mfn, Option<Type>) -> Result<(), E>,
    ) -> Result<(), E> {
        {
            let table = self.table.lock();
            for mfn in table.shared.iter(access).chain(table.status.iter(access)) {
                note(mfn, Some(Type::Writable))?;
            }
        }
        for (_, mapping) in self.maptrack.lock().iter(access).filter(|(_, m)| m.device()) {
            note(mapping.mfn, mapping.writable().then_some(Type::Writable))?;
        }
        Ok(())
    }
}

impl Default for Grants {
    fn default() -> Self {
        Grants::new()
    }
}

/// The domain with number `id`.
#[inline(always)]
fn domain<'a, P: Platform>(ctx: &Ctx<'a, P>, id: DomId) -> Option<&'a Domain> {
    if id == ctx.domain.id { Some(ctx.domain) } else { ctx.sys.domain(id) }
}

/// The same; `DOMID_SELF` is the caller.
#[inline(always)]
fn domain_or_self<'a, P: Platform>(ctx: &Ctx<'a, P>, id: DomId) -> Option<&'a Domain> {
    if id == DomId::SELF { Some(ctx.domain) } else { domain(ctx, id) }
}

/// Whether the caller may look at `domain`'s table.
fn may_see<P: Platform>(ctx: &Ctx<'_, P>, domain: &Domain) -> bool {
    domain.id == ctx.domain.id || ctx.domain.privileged
}

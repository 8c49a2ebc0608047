//! Grants in words: for the log, and for whoever checks them.

use pv_abi::errno::Errno;
use pv_abi::grant_table as abi;
use pv_abi::types::GrantRef;

use super::active::{Active, Pins};
use super::map;
use super::setup::visible;
use crate::domain::Domain;
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::mm::invariants::Violation;
use crate::platform::Platform;
use crate::system::System;

/// Lines of one listing.
const LINES: usize = 64;

/// `GNTTABOP_dump_table`: the entries in use of a table, on the hypervisor's console.
///
/// For domain 0 alone: others get `EPERM`. (Xen 4.17 has the number in its header but no
/// such operation any more.)
pub(super) fn dump_table<P: Platform>(ctx: &mut Ctx<'_, P>, at: u64) -> HypercallResult {
    if !ctx.domain.privileged {
        return Err(Errno::EPERM.into());
    }
    let mut op: abi::GnttabDumpTable = ctx.read(at)?;
    op.status = match visible(ctx, op.dom) {
        Ok(domain) => {
            log_table(ctx.sys, domain);
            abi::GNTST_OKAY
        }
        Err(refused) => refused,
    };
    ctx.write(at, &op)?;
    Ok(0)
}

/// Lists the entries in use of `domain`'s table, up to a screenful.
pub fn log_table<P: Platform>(sys: &System<P>, domain: &Domain) {
    let (version, frames) = {
        let table = sys.grant_table(domain);
        (table.version, table.shared.count())
    };
    let limit = domain.limits.grant_frames;
    let records = domain.grants.maptrack.lock().frames();
    log::info!(
        "{}: grant table version {version}, {frames} of {limit} frames, {records} frames of mappings",
        domain.id
    );
    for (gref, active) in in_use(sys, domain).take(LINES) {
        let [host_write, host_read, device_write, device_read] = active.pins.counts();
        log::info!(
            "{}: {gref} to {}: {:?}, mapped {host_write}w {host_read}r, by devices {device_write}w {device_read}r",
            domain.id,
            active.grantee,
            active.target,
        );
    }
}

/// The entries of `domain`'s table that are in use.
pub fn in_use<'a, P: Platform>(
    sys: &'a System<P>,
    domain: &'a Domain,
) -> impl Iterator<Item = (GrantRef, Active)> + 'a {
    let entries = domain.grants.table.lock().entries();
    (0..entries).map(GrantRef::new).filter_map(|gref| {
        let table = domain.grants.table.lock();
        let active = table.slot(&sys.platform, gref)?.load();
        (!active.pins.is_none()).then_some((gref, active))
    })
}

impl<P: Platform> System<P> {
    /// I9: the pins of every entry are those of the records, and each is told to the granter.
    ///
    /// No copy is being made. `told`: whether guests leave their entries' flags alone.
    pub fn check_grants(&self, told: bool) -> Result<(), Violation> {
        let bad = |what| Violation { invariant: "I9", mfn: pv_abi::types::Mfn::new(0), what };
        for domain in self.domains.iter() {
            let mut pinned = 0_u32;
            for (gref, active) in in_use(self, domain) {
                let (pins, _) = self.recorded(domain, Some(gref));
                if pins != active.pins.counts().map(u32::from) {
                    return Err(bad("an entry has other pins than there are records"));
                }
                pinned = pinned.saturating_add(pins.iter().sum());
                let table = domain.grants.table.lock();
                let in_use = table.entry(&self.platform, gref).map_or(0, |entry| entry.in_use());
                let reads = in_use & abi::GTF_READING != 0;
                let writes = in_use & abi::GTF_WRITING != 0;
                if told && (!reads || writes != active.pins.has_writers()) {
                    return Err(bad("an entry's flags do not say how it is in use"));
                }
            }
            let (all, closed) = self.recorded(domain, None);
            if !closed && all.iter().sum::<u32>() != pinned {
                return Err(bad("there are records of an entry without pins"));
            }
        }
        Ok(())
    }

    /// The pins that all domains' records of `granter`'s grants stand for, and whether its table
    /// is closed.
    fn recorded(&self, granter: &Domain, of: Option<GrantRef>) -> ([u32; 4], bool) {
        let mut sum = [0_u32; 4];
        for mapper in self.domains.iter() {
            let records = mapper.grants.maptrack.lock();
            let ours = records.iter(&self.platform).filter(|(_, mapping)| {
                mapping.granter == granter.id
                    && mapping.serial == granter.grants.serial
                    && of.is_none_or(|gref| gref == mapping.gref)
            });
            for (_, mapping) in ours {
                let pins: Pins = map::pins(mapping.flags);
                for (total, one) in sum.iter_mut().zip(pins.counts()) {
                    *total = total.saturating_add(u32::from(one));
                }
            }
        }
        (sum, granter.grants.table.lock().closed)
    }
}

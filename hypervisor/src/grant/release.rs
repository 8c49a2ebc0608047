//! The end of a domain: what it granted, and what it has mapped.
//!
//! In this order, in bounded pieces:
//!
//! 1. The table is closed: nothing of the domain's is granted any more.
//! 2. Its mapping records go: pins come off the granters' entries, and the references of device
//!    mappings are dropped. Those of page-table entries go with the page tables.
//! 3. The frames of its table go. Others that still map from it need none of them
//!    (see [`super`]).

use super::map;
use super::maptrack::Mapping;
use super::pin::Held;
use crate::domain::Domain;
use crate::error::Stop;
use crate::platform::Platform;
use crate::system::System;

/// Records, or frames, done before other work gets a chance.
const STEP: u32 = 256;

/// Gives up what `domain`, which is being destroyed, has granted and mapped. `Preempted`: call
/// again.
///
/// None of its vCPUs runs any more, and no CPU has translations of its.
pub fn release_all<P: Platform>(sys: &System<P>, domain: &Domain) -> Result<(), Stop> {
    domain.grants.table.lock().closed = true;
    for _ in 0..STEP {
        let taken = domain.grants.maptrack.lock().take_last(&sys.memory, &sys.platform);
        match taken {
            Some(mapping) => mapping.iter().for_each(|mapping| forget(sys, mapping)),
            None => return release_frames(sys, domain),
        }
    }
    Err(Stop::Preempted)
}

/// Ends a mapping whose mapper is no more.
fn forget<P: Platform>(sys: &System<P>, mapping: &Mapping) {
    let write = mapping.writable();
    if mapping.device() {
        sys.let_go(mapping.mfn, if write { Held::Writable } else { Held::Plain });
    }
    if let Some(granter) = sys.domain(mapping.granter)
        && granter.grants.serial == mapping.serial
    {
        sys.unpin_grant(granter, mapping.gref, map::pins(mapping.flags), write);
    }
}

fn release_frames<P: Platform>(sys: &System<P>, domain: &Domain) -> Result<(), Stop> {
    let (memory, access) = (&sys.memory, &sys.platform);
    for _ in 0..STEP {
        let mut table = domain.grants.table.lock();
        if let Some(mfn) = table.active.pop(memory, access) {
            memory.release(mfn, 0);
            continue;
        }
        let lent = table.shared.pop(memory, access).or_else(|| table.status.pop(memory, access));
        // What follows may flush TLBs.
        drop(table);
        let Some(mfn) = lent else { return Ok(()) };
        // If somebody has it mapped it lives on, lent, until it is not.
        sys.put_writable_page(mfn);
    }
    Err(Stop::Preempted)
}

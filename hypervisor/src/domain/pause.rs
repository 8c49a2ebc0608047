//! Keeping a domain from running, as toolstacks do: counted, one unpause for each pause.
//!
//! A new domain is paused once: its creator fills it first.

use core::sync::atomic::{AtomicU32, Ordering};

use pv_abi::errno::Errno;

use super::Domain;
use crate::error::Stop;
use crate::platform::Platform;
use crate::sched::hold;
use crate::system::System;

/// The most pauses at a time: Xen's arbitrary limit (`common/domain.c`).
const MAX_PAUSES: u32 = 255;

/// How often a domain was paused. Changed under [`System::control`] alone.
pub struct Pauses(AtomicU32);

impl Pauses {
    /// Not paused.
    pub const fn new() -> Pauses {
        Pauses(AtomicU32::new(0))
    }

    /// As a domain that is being built.
    pub const fn once() -> Pauses {
        Pauses(AtomicU32::new(1))
    }

    /// Whether it is paused.
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

impl Default for Pauses {
    fn default() -> Self {
        Pauses::new()
    }
}

impl<P: Platform> System<P> {
    /// Pauses `domain`, not the caller's: when it is done, no CPU has any state of its vCPUs.
    ///
    /// `EOVERFLOW`: it was paused too often. `Preempted`: a CPU is still at it; ask again.
    pub fn pause(&self, domain: &Domain) -> Result<(), Stop> {
        let count = domain.pauses.0.load(Ordering::Relaxed);
        if count >= MAX_PAUSES {
            return Err(Errno::EOVERFLOW.into());
        }
        hold::hold(self, domain);
        hold::stopped(self, domain)?;
        domain.pauses.0.store(count.saturating_add(1), Ordering::Relaxed);
        Ok(())
    }

    /// Ends one pause. `EINVAL`: it is not paused.
    pub fn unpause(&self, domain: &Domain) -> Result<(), Errno> {
        let count = domain.pauses.0.load(Ordering::Relaxed);
        domain.pauses.0.store(count.saturating_sub(1), Ordering::Relaxed);
        if count <= 1 && !domain.end.is_dying() {
            hold::release(self, domain);
        }
        if count == 0 { Err(Errno::EINVAL) } else { Ok(()) }
    }

    /// Does `work` while none of `domain`'s vCPUs runs, and lets them run on then. Not for the
    /// caller's own domain.
    pub fn while_held<T>(
        &self,
        domain: &Domain,
        work: impl FnOnce() -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        hold::hold(self, domain);
        hold::stopped(self, domain)?;
        let done = work();
        // Work that is to go on finds them held.
        let over = !matches!(done, Err(Stop::Preempted));
        if over && !domain.pauses.any() && !domain.end.is_dying() {
            hold::release(self, domain);
        }
        done
    }
}

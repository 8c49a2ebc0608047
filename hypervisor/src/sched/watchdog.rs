//! `SCHEDOP_watchdog`: timers that a domain has to set again and again, or it is shut down.
//!
//! They are the domain's, not a vCPU's; the CPU that serves vCPU 0's timers serves them.

use pv_abi::errno::Errno;
use pv_abi::sched::{SHUTDOWN_WATCHDOG, SchedWatchdog};
use pv_abi::types::VcpuId;

use super::{NEVER, home, shutdown};
use crate::domain::Domain;
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::lock::{Lock, Rank};
use crate::platform::Platform;
use crate::system::System;
use crate::time;

/// Watchdogs of a domain.
const WATCHDOGS: usize = 2;
const NS_PER_SECOND: u64 = 1_000_000_000;

/// When each is due; `None`: it is not in use.
pub(super) struct Watchdogs(Lock<[Option<u64>; WATCHDOGS]>);

impl Watchdogs {
    pub(super) const fn new() -> Watchdogs {
        Watchdogs(Lock::new(Rank::Leaf, [None; WATCHDOGS]))
    }

    /// When the first is due.
    fn due_ns(&self) -> u64 {
        self.0.lock().iter().flatten().copied().min().unwrap_or(NEVER)
    }

    /// `id` 0: sets up one that is free, and returns its number; else sets or (`timeout` 0)
    /// ends that one.
    fn set(&self, id: u32, timeout_s: u32, due_ns: u64) -> Result<u64, Errno> {
        let mut watchdogs = self.0.lock();
        let Some(index) = (id as usize).checked_sub(1) else {
            let free = watchdogs.iter().position(Option::is_none).ok_or(Errno::ENOSPC)?;
            if let Some(watchdog) = watchdogs.get_mut(free) {
                *watchdog = Some(due_ns);
            }
            return Ok(free as u64 + 1);
        };
        let watchdog = watchdogs.get_mut(index).ok_or(Errno::EINVAL)?;
        if watchdog.is_none() {
            return Err(Errno::EINVAL);
        }
        *watchdog = (timeout_s != 0).then_some(due_ns);
        Ok(0)
    }
}

/// `SCHEDOP_watchdog`: sets up, sets again or ends a watchdog of the caller's domain.
///
/// `EFAULT` if the argument cannot be read, `EINVAL` for one that is not set up, `ENOSPC` if
/// there are two already.
pub(super) fn watchdog<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> HypercallResult {
    let SchedWatchdog { id, timeout } = ctx.read(arg)?;
    let after_ns = u64::from(timeout) * NS_PER_SECOND;
    let due_ns = ctx.sys.platform.now_ns().saturating_add(after_ns);
    let value = ctx.domain.run.watchdogs.set(id, timeout, due_ns)?;
    if let Some(zero) = ctx.domain.vcpu(VcpuId::new(0)) {
        let here = ctx.sys.platform.this_cpu();
        match zero.run.home.cpu() {
            Some(cpu) if cpu != here => ctx.sys.platform.kick(cpu),
            _ => {
                home::adopt(ctx.sys, here, zero);
                if let Some(here) = ctx.sys.scheduler.cpu(here) {
                    time::arm(ctx.sys, here, due_ns);
                }
            }
        }
    }
    Ok(value)
}

/// Shuts `domain` down if a watchdog of its is due; returns when the next one is.
pub(crate) fn expired<P: Platform>(sys: &System<P>, domain: &Domain, now_ns: u64) -> u64 {
    let due_ns = domain.run.watchdogs.due_ns();
    if due_ns > now_ns {
        return due_ns;
    }
    if domain.shutdown_reason().is_none() {
        log::error!("{}: its watchdog was not set again in time", domain.id);
        shutdown::shutdown(sys, domain, SHUTDOWN_WATCHDOG as u8);
    }
    NEVER
}

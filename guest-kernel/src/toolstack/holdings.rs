//! What this domain holds, and in domain 0 what of the machine is left: counted, kept and compared, to
//! see whether domains and devices that came and went left anything behind.
//!
//! Memory inside of this kernel is not part of it: caches and tables grow to what was needed once.

use super::domains::refused;
use super::{store, turn};
use crate::control::sysctl;
use crate::grant;
use crate::mm::foreign;
use crate::shell::kernel::Account;
use crate::sync::Guarded;
use core::fmt;
use pv_abi::errno::Errno;
use pv_abi::event_channel::EVTCHNSTAT_CLOSED;
use pv_abi::types::Port;
use ring1::{calls, shared};
use xl::toolstack::Error;

/// What is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holdings {
    /// Domain 0's alone.
    machine: Option<Machine>,
    /// Event channels.
    ports: u32,
    /// Frames of others that are mapped by privilege.
    mapped: u32,
    /// Pages that are mapped because they are shared by grants.
    shared: u32,
    /// Grants that were given.
    grants: usize,
}

/// What is there for all domains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Machine {
    /// Frames that are nobody's.
    free_pages: u64,
    /// Nodes in XenStore.
    nodes: u64,
}

impl Holdings {
    /// As of now.
    pub fn now() -> Result<Holdings, Error> {
        let machine = match sysctl::physinfo() {
            Ok(info) => Some(Machine { free_pages: info.free_pages, nodes: store::nodes()? }),
            Err(Errno::EPERM) => None,
            Err(errno) => return Err(refused("sysctl physinfo")(errno)),
        };
        let open = |port: &u32| {
            calls::evtchn_status(Port::new(*port)).is_ok_and(|status| status != EVTCHNSTAT_CLOSED)
        };
        Ok(Holdings {
            machine,
            ports: (1..shared::PORTS).filter(open).count() as u32,
            mapped: foreign::mapped(),
            shared: grant::mapped(),
            grants: grant::entries_in_use(),
        })
    }

    /// Says whether what is held is the same as before; whether it is.
    pub fn compare(before: Holdings, after: Holdings, out: &mut dyn fmt::Write) -> bool {
        let same = before == after;
        let _ = match same {
            true => writeln!(out, "nothing is left: {after}"),
            false => writeln!(out, "before: {before}\nafter:  {after}"),
        };
        same
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, ports, mapped, shared, grants } = self;
        if let Some(Machine { free_pages, nodes }) = machine {
            write!(f, "{free_pages} free pages, {nodes} nodes in XenStore, ")?;
        }
        write!(
            f,
            "{ports} ports, {mapped} pages of others mapped, {shared} shared by grants, \
             {grants} grants given"
        )
    }
}

static KEPT: Guarded<Option<Holdings>> = Guarded::new(None);

/// What is asked for at the shell; false: something is left, or nothing was kept before.
pub fn account(account: Account, out: &mut dyn fmt::Write) -> Result<bool, Error> {
    let now = {
        // What is half made or half ended is not counted.
        let _turn = turn::take();
        Holdings::now()?
    };
    match account {
        Account::Tell => _ = writeln!(out, "{now}"),
        Account::Keep => KEPT.with(|kept| *kept = Some(now)),
        Account::Compare => match KEPT.with(|kept| *kept) {
            Some(before) => return Ok(Holdings::compare(before, now, out)),
            None => return Err(Error::Other("nothing was kept to compare with".into())),
        },
    }
    Ok(true)
}

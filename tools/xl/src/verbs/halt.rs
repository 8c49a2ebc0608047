//! The machine's end: before domain 0 goes, the other domains shut down.
//!
//! What a guest holds back from its disks would be lost with the machine. So each is asked to shut
//! down, and given time to; those that serve the devices of others are asked when the others are
//! through with them. A guest that does not do it keeps nobody from leaving: it is named, and ends
//! as if somebody had pulled the plug.

use alloc::string::String;
use alloc::vec::Vec;

use super::shutdown::wait_once;
use super::{Failure, Outcome, Session, end};
use crate::toolstack::{DomId, DomainInfo, ShutdownRequest};

/// How long domains that are asked at the same time have.
const PATIENCE_NS: u64 = 30_000_000_000;

/// Has all domains but domain 0 shut down. Returns when that is done, when their time is over, or
/// when Ctrl-C says that nobody is to be waited for.
pub fn halt(session: &mut Session<'_>) {
    let outcome = [false, true].into_iter().try_for_each(|drivers| {
        let running = running(session, drivers)?;
        shut_down(session, running)
    });
    end(session.terminal, outcome);
}

/// The domains that have not shut down: those that serve devices, or the others.
fn running(session: &mut Session<'_>, drivers: bool) -> Result<Vec<DomainInfo>, Failure> {
    let mut running = session.domains()?;
    running.retain(|info| info.id != DomId::new(0) && info.shutdown.is_none() && !info.dying);
    running.retain(|info| {
        let config = session.toolstack.config(info.id).ok().flatten();
        config.is_some_and(|config| config.driver_domain) == drivers
    });
    Ok(running)
}

/// Asks domains to shut down, and waits for them.
fn shut_down(session: &mut Session<'_>, running: Vec<DomainInfo>) -> Outcome {
    let mut waiting = Vec::new();
    for info in running {
        if info.paused {
            session.err(format_args!("{} is paused: it ends as it is\n", info.name));
            continue;
        }
        match session.toolstack.request_shutdown(info.id, ShutdownRequest::Poweroff) {
            Ok(()) => waiting.push(info),
            Err(error) => session.err(format_args!("{} ends as it is: {error}\n", info.name)),
        }
    }
    if waiting.is_empty() {
        return Ok(());
    }
    session.err(format_args!("Shutting down {}; Ctrl-C waits no longer\n", names(&waiting)));
    let deadline_ns = now_ns(session)? + PATIENCE_NS;
    loop {
        waiting.retain(|info| match session.toolstack.domain(info.id) {
            Ok(info) => info.shutdown.is_none(),
            Err(_) => false,
        });
        if waiting.is_empty() {
            return Ok(());
        }
        if now_ns(session)? >= deadline_ns {
            break;
        }
        wait_once(session)?;
    }
    let (names, seconds) = (names(&waiting), PATIENCE_NS / 1_000_000_000);
    session.err(format_args!("Still running after {seconds} s: {names}\n"));
    Ok(())
}

/// Since when the machine runs.
fn now_ns(session: &mut Session<'_>) -> Result<u64, Failure> {
    let host = session.toolstack.host();
    Ok(host.map_err(|error| Failure::because("no time to wait by", &error))?.up_ns)
}

fn names(domains: &[DomainInfo]) -> String {
    let names: Vec<_> = domains.iter().map(|info| info.name.as_str()).collect();
    names.join(", ")
}

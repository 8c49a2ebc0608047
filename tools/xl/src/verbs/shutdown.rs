//! `shutdown`, `reboot`: asking guests, and waiting until they have done it.

use alloc::vec;
use alloc::vec::Vec;

use super::arguments::Arguments;
use super::{Failure, INTERRUPTED, Outcome, Session};
use crate::terminal::Input;
use crate::toolstack::{DomId, Error, ShutdownRequest, Trigger, Wake};

/// How often a waiting verb looks again if nothing wakes it.
const LOOK_NS: u64 = 1_000_000_000;
/// Ctrl-C.
const INTERRUPT: u8 = 3;

/// How long to wait for a domain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until it has shut down or is gone.
    Shutdown,
    /// Until it is gone.
    Gone,
}

pub fn shutdown(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    ask(session, arguments, ShutdownRequest::Poweroff)
}

pub fn reboot(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    ask(session, arguments, ShutdownRequest::Reboot)
}

fn ask(session: &mut Session<'_>, arguments: &Arguments<'_>, request: ShutdownRequest) -> Outcome {
    let domains: Vec<DomId> = match (arguments.operands.first(), arguments.has('a')) {
        (_, true) => {
            let all = session.domains()?.into_iter().map(|domain| domain.id);
            all.filter(|domain| *domain != DomId::new(0)).collect()
        }
        (Some(name), false) => vec![session.domain(name)?],
        (None, false) => return Err(Failure::new("You must specify -a or a domain id.\n")),
    };
    for domain in &domains {
        ask_one(session, *domain, request, arguments.has('F'))?;
    }
    match arguments.count('w') {
        0 => Ok(()),
        1 => wait(session, &domains, Until::Shutdown),
        _ => wait(session, &domains, Until::Gone),
    }
}

fn ask_one(
    session: &mut Session<'_>,
    domain: DomId,
    request: ShutdownRequest,
    fall_back: bool,
) -> Outcome {
    let id = domain.raw();
    let (doing, verb, button, trigger) = match request {
        ShutdownRequest::Poweroff => ("Shutting down", "shutdown", "power", Trigger::Power),
        ShutdownRequest::Reboot => ("Rebooting", "reboot", "reset", Trigger::Reset),
    };
    session.err(format_args!("{doing} domain {id}\n"));
    let mut asked = session.toolstack.request_shutdown(domain, request);
    if asked == Err(Error::NoParavirtualControl) {
        if fall_back {
            session.err(format_args!(
                "PV control interface not available: sending ACPI {button} button event.\n"
            ));
            asked = session.toolstack.trigger(domain, trigger, 0);
        } else {
            session.err(format_args!(
                "PV control interface not available: external graceful {verb} not possible.\n\
                 Use \"-F\" to fallback to ACPI {button} event.\n"
            ));
        }
    }
    asked.map_err(|error| Failure::because(format_args!("{verb} failed"), &error))
}

/// Waits for domains, and says what became of each.
pub fn wait(session: &mut Session<'_>, domains: &[DomId], until: Until) -> Outcome {
    session.err(format_args!("Waiting for {} domains\n", domains.len()));
    let mut waiting = domains.to_vec();
    loop {
        let mut left = Vec::new();
        for domain in waiting {
            let id = domain.raw();
            match session.toolstack.domain(domain) {
                Err(Error::NoSuchDomain) => {
                    session.err(format_args!("Domain {id} has been destroyed\n"));
                }
                Err(error) => return Err(Failure::because("cannot wait", &error)),
                Ok(info) => match info.shutdown {
                    Some(reason) if until == Until::Shutdown => session.err(format_args!(
                        "Domain {id} has been shut down, reason code {reason}\n"
                    )),
                    _ => left.push(domain),
                },
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        waiting = left;
        wait_once(session)?;
    }
}

/// Waits until something happens to a domain, or it is time to look. Fails if Ctrl-C was typed, or
/// nobody is there any more.
pub fn wait_once(session: &mut Session<'_>) -> Outcome {
    session.toolstack.wait(Wake::KeyOrDomain, LOOK_NS, session.terminal);
    let mut keys = [0; 16];
    match session.terminal.read(&mut keys) {
        Input::Gone => Err(Failure::silent(INTERRUPTED)),
        Input::Bytes(count) if keys.iter().take(count).any(|key| *key == INTERRUPT) => {
            Err(Failure::silent(INTERRUPTED))
        }
        Input::Bytes(_) | Input::Nothing | Input::End => Ok(()),
    }
}

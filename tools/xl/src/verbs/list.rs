//! `list`, `vm-list`: which domains there are.

use alloc::vec::Vec;

use super::arguments::{Arguments, Flag};
use super::numbers::Seconds;
use super::{Failure, Outcome, Session, describe};
use crate::json::Json;
use crate::toolstack::{DomId, DomainInfo};

pub const FLAGS: &[Flag] = &[
    Flag::plain('l', "long", "Output all VM details"),
    Flag::plain('v', "verbose", "Prints out UUIDs and security context"),
    Flag::plain('Z', "context", "Prints out security context"),
    Flag::plain('c', "cpupool", "Prints the cpupool the domain is in"),
];

/// Letters of shutdown reasons, `SHUTDOWN_poweroff` first.
const REASONS: [char; 6] = ['-', 'r', 's', 'c', 'w', 'S'];

pub fn list(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let domains = chosen(session, arguments)?;
    if arguments.has('l') {
        return long(session, &domains);
    }
    let (verbose, context, pool) = (arguments.has('v'), arguments.has('Z'), arguments.has('c'));
    session.out(format_args!(
        "Name                                        ID   Mem VCPUs\tState\tTime(s)"
    ));
    if verbose {
        session.out(format_args!("   UUID                            Reason-Code\tSecurity Label"));
    } else if context {
        session.out(format_args!("   Security Label"));
    }
    if pool {
        session.out(format_args!("         Cpupool"));
    }
    session.out(format_args!("\n"));
    for domain in &domains {
        let memory = (domain.memory_kib + domain.outstanding_kib) / 1024;
        session.out(format_args!(
            "{:<40} {:>5} {memory:>5} {:>5}     {}  {:>8}",
            name(domain),
            domain.id.raw(),
            domain.vcpus,
            state(domain),
            Seconds(domain.cpu_ns),
        ));
        if verbose {
            session.out(format_args!(" {}", domain.uuid));
            match domain.shutdown {
                Some(reason) => session.out(format_args!(" {reason:>8x}")),
                None => session.out(format_args!(" {:>8}", "-")),
            }
        }
        if verbose || context {
            session.out(format_args!(" {:>16}", "-"));
        }
        if pool {
            session.out(format_args!("{:>16}", "Pool-0"));
        }
        session.out(format_args!("\n"));
    }
    Ok(())
}

/// The domains that were named, or all.
pub fn chosen(
    session: &mut Session<'_>,
    arguments: &Arguments<'_>,
) -> Result<Vec<DomainInfo>, Failure> {
    if arguments.operands.is_empty() {
        return session.domains();
    }
    let mut chosen = Vec::new();
    for name in &arguments.operands {
        let id = session.domain(name)?;
        let gone = |_| Failure::new(format_args!("Error: Domain '{name}' does not exist."));
        chosen.push(session.toolstack.domain(id).map_err(gone)?);
    }
    Ok(chosen)
}

/// A domain's name as columns show it.
pub fn name(domain: &DomainInfo) -> &str {
    if domain.name.is_empty() { "(null)" } else { &domain.name }
}

/// Six letters or hyphens.
pub fn state(domain: &DomainInfo) -> impl core::fmt::Display + use<> {
    let letter = |set: bool, letter: char| if set { letter } else { '-' };
    let reason = domain
        .shutdown
        .map_or('-', |reason| REASONS.get(usize::from(reason)).copied().unwrap_or('?'));
    let letters = [
        letter(domain.running, 'r'),
        letter(domain.blocked, 'b'),
        letter(domain.paused, 'p'),
        letter(domain.shutdown.is_some(), 's'),
        reason,
        letter(domain.dying, 'd'),
    ];
    letters.iter().collect::<alloc::string::String>()
}

/// `-l`: everything, as JSON.
fn long(session: &mut Session<'_>, domains: &[DomainInfo]) -> Outcome {
    let mut configs = Vec::new();
    for domain in domains {
        match session.toolstack.config(domain.id) {
            Ok(config) => configs.push(config),
            Err(error) => return Err(Failure::because("cannot read the configuration", &error)),
        }
    }
    let mut json = Json::new();
    json.array(|json| {
        for (domain, config) in domains.iter().zip(&configs) {
            json.object(|json| {
                json.name("domid").number(domain.id.raw());
                json.name("config");
                describe::domain(json, config.as_ref(), Some(domain));
            });
        }
    });
    session.out(format_args!("{}", json.finish()));
    Ok(())
}

pub fn vm_list(session: &mut Session<'_>, _: &Arguments<'_>) -> Outcome {
    let domains = session.domains()?;
    session.out(format_args!("UUID                                  ID    name\n"));
    for domain in domains.iter().filter(|domain| domain.id != DomId::new(0)) {
        session.out(format_args!("{}  {}    {:<30}\n", domain.uuid, domain.id.raw(), name(domain)));
    }
    Ok(())
}

//! `sched-credit`, `sched-credit2`: shares of the CPUs. There is one scheduler, which has what
//! both have, a weight and a cap; so both verbs are one.

use super::arguments::{Arguments, Flag};
use super::numbers::decimal;
use super::{Failure, Outcome, Session, list};
use crate::toolstack::{DomainInfo, Error};

pub const FLAGS: &[Flag] = &[
    Flag::with('d', "domain", "DOMAIN", "Domain to modify"),
    Flag::with('w', "weight", "WEIGHT", "Weight (int)"),
    Flag::with('c', "cap", "CAP", "Cap (int)"),
    Flag::plain('s', "schedparam", "Query scheduler parameters"),
];

pub fn credit(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let (weight, cap) = (arguments.value('w'), arguments.value('c'));
    let changes = weight.is_some() || cap.is_some();
    let Some(name) = arguments.value('d') else {
        if arguments.has('s') && changes {
            return Err(Failure::new(
                "Specifying a cpupool or schedparam is not allowed with domain options.",
            ));
        }
        if changes {
            return Err(Failure::new("Must specify a domain."));
        }
        pool(session)?;
        if arguments.has('s') {
            return Ok(());
        }
        let domains = session.domains()?;
        return shares(session, &domains);
    };
    if arguments.has('s') {
        return Err(Failure::new(
            "Specifying a cpupool or schedparam is not allowed with domain options.",
        ));
    }
    let id = session.domain(name)?;
    if changes {
        return set(session, id, weight, cap);
    }
    let domain = session.toolstack.domain(id);
    let domain = domain.map_err(|error| Failure::because("libxl_domain_info failed", &error))?;
    shares(session, &[domain])
}

fn pool(session: &mut Session<'_>) -> Outcome {
    match session.toolstack.scheduler() {
        Ok(all) => session.out(format_args!(
            "Cpupool Pool-0: tslice={}ms ratelimit={}us migration-delay={}us\n",
            all.tslice_ms, all.ratelimit_us, all.migration_delay_us
        )),
        Err(Error::Unsupported(_)) => {
            session.out(format_args!("Cpupool Pool-0: [sched params unavailable]\n"));
        }
        Err(error) => return Err(Failure::because("libxl_sched_credit_params_get failed", &error)),
    }
    Ok(())
}

fn shares(session: &mut Session<'_>, domains: &[DomainInfo]) -> Outcome {
    session.out(format_args!("{:<33} {:>4} {:>6} {:>4}\n", "Name", "ID", "Weight", "Cap"));
    for domain in domains {
        let share = match session.toolstack.share(domain.id) {
            // It has gone since it was listed.
            Err(Error::NoSuchDomain) => continue,
            share => share.map_err(|error| {
                Failure::because("libxl_domain_sched_params_get failed", &error)
            })?,
        };
        session.out(format_args!(
            "{:<33} {:>4} {:>6} {:>4}\n",
            list::name(domain),
            domain.id.raw(),
            share.weight,
            share.cap
        ));
    }
    Ok(())
}

fn set(
    session: &mut Session<'_>,
    domain: crate::toolstack::DomId,
    weight: Option<&str>,
    cap: Option<&str>,
) -> Outcome {
    let failed = |error: Error| Failure::because("libxl_domain_sched_params_set failed", &error);
    let mut share = session.toolstack.share(domain).map_err(failed)?;
    if let Some(text) = weight {
        let weight = decimal(text).filter(|weight| *weight > 0);
        share.weight = weight
            .ok_or_else(|| Failure::new(format_args!("{text} is no weight: 1 to 65535 are")))?;
    }
    if let Some(text) = cap {
        let cap = decimal(text).filter(|cap| *cap < u16::MAX);
        share.cap =
            cap.ok_or_else(|| Failure::new(format_args!("{text} is no cap: 0 to 65534 are")))?;
    }
    session.toolstack.set_share(domain, share).map_err(failed)
}

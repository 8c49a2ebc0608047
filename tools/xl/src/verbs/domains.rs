//! Verbs that are one act on one domain.

use super::arguments::Arguments;
use super::numbers::decimal;
use super::{Failure, Outcome, Session, help, list};
use crate::toolstack::{DomId, Error, Trigger};

const TRIGGERS: [(&str, Trigger); 6] = [
    ("nmi", Trigger::Nmi),
    ("reset", Trigger::Reset),
    ("init", Trigger::Init),
    ("power", Trigger::Power),
    ("sleep", Trigger::Sleep),
    ("s3resume", Trigger::S3Resume),
];

/// What `trigger` can send.
pub const TRIGGER_NAMES: &[&str] = &["nmi", "reset", "init", "power", "sleep", "s3resume"];

pub fn pause(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let domain = session.domain(arguments.operand(0))?;
    done("pause failed", session.toolstack.pause(domain))
}

pub fn unpause(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let domain = session.domain(arguments.operand(0))?;
    done("unpause failed", session.toolstack.unpause(domain))
}

pub fn destroy(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let domain = session.domain(arguments.operand(0))?;
    if domain == DomId::new(0) && !arguments.has('f') {
        return Err(Failure::new(
            "Not destroying domain 0; use -f to force.\n\
             This can only be done when using a disaggregated hardware domain and toolstack.\n",
        ));
    }
    done("destroy failed", session.toolstack.destroy(domain))
}

pub fn rename(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let (old, new) = (arguments.operand(0), arguments.operand(1));
    let domain = session.domain(old)?;
    if new.is_empty() || new.chars().any(char::is_control) {
        return Err(Failure::new(format_args!("Can't rename domain '{old}': that is no name.")));
    }
    let renamed = session.toolstack.rename(domain, new);
    renamed.map_err(|error| Failure::because(format_args!("Can't rename domain '{old}'"), &error))
}

pub fn domid(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let name = arguments.operand(0);
    let domains = session.domains()?;
    let Some(domain) = domains.iter().find(|domain| domain.name == name) else {
        return Err(Failure::new(format_args!(
            "Can't get domid of domain name '{name}', maybe this domain does not exist."
        )));
    };
    session.out(format_args!("{}\n", domain.id.raw()));
    Ok(())
}

pub fn domname(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let Some(id) = decimal(arguments.operand(0)).map(DomId::new) else {
        return Err(Failure::new("Invalid domain id.\n"));
    };
    let domains = session.domains()?;
    let Some(domain) = domains.iter().find(|domain| domain.id == id) else {
        return Err(Failure::new(format_args!(
            "Can't get domain name of domain id '{}', maybe this domain does not exist.",
            id.raw()
        )));
    };
    session.out(format_args!("{}\n", list::name(domain)));
    Ok(())
}

pub fn trigger(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let domain = session.domain(arguments.operand(0))?;
    let name = arguments.operand(1);
    let Some((_, trigger)) = TRIGGERS.iter().find(|(known, _)| *known == name) else {
        return Err(Failure::new(format_args!("Invalid trigger \"{name}\"")));
    };
    let vcpu = match arguments.operands.get(2) {
        None => 0,
        Some(vcpu) => {
            decimal(vcpu).ok_or_else(|| Failure::new(format_args!("Invalid vcpuid \"{vcpu}\"")))?
        }
    };
    done("trigger failed", session.toolstack.trigger(domain, *trigger, vcpu))
}

pub fn sysrq(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let domain = session.domain(arguments.operand(0))?;
    let mut letters = arguments.operand(1).chars();
    let (Some(letter), None) = (letters.next(), letters.next()) else {
        session.err(format_args!("Invalid sysrq.\n\n"));
        if let Ok(verb) = super::find("sysrq") {
            help::verb(session.terminal, verb);
        }
        return Err(Failure::silent(super::FAILED));
    };
    done("sysrq failed", session.toolstack.sysrq(domain, letter))
}

fn done(what: &str, outcome: Result<(), Error>) -> Outcome {
    outcome.map_err(|error| Failure::because(what, &error))
}

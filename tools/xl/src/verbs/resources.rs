//! `mem-set`, `mem-max`: how much memory a domain has and may have.

use super::arguments::Arguments;
use super::numbers::kib;
use super::{Failure, Outcome, Session};
use crate::toolstack::{DomId, Result, Toolstack};

pub fn mem_set(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    set(session, arguments, "dynamic", |toolstack, domain, kib| {
        toolstack.set_memory_target(domain, kib)
    })
}

pub fn mem_max(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    set(session, arguments, "static", |toolstack, domain, kib| {
        toolstack.set_max_memory(domain, kib)
    })
}

fn set(
    session: &mut Session<'_>,
    arguments: &Arguments<'_>,
    kind: &str,
    act: fn(&mut dyn Toolstack, DomId, u64) -> Result<()>,
) -> Outcome {
    let domain = session.domain(arguments.operand(0))?;
    let text = arguments.operand(1);
    let Some(amount_kib) = kib(text).filter(|kib| *kib > 0) else {
        return Err(Failure::new(format_args!("invalid memory size: {text}")));
    };
    act(session.toolstack, domain, amount_kib).map_err(|error| {
        let id = domain.raw();
        Failure::because(
            format_args!("cannot set domid {id} {kind} max memory to : {text}"),
            &error,
        )
    })
}

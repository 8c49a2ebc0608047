//! `help`, `-h`: what verbs there are and what they take.

use super::arguments::{Arguments, Flag, HELP};
use super::{Failure, Outcome, Session, VERBS, Verb, find};
use alloc::format;
use alloc::string::String;

pub fn help(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    match arguments.operands.first() {
        None => all(session),
        Some(name) => {
            let found = find(name).map_err(Failure::new)?;
            verb(session, found);
        }
    }
    Ok(())
}

/// The list of verbs.
pub fn all(session: &mut Session<'_>) {
    session.out(format_args!(
        "Usage xl [-vftT] <subcommand> [args]\n\nxl full list of subcommands:\n\n"
    ));
    for verb in VERBS {
        session.out(format_args!(" {:<19} {}\n", verb.name, verb.summary));
    }
}

/// What one verb takes.
pub fn verb(session: &mut Session<'_>, verb: &Verb) {
    let Verb { name, usage, summary, flags, .. } = verb;
    let usage = if usage.is_empty() { String::new() } else { format!(" {usage}") };
    session.out(format_args!("Usage: xl [-vtTf] {name}{usage}\n\n{summary}.\n\nOptions:\n\n"));
    for flag in flags.iter().chain([&HELP]) {
        session.out(format_args!("{:<24}{}\n", spelling(flag), flag.help));
    }
    session.out(format_args!("\n"));
}

/// `-f FILE, --defconfig=FILE`.
fn spelling(flag: &Flag) -> String {
    let mut text = format!("-{}", flag.short);
    if !flag.value.is_empty() {
        text += &format!(" {}", flag.value);
    }
    if !flag.long.is_empty() {
        text += &format!(", --{}", flag.long);
        if !flag.value.is_empty() {
            text += &format!("={}", flag.value);
        }
    }
    // A long one keeps a blank before its text.
    text + " "
}

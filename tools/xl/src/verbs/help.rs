//! `help`, `-h`: what verbs there are and what they take.

use alloc::format;
use alloc::string::String;

use super::arguments::{Arguments, Flag, HELP};
use super::{Failure, Outcome, VERBS, Verb, find, print};
use crate::terminal::{Stream, Terminal};

pub fn help(terminal: &mut dyn Terminal, arguments: &Arguments<'_>) -> Outcome {
    match arguments.operands.first() {
        None => all(terminal),
        Some(name) => {
            let found = find(name).map_err(Failure::new)?;
            verb(terminal, found);
        }
    }
    Ok(())
}

/// The list of verbs.
pub fn all(terminal: &mut dyn Terminal) {
    print(
        terminal,
        Stream::Out,
        format_args!("Usage xl [-vftT] <subcommand> [args]\n\nxl full list of subcommands:\n\n"),
    );
    for verb in VERBS {
        print(terminal, Stream::Out, format_args!(" {:<19} {}\n", verb.name, verb.summary));
    }
}

/// What one verb takes.
pub fn verb(terminal: &mut dyn Terminal, verb: &Verb) {
    let Verb { name, usage, summary, flags, .. } = verb;
    let usage = if usage.is_empty() { String::new() } else { format!(" {usage}") };
    print(
        terminal,
        Stream::Out,
        format_args!("Usage: xl [-vtTf] {name}{usage}\n\n{summary}.\n\nOptions:\n\n"),
    );
    for flag in flags.iter().chain([&HELP]) {
        print(terminal, Stream::Out, format_args!("{:<24}{}\n", spelling(flag), flag.help));
    }
    print(terminal, Stream::Out, format_args!("\n"));
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

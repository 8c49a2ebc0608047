//! The verbs: one table, from which dispatch, help and completion all come.
//!
//! A verb prints what xl prints, in its columns, and ends with its exit status; the texts were
//! compared with xl of Xen 4.17. Where xl's message ends in a number that only its sources explain
//! (`destroy failed (rc=-3)`), ours ends in the reason. A domain is named by its name or number.

pub mod arguments;
mod complete;
mod console;
mod create;
mod describe;
mod devices;
mod domains;
mod halt;
mod help;
mod host;
mod info;
mod list;
mod numbers;
mod resources;
mod scheduler;
mod shutdown;
mod table;
mod top;
mod vcpus;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::nearest::nearest;
use crate::terminal::{Files, InputMode, Stream, Terminal};
use crate::toolstack::{DomId, Error, Toolstack};

use arguments::{Arguments, Flag, HELP};
pub use complete::candidates;
pub use create::{domain_to_create, is_dry_run};
pub use halt::halt;
pub use table::VERBS;

/// It was done.
pub const OK: u8 = 0;
/// It was not; standard error says why.
pub const FAILED: u8 = 1;
/// Ctrl-C, as shells count it.
pub const INTERRUPTED: u8 = 130;

/// A verb.
pub struct Verb {
    /// What is typed.
    pub name: &'static str,
    /// What it does, in half a line.
    pub summary: &'static str,
    /// What follows it, for the help.
    pub usage: &'static str,
    /// Its options, `-h` aside.
    pub flags: &'static [Flag],
    /// How many operands it needs.
    pub needs: usize,
    /// How many it takes.
    pub takes: usize,
    /// What its operands are.
    pub operands: Operands,
    run: fn(&mut Session<'_>, &Arguments<'_>) -> Outcome,
}

/// What typed words ask for.
pub enum Asked<'a> {
    /// A verb of the machine's.
    Verb(&'static Verb, Arguments<'a>),
    /// Nothing of the machine: help was wanted, or the words are wrong, and that has been told. The
    /// exit status.
    Nothing(u8),
}

/// What the operands of a verb are, for completion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operands {
    /// Nothing that could be completed.
    None,
    /// The first is a domain.
    Domain,
    /// All are domains.
    Domains,
    /// The first is a file of the person's own.
    File,
    /// The first is a verb: it is `help`, which needs no machine.
    Verb,
    /// A domain, then one of these words.
    DomainAnd(&'static [&'static str]),
}

/// A verb that did not do what was asked for.
#[derive(Debug)]
pub struct Failure {
    /// The exit status.
    status: u8,
    /// What standard error is told, line feed included; nothing if it knows already.
    message: String,
}

impl Failure {
    /// With a message and status 1.
    fn new(message: impl fmt::Display) -> Self {
        Self { status: FAILED, message: format!("{message}\n") }
    }

    /// A toolstack's error behind xl's words for it.
    fn because(what: impl fmt::Display, error: &Error) -> Self {
        Self::new(format_args!("{what}: {error}"))
    }

    /// With another status.
    fn status(self, status: u8) -> Self {
        Self { status, ..self }
    }

    /// Without a message.
    fn silent(status: u8) -> Self {
        Self { status, message: String::new() }
    }
}

/// How a verb ends.
type Outcome = Result<(), Failure>;

/// What a verb works with.
pub struct Session<'a> {
    /// The machine.
    pub toolstack: &'a mut dyn Toolstack,
    /// Who typed it.
    pub terminal: &'a mut dyn Terminal,
    /// Their files.
    pub files: &'a mut dyn Files,
}

/// Does what was typed behind `xl`; the exit status is returned.
pub fn run(session: &mut Session<'_>, words: &[&str]) -> u8 {
    let status = match understand(session.terminal, words) {
        Asked::Nothing(status) => status,
        Asked::Verb(verb, arguments) => {
            let outcome = (verb.run)(session, &arguments);
            end(session.terminal, outcome)
        }
    };
    session.terminal.set_input_mode(InputMode::Line);
    status
}

/// Finds out what typed words ask for, and answers at once what needs no machine.
pub fn understand<'a>(terminal: &mut dyn Terminal, words: &[&'a str]) -> Asked<'a> {
    match parse(terminal, words) {
        Ok(Some((verb, arguments))) => Asked::Verb(verb, arguments),
        Ok(None) => Asked::Nothing(OK),
        Err(failure) => Asked::Nothing(end(terminal, Err(failure))),
    }
}

/// Tells why it ended, if it ended badly; the exit status is returned.
fn end(terminal: &mut dyn Terminal, outcome: Outcome) -> u8 {
    match outcome {
        Ok(()) => OK,
        Err(failure) => {
            terminal.write(Stream::Err, failure.message.as_bytes());
            failure.status
        }
    }
}

/// Takes options before the verb off, as far as there are any.
pub fn skip_global_options<'a, 'b>(words: &'b [&'a str]) -> Result<&'b [&'a str], String> {
    let mut rest = words;
    while let [first, behind @ ..] = rest {
        match first.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            // Verbosity, force, progress with carriage returns, time stamps: nothing depends on them.
            Some(letters) if letters.chars().all(|letter| "vftT".contains(letter)) => rest = behind,
            Some("h" | "-help") | None => break,
            Some(_) => return Err("unknown global option".into()),
        }
    }
    Ok(rest)
}

/// The verb and what it is given; `None` if it was answered here.
fn parse<'a>(
    terminal: &mut dyn Terminal,
    words: &[&'a str],
) -> Result<Option<(&'static Verb, Arguments<'a>)>, Failure> {
    let words = skip_global_options(words).map_err(Failure::new)?;
    let Some((name, words)) = words.split_first() else {
        help::all(terminal);
        return Err(Failure::silent(FAILED));
    };
    if matches!(*name, "-h" | "--help") {
        help::all(terminal);
        return Ok(None);
    }
    let verb = find(name).map_err(Failure::new)?;
    let arguments = Arguments::parse(words, verb.flags).map_err(Failure::new)?;
    if arguments.has(HELP.short) {
        help::verb(terminal, verb);
        return Ok(None);
    }
    let given = arguments.operands.len();
    if given < verb.needs {
        let (name, needs) = (verb.name, verb.needs);
        let plural = if needs > 1 { "s" } else { "" };
        print(
            terminal,
            Stream::Err,
            format_args!("'xl {name}' requires at least {needs} argument{plural}.\n\n"),
        );
        help::verb(terminal, verb);
        return Err(Failure::silent(FAILED));
    }
    if given > verb.takes {
        help::verb(terminal, verb);
        return Err(Failure::silent(2));
    }
    if verb.operands == Operands::Verb {
        help::help(terminal, &arguments)?;
        return Ok(None);
    }
    Ok(Some((verb, arguments)))
}

/// One piece of text is one write: a line does not cross the link word by word.
fn print(terminal: &mut dyn Terminal, stream: Stream, text: fmt::Arguments<'_>) {
    terminal.write(stream, format!("{text}").as_bytes());
}

/// The verb that `name` names, or is the start of as of no other; the error says what was meant.
pub fn find(name: &str) -> Result<&'static Verb, String> {
    if let Some(verb) = VERBS.iter().find(|verb| verb.name == name) {
        return Ok(verb);
    }
    let mut starts = VERBS.iter().filter(|verb| !name.is_empty() && verb.name.starts_with(name));
    match (starts.next(), starts.next()) {
        (Some(verb), None) => return Ok(verb),
        (Some(first), Some(second)) => {
            let (first, second) = (first.name, second.name);
            return Err(format!("command {name}: which, {first} or {second}?"));
        }
        _ => {}
    }
    let meant = nearest(name, VERBS.iter().map(|verb| verb.name));
    Err(match meant {
        Some(meant) => format!("command not implemented: {name}; did you mean {meant}?"),
        None => format!("command not implemented: {name}; `xl help` lists what there is"),
    })
}

impl Session<'_> {
    /// Prints to standard output.
    fn out(&mut self, text: fmt::Arguments<'_>) {
        print(self.terminal, Stream::Out, text);
    }

    /// Prints to standard error.
    fn err(&mut self, text: fmt::Arguments<'_>) {
        print(self.terminal, Stream::Err, text);
    }

    /// The domain of this name or number.
    fn domain(&mut self, name: &str) -> Result<DomId, Failure> {
        let domains = self.domains()?;
        let named = domains.iter().find(|domain| domain.name == name);
        let number = || name.parse().ok().filter(|_| !name.starts_with('+')).map(DomId::new);
        let found = match named {
            Some(domain) => Some(domain.id),
            None => number().filter(|id| domains.iter().any(|domain| domain.id == *id)),
        };
        found.ok_or_else(|| {
            let meant = nearest(name, domains.iter().map(|domain| domain.name.as_str()));
            let meant = meant.map_or(String::new(), |meant| format!("; did you mean {meant}?"));
            // -6 is libxl's ERROR_INVAL.
            Failure::new(format_args!("{name} is an invalid domain identifier (rc=-6){meant}"))
        })
    }

    fn domains(&mut self) -> Result<Vec<crate::toolstack::DomainInfo>, Failure> {
        self.toolstack.domains().map_err(|error| Failure::because("cannot list domains", &error))
    }
}

#[cfg(test)]
mod tests;

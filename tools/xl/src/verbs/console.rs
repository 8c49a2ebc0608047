//! `console`: a guest's console as one's own, until Ctrl-].

use super::arguments::{Arguments, Flag};
use super::{Failure, Outcome, Session};
use crate::terminal::{Input, InputMode, Stream};
use crate::toolstack::{ConsoleOutput, DomId, Error, Wake};

pub const FLAGS: &[Flag] = &[
    Flag::with('t', "", "<type>", "console type, pv"),
    Flag::with('n', "", "<number>", "console number, 0"),
];

/// Ctrl-].
const ESCAPE: u8 = 0x1d;
/// Where nothing wakes it, it looks again.
const LOOK_NS: u64 = 1_000_000_000;

pub fn console(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    if arguments.value('t').is_some_and(|kind| kind != "pv") {
        return Err(Failure::new("console type supported are: pv"));
    }
    if arguments.value('n').is_some_and(|number| number != "0") {
        return Err(Failure::new("there is console number 0 only"));
    }
    let domain = session.domain(arguments.operand(0))?;
    open(session, domain)?;
    attach(session, domain)
}

/// Takes a console up, so that nothing of what its domain says from now on is lost.
pub fn open(session: &mut Session<'_>, domain: DomId) -> Outcome {
    let opened = session.toolstack.open_console(domain);
    opened.map_err(|error| Failure::because("Unable to attach console", &error))
}

/// Stays at an open console until Ctrl-], the end of the input, or the domain's end.
pub fn attach(session: &mut Session<'_>, domain: DomId) -> Outcome {
    session.terminal.set_input_mode(InputMode::Raw);
    let left = exchange(session, domain);
    session.toolstack.close_console(domain);
    session.terminal.set_input_mode(InputMode::Line);
    match left {
        // A domain that ends takes its console along: that is how sessions end.
        Ok(()) | Err(Error::NoSuchDomain) => Ok(()),
        Err(error) => Err(Failure::because("the console was lost", &error)),
    }
}

fn exchange(session: &mut Session<'_>, domain: DomId) -> Result<(), Error> {
    let (mut output, mut keys) = ([0; 1024], [0; 256]);
    // Keys that the guest has had no room for yet.
    let (mut start, mut end) = (0, 0);
    loop {
        let mut moved = false;
        if let ConsoleOutput::Bytes(count) = session.toolstack.read_console(domain, &mut output)? {
            session.terminal.write(Stream::Out, output.get(..count).unwrap_or(&output));
            moved = true;
        }
        if start == end {
            match session.terminal.read(&mut keys) {
                Input::End | Input::Gone => return Ok(()),
                Input::Nothing => {}
                Input::Bytes(count) => (start, end) = (0, count.min(keys.len())),
            }
        }
        let typed = keys.get(start..end).unwrap_or(&[]);
        let before_escape = typed.iter().position(|key| *key == ESCAPE).unwrap_or(typed.len());
        let sendable = typed.get(..before_escape).unwrap_or(&[]);
        if !sendable.is_empty() {
            let count = session.toolstack.write_console(domain, sendable)?;
            start += count.min(sendable.len());
            moved |= count > 0;
        } else if start < end {
            return Ok(());
        }
        if !moved {
            session.toolstack.wait(Wake::KeyOrConsole(domain), LOOK_NS, session.terminal);
        }
    }
}

//! `xl` on the host: it carries a verb to domain 0 of the machine that runs, with the files that
//! the verb needs, and shows what comes back.
//!
//! What needs no machine is answered here: help, wrong words, a domain file that has errors. The
//! rest is [`program::carry`]'s.

mod program;

use std::env;
use std::process::ExitCode;

use program::options::{self, Options};
use program::plan::{Plan, plan};
use program::terminal::Standard;
use program::{carry, completion};
use xl::terminal::{Stream, Terminal};

/// The exit status when domain 0 cannot be asked.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let words = match env::args_os().skip(1).map(|word| word.into_string()).collect() {
        Ok(words) => words,
        Err(_) => return fail("words are to be UTF-8"),
    };
    let Options { machine, action, words } = match Options::parse(words) {
        Ok(options) => options,
        Err(why) => return fail(&why),
    };
    let mut terminal = Standard;
    match action {
        options::Action::Version => {
            terminal.write(Stream::Out, options::VERSION.as_bytes());
            ExitCode::SUCCESS
        }
        options::Action::Completion => {
            terminal.write(Stream::Out, completion::BASH.as_bytes());
            ExitCode::SUCCESS
        }
        options::Action::Verb => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let carried = match plan(&mut terminal, &words) {
                Plan::Done(status) => return ExitCode::from(status),
                Plan::Carry(freight) => carry::carry(freight, machine.as_deref()),
                Plan::Complete => completion::complete(&words),
            };
            match carried {
                Ok(status) => ExitCode::from(status),
                Err(error) => fail(&error.to_string()),
            }
        }
    }
}

fn fail(why: &str) -> ExitCode {
    Standard.write(Stream::Err, format!("xl: {why}\n").as_bytes());
    ExitCode::from(FAILED)
}

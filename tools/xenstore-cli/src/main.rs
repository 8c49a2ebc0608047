//! `xenstore-cli`: look into a XenStore and change it, with the habits of Xen's `xenstore-*` tools.
//!
//! Verbs, flags, output and exit codes are theirs; tests compare. What is added: one program with
//! `--help` for each verb, completion, colours, JSON, a server that is [found](find) by itself, and
//! sentences instead of bare error names ([`explain`]).
#![forbid(unsafe_code)]

mod arguments;
mod explain;
mod failure;
mod find;
mod layout;
mod output;
mod permissions;
mod session;
mod text;
mod verbs;

use std::process::ExitCode;

use arguments::{Cli, Verb};
use failure::Failure;
use output::Output;
use session::{Client, Socket};

fn main() -> ExitCode {
    let done = arguments::parse(std::env::args_os().collect()).and_then(|cli| run(&cli));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.code.into()
        }
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    if let Verb::Completions { shell } = cli.verb {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut arguments::command(), "xenstore-cli", &mut script);
        let mut output = Output::new(&cli.common);
        return output.raw(&script).and_then(|()| output.flush());
    }
    let mut client = Client::new(Socket::new(find::connect(&cli.common)?));
    let mut output = Output::new(&cli.common);
    let done = verbs::perform(&cli.verb, &mut client, &mut output);
    // First what was printed, then why it ends there.
    let flushed = output.flush();
    done.and(flushed)
}

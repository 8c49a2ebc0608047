//! The verbs, one module each.

mod chmod;
mod control;
mod exists;
mod list;
mod ls;
mod read;
mod remove;
mod watch;
mod write;

use crate::arguments::Verb;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Client;

/// Does what a verb asks for. What was printed so far stays, also if it fails then.
///
/// # Errors
/// As the verb says.
pub fn perform(verb: &Verb, client: &mut Client, output: &mut Output) -> Result<(), Failure> {
    match verb {
        Verb::Ls(args) => ls::perform(args, client, output),
        Verb::List(args) => list::perform(args, client, output),
        Verb::Read(args) => read::perform(args, client, output),
        Verb::Write(args) => write::perform(args, client),
        Verb::Rm(args) => remove::perform(args, client),
        Verb::Exists(args) => exists::perform(args, client, output),
        Verb::Chmod(args) => chmod::perform(args, client),
        Verb::Watch(args) => watch::perform(args, client, output),
        Verb::Control(args) => control::perform(args, client, output),
        // Needs no server: see `main`.
        Verb::Completions { .. } => Ok(()),
    }
}

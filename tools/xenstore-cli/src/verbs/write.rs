//! `write`: values of nodes, all of them or none.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use xenstore::client::Store;
use xenstore::wire::limits::XENSTORE_PAYLOAD_MAX;

use crate::arguments::WriteArgs;
use crate::explain::refusal;
use crate::failure::Failure;
use crate::session::{Client, Lost, in_transaction};
use crate::text::{LoneBackslash, unescape};

/// A node and what it is to hold.
struct Assignment<'a> {
    path: &'a str,
    value: Vec<u8>,
}

pub fn perform(args: &WriteArgs, client: &mut Client) -> Result<(), Failure> {
    let assignments: Vec<Assignment<'_>> =
        args.pairs.chunks(2).map(|words| assignment(words, args.raw)).collect::<Result<_, _>>()?;
    match assignments.len() {
        1 => write_all(client, &assignments),
        _ => in_transaction(client, |store| write_all(store, &assignments)),
    }
}

fn write_all(
    store: &mut impl Store<Failure = Lost>,
    assignments: &[Assignment<'_>],
) -> Result<(), Failure> {
    for Assignment { path, value } in assignments {
        let written = store.write(path, value);
        written.map_err(|error| refusal(store, "write", path, &error))?;
    }
    Ok(())
}

/// What a path and a value on the command line ask for.
fn assignment(words: &[OsString], raw: bool) -> Result<Assignment<'_>, Failure> {
    let (path, text) = match words {
        [path, text] => (path, text.as_bytes()),
        words => {
            let path = words.first().map(|path| path.to_string_lossy()).unwrap_or_default();
            return Err(Failure::new(format!(
                "no value for {path}: paths and values go in turn, '' is an empty value"
            )));
        }
    };
    let path = path.to_str().ok_or_else(|| {
        Failure::new(format!("cannot write {}: a path is ASCII text", path.to_string_lossy()))
    })?;
    let value = if raw { Ok(text.to_vec()) } else { unescape(text) };
    let value = value.map_err(|LoneBackslash| {
        Failure::new(format!("the value of {path} ends in a lone `\\`: write `\\\\`, or use -R"))
    })?;
    // The request carries the path with its NUL, and the value.
    let room = XENSTORE_PAYLOAD_MAX.saturating_sub(path.len() + 1);
    if value.len() > room {
        return Err(Failure::new(format!(
            "the value of {path} is {} bytes long: {room} are the most",
            value.len()
        )));
    }
    Ok(Assignment { path, value })
}

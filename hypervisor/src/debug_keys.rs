//! Debug keys: one letter on the hypervisor's side of the console, one report.
//!
//! A table of keys is data over whatever state its reports need (`S`), so the machine layer
//! brings its own keys and the library its, and tests press them on a made-up state. `h`
//! lists every key of every table.
//!
//! Reports run between a guest's instructions, in the idle loop, or in a hypercall of domain 0's
//! that holds no lock but the calling vCPU's state; they may take locks, and should print briefly.

use core::fmt::{self, Write};

/// One key.
pub struct DebugKey<S: ?Sized> {
    /// The letter.
    pub key: u8,
    /// What it does, for `h`.
    pub help: &'static str,
    /// The report.
    pub report: fn(&S, &mut dyn Write) -> fmt::Result,
}

/// The key that lists the keys.
pub const HELP: u8 = b'h';

/// Presses `key`: `h` lists the keys of all `tables`, another key runs its report, an unknown
/// one says so.
pub fn press<S: ?Sized>(
    tables: &[&[DebugKey<S>]],
    key: u8,
    state: &S,
    out: &mut dyn Write,
) -> fmt::Result {
    let mut keys = tables.iter().flat_map(|table| table.iter());
    if key == HELP {
        writeln!(out, "  {}  this list", char::from(HELP))?;
        return keys
            .try_for_each(|entry| writeln!(out, "  {}  {}", char::from(entry.key), entry.help));
    }
    match keys.find(|entry| entry.key == key) {
        Some(entry) => (entry.report)(state, out),
        None if key.is_ascii_graphic() => {
            writeln!(out, "no debug key '{}'; 'h' lists them", char::from(key))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    const FIRST: &[DebugKey<u32>] = &[DebugKey {
        key: b'q',
        help: "the answer",
        report: |state, out| writeln!(out, "it is {state}"),
    }];
    const SECOND: &[DebugKey<u32>] =
        &[DebugKey { key: b'Q', help: "quit", report: |_, out| writeln!(out, "bye") }];

    fn pressed(key: u8) -> String {
        let mut out = String::new();
        press(&[FIRST, SECOND], key, &42, &mut out).unwrap();
        out
    }

    #[test]
    fn help_lists_every_key() {
        assert_eq!(pressed(b'h'), "  h  this list\n  q  the answer\n  Q  quit\n");
    }

    #[test]
    fn a_key_runs_its_report() {
        assert_eq!(pressed(b'q'), "it is 42\n");
        assert_eq!(pressed(b'Q'), "bye\n");
    }

    #[test]
    fn unknown_keys_are_named_if_they_can_be() {
        assert_eq!(pressed(b'x'), "no debug key 'x'; 'h' lists them\n");
        assert_eq!(pressed(b'\r'), "");
    }
}

//! What Tab completes at the prompt: commands and programs first, then files.

use super::commands::COMMANDS;
use super::complete::{Candidate, Complete};
use super::kernel::{FileKind, Kernel};

/// Completion out of the table of commands and the file system.
pub struct Names<'a>(pub &'a mut dyn Kernel);

/// What the word before the cursor is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The first word of a command.
    Command,
    /// What follows `run`.
    Program,
    /// What follows `help`.
    Topic,
    /// Anything else.
    File,
}

impl Names<'_> {
    fn kind(before: &str) -> (Kind, &str) {
        let command = before.rsplit([';', '&']).next().unwrap_or("").trim_start();
        let word = command.rsplit(' ').next().unwrap_or("");
        let mut words = command.split_ascii_whitespace();
        let first = words.next().unwrap_or("");
        // The word under the cursor is the second one: "run", blanks, and the word.
        let second = command.strip_prefix(first).unwrap_or("").trim_start() == word;
        let kind = match first {
            _ if word.contains('/') => Kind::File,
            _ if command == word => Kind::Command,
            "run" if second => Kind::Program,
            "help" if second => Kind::Topic,
            _ => Kind::File,
        };
        (kind, word)
    }
}

impl Complete for Names<'_> {
    fn word_start(&self, before: &str) -> usize {
        let (kind, word) = Self::kind(before);
        let directory = match kind {
            Kind::File => word.rfind('/').map_or(0, |slash| slash + 1),
            _ => 0,
        };
        before.len() - word.len() + directory
    }

    fn candidates(&mut self, before: &str, found: &mut dyn FnMut(Candidate<'_>)) {
        let (kind, word) = Self::kind(before);
        if matches!(kind, Kind::Command | Kind::Topic) {
            for command in COMMANDS.iter().filter(|command| command.name.starts_with(word)) {
                found(Candidate { name: command.name, tail: ' ' });
            }
        }
        let (directory, prefix) = match kind {
            Kind::Topic => return,
            Kind::Command | Kind::Program => ("/bin/", word),
            Kind::File => word.split_at(word.rfind('/').map_or(0, |slash| slash + 1)),
        };
        let directory = if directory.is_empty() { "/" } else { directory };
        // A directory that is not there has no candidates.
        let _ = self.0.list(directory, &mut |file| {
            if file.name.starts_with(prefix) {
                let tail = if file.kind == FileKind::Directory { '/' } else { ' ' };
                found(Candidate { name: file.name, tail });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_decides_the_kind() {
        for (before, kind, word) in [
            ("", Kind::Command, ""),
            ("l", Kind::Command, "l"),
            ("ls ; p", Kind::Command, "p"),
            ("spin&p", Kind::Command, "p"),
            ("ls ", Kind::File, ""),
            ("ls /et", Kind::File, "/et"),
            ("/bin/he", Kind::File, "/bin/he"),
            ("run fo", Kind::Program, "fo"),
            ("run ", Kind::Program, ""),
            ("run echo e", Kind::File, "e"),
            ("help s", Kind::Topic, "s"),
        ] {
            assert_eq!(Names::kind(before), (kind, word), "{before}");
        }
    }
}

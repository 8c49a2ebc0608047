//! What Tab completes at the prompt: commands and programs first, then files. What follows `xl`, `xl`
//! itself knows.

use core::fmt;

use heapless::{String, Vec};

use super::commands::COMMANDS;
use super::complete::{Candidate, Complete, NAME_MAX};
use super::kernel::{FileKind, Kernel, Terminal};
use super::parse::WORDS_MAX;

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
    /// What follows `xl`.
    Xl,
    /// Anything else.
    File,
}

impl Names<'_> {
    /// The command that the cursor is in, up to there.
    fn command(before: &str) -> &str {
        before.rsplit([';', '&']).next().unwrap_or("").trim_start()
    }

    fn kind(before: &str) -> (Kind, &str) {
        let command = Self::command(before);
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
            "xl" => Kind::Xl,
            _ => Kind::File,
        };
        (kind, word)
    }

    /// Asks `xl` what its last word could become; whether there was anything.
    fn ask_xl(&mut self, before: &str, word: &str, found: &mut dyn FnMut(Candidate<'_>)) -> bool {
        let mut words: Vec<&str, WORDS_MAX> = Vec::new();
        let typed = Self::command(before).split_ascii_whitespace().skip(1);
        let unfinished = word.is_empty().then_some("");
        for word in ["complete", "--"].into_iter().chain(typed).chain(unfinished) {
            // A command with so many words would not run either.
            if words.push(word).is_err() {
                return false;
            }
        }
        let mut any = false;
        let mut each = |name: &str| {
            if name.starts_with(word) {
                any = true;
                found(Candidate { name, tail: ' ' });
            }
        };
        self.0.xl(&words, &mut Lines { line: String::new(), each: &mut each });
        any
    }
}

/// A terminal that hands on whole lines. Those that are too long for a name lose their end.
struct Lines<'a> {
    line: String<NAME_MAX>,
    each: &'a mut dyn FnMut(&str),
}

impl fmt::Write for Lines<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if character == '\n' {
                (self.each)(&self.line);
                self.line.clear();
            } else {
                let _ = self.line.push(character);
            }
        }
        Ok(())
    }
}

impl Terminal for Lines<'_> {
    fn read_byte(&mut self) -> Option<u8> {
        None
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        // Names of domains are UTF-8, and `xl` writes them whole.
        let _ = fmt::Write::write_str(self, core::str::from_utf8(bytes).unwrap_or(""));
    }

    fn at_line_start(&self) -> bool {
        self.line.is_empty()
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
        if kind == Kind::Xl && self.ask_xl(before, word, found) {
            return;
        }
        let (directory, prefix) = match kind {
            Kind::Topic => return,
            Kind::Command | Kind::Program => ("/bin/", word),
            Kind::File | Kind::Xl => word.split_at(word.rfind('/').map_or(0, |slash| slash + 1)),
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
            ("xl", Kind::Command, "xl"),
            ("ls; xl li", Kind::Xl, "li"),
            ("xl create /etc/x", Kind::File, "/etc/x"),
        ] {
            assert_eq!(Names::kind(before), (kind, word), "{before}");
        }
    }
}

//! Options and operands of a verb, by the rules of `getopt_long`: options may stand anywhere, up
//! to a lone `--`; short ones can be put together; a value follows its option or is glued to it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::nearest::nearest;

/// An option of a verb.
pub struct Flag {
    /// Its letter, by which the verb asks for it.
    pub short: char,
    /// Its long name; empty if it has none.
    pub long: &'static str,
    /// What its value is called; empty if it takes none.
    pub value: &'static str,
    /// What it does, for the help.
    pub help: &'static str,
}

impl Flag {
    /// An option without a value.
    pub const fn plain(short: char, long: &'static str, help: &'static str) -> Self {
        Self { short, long, value: "", help }
    }

    /// An option with a value.
    pub const fn with(
        short: char,
        long: &'static str,
        value: &'static str,
        help: &'static str,
    ) -> Self {
        Self { short, long, value, help }
    }
}

/// What every verb has.
pub const HELP: Flag = Flag::plain('h', "help", "Print this help.");

/// What was typed behind a verb.
#[derive(Debug, Default)]
pub struct Arguments<'a> {
    options: Vec<(char, &'a str)>,
    /// What is no option.
    pub operands: Vec<&'a str>,
}

impl<'a> Arguments<'a> {
    /// Sorts `words` by what `flags` allow; the error is a sentence in xl's words.
    pub fn parse(words: &[&'a str], flags: &[Flag]) -> Result<Self, String> {
        let mut parsed = Self::default();
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            if word == "--" {
                parsed.operands.extend(&mut words);
            } else if let Some(long) = word.strip_prefix("--") {
                parsed.long(long, flags, &mut words)?;
            } else if let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
                parsed.short(letters, flags, &mut words)?;
            } else {
                parsed.operands.push(word);
            }
        }
        Ok(parsed)
    }

    /// Whether an option was given.
    pub fn has(&self, short: char) -> bool {
        self.count(short) > 0
    }

    /// How often it was.
    pub fn count(&self, short: char) -> usize {
        self.options.iter().filter(|(given, _)| *given == short).count()
    }

    /// An option's value, the last if there are several.
    pub fn value(&self, short: char) -> Option<&'a str> {
        self.options.iter().rev().find(|(given, _)| *given == short).map(|(_, value)| *value)
    }

    /// The operand at a place; empty past the last.
    pub fn operand(&self, index: usize) -> &'a str {
        self.operands.get(index).copied().unwrap_or("")
    }

    fn long(
        &mut self,
        word: &'a str,
        flags: &[Flag],
        words: &mut impl Iterator<Item = &'a str>,
    ) -> Result<(), String> {
        let (name, glued) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let known = || flags.iter().chain([&HELP]).filter(|flag| !flag.long.is_empty());
        let Some(flag) = known().find(|flag| flag.long == name) else {
            let meant = nearest(name, known().map(|flag| flag.long));
            let meant = meant.map_or(String::new(), |meant| format!(" Did you mean --{meant}?"));
            return Err(format!("option `--{name}' not supported.{meant}"));
        };
        let value = match (flag.value.is_empty(), glued) {
            (true, None) => "",
            (true, Some(_)) => return Err(format!("option `--{name}' takes no value.")),
            (false, Some(value)) => value,
            (false, None) => {
                words.next().ok_or_else(|| format!("option `--{name}' needs a value."))?
            }
        };
        self.options.push((flag.short, value));
        Ok(())
    }

    fn short(
        &mut self,
        letters: &'a str,
        flags: &[Flag],
        words: &mut impl Iterator<Item = &'a str>,
    ) -> Result<(), String> {
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            let flag = flags.iter().chain([&HELP]).find(|flag| flag.short == letter);
            let flag = flag.ok_or_else(|| format!("option `{letter}' not supported."))?;
            if flag.value.is_empty() {
                self.options.push((letter, ""));
                continue;
            }
            let value = match letters.as_str() {
                "" => words.next().ok_or_else(|| format!("option `{letter}' needs a value."))?,
                glued => glued,
            };
            self.options.push((letter, value));
            return Ok(());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    const FLAGS: &[Flag] = &[
        Flag::plain('p', "", "paused"),
        Flag::plain('q', "quiet", "quiet"),
        Flag::with('f', "defconfig", "FILE", "file"),
    ];

    #[test]
    fn options_stand_anywhere() {
        let parsed =
            Arguments::parse(&["a", "-pq", "b", "-f", "c", "--", "-q", "d"], FLAGS).unwrap();
        assert_eq!(parsed.operands, ["a", "b", "-q", "d"]);
        assert_eq!((parsed.count('p'), parsed.count('q'), parsed.value('f')), (1, 1, Some("c")));
        let parsed =
            Arguments::parse(&["-pfx", "--defconfig=y", "--quiet", "-", "-qq"], FLAGS).unwrap();
        assert_eq!((parsed.value('f'), parsed.count('q')), (Some("y"), 3));
        assert_eq!((parsed.operands, parsed.options.len()), (vec!["-"], 6));
        let parsed = Arguments::parse(&["--defconfig", "z", "--help"], FLAGS).unwrap();
        assert_eq!((parsed.value('f'), parsed.has('h'), parsed.operand(0)), (Some("z"), true, ""));
    }

    #[test]
    fn others_are_refused() {
        for (words, error) in [
            (["-x"], "option `x' not supported."),
            (["-pé"], "option `é' not supported."),
            (["--quite"], "option `--quite' not supported. Did you mean --quiet?"),
            (["--colour=red"], "option `--colour' not supported."),
            (["--quiet=1"], "option `--quiet' takes no value."),
            (["-f"], "option `f' needs a value."),
            (["--defconfig"], "option `--defconfig' needs a value."),
        ] {
            assert_eq!(Arguments::parse(&words, FLAGS).unwrap_err(), error);
        }
    }
}

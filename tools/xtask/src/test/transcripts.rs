//! Transcripts of the default guest: `tests/transcripts/NAME.txt`.
//!
//! The file is what `tools/run --exec` prints for its own `$ ` lines, and a last
//! line `? N` with the exit state if it is not 0. Where output varies, `[..]`
//! stands for any text within a line and a line `...` for any lines.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// A transcript to be held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The file's name without ending.
    pub name: String,
    /// The lines to run.
    pub commands: String,
    /// The transcript, `$ ` lines included.
    lines: Vec<String>,
    /// The exit state.
    pub state: u8,
}

/// Reads every transcript in a folder, sorted by name.
pub fn read_all(dir: &Path) -> Result<Vec<Expected>> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else { return Ok(found) };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "txt") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path)?;
            found.push(parse(name, &text).with_context(|| path.display().to_string())?);
        }
    }
    found.sort_by(|a: &Expected, b| a.name.cmp(&b.name));
    Ok(found)
}

fn parse(name: String, text: &str) -> Result<Expected> {
    let mut lines: Vec<String> = text.lines().map(|line| line.trim_end().to_string()).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let mut state = 0;
    if let Some(number) = lines.last().and_then(|line| line.strip_prefix("? ")) {
        state = number.parse().context("? N: N is an exit state, 0 to 255")?;
        lines.pop();
    }
    let commands: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("$ ")).collect();
    ensure!(!commands.is_empty(), "no line begins with `$ `");
    let commands = commands.join("\n");
    Ok(Expected { name, commands, lines, state })
}

impl Expected {
    /// That these lines run and the last succeeds, whatever they print.
    pub fn any(name: &str, commands: &str) -> Self {
        Self {
            name: name.into(),
            commands: commands.into(),
            lines: vec![format!("$ {commands}"), "...".into()],
            state: 0,
        }
    }

    /// Whether it runs Debian's busybox.
    pub fn needs_busybox(&self) -> bool {
        self.commands.split_whitespace().any(|word| word == "busybox")
    }

    /// The first difference to what came, if any, as text for a person.
    pub fn difference(&self, transcript: &str) -> Option<String> {
        let got: Vec<&str> = transcript.lines().map(str::trim_end).collect();
        if matches(&self.lines, &got) {
            return None;
        }
        // The longest beginning that still fits tells where it went wrong.
        let expected = (0..self.lines.len())
            .rev()
            .find(|count| (0..=got.len()).any(|end| matches(&self.lines[..*count], &got[..end])))
            .map_or("", |count| &self.lines[count]);
        Some(format!("expected the line\n    {expected}\nin\n{}", indent(&got)))
    }
}

fn indent(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("    {line}\n")).collect()
}

fn matches(expected: &[String], got: &[&str]) -> bool {
    match expected.split_first() {
        None => got.is_empty(),
        Some((line, rest)) if line == "..." => {
            (0..=got.len()).any(|skip| matches(rest, &got[skip..]))
        }
        Some((line, rest)) => got
            .split_first()
            .is_some_and(|(first, others)| line_matches(line, first) && matches(rest, others)),
    }
}

fn line_matches(expected: &str, got: &str) -> bool {
    match expected.split_once("[..]") {
        None => expected == got,
        Some((before, after)) => got.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|at| rest.is_char_boundary(*at))
                .any(|at| line_matches(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(text: &str) -> Expected {
        parse("x".into(), text).unwrap()
    }

    #[test]
    fn a_file_is_commands_output_and_state() {
        let read = expected("$ cat /etc/motd\nhello\n$ false\n? 1\n\n");
        assert_eq!(read.commands, "cat /etc/motd\nfalse");
        assert_eq!((read.lines.len(), read.state), (3, 1));
        assert!(parse("x".into(), "hello\n").is_err());
    }

    #[test]
    fn what_needs_busybox_is_known() {
        assert!(expected("$ hello\n$ busybox sh -c true\n").needs_busybox());
        assert!(!expected("$ hello\n").needs_busybox());
    }

    #[test]
    fn wildcards_fit() {
        let read = expected("$ ps\n...\n  [..] init [..]\n$ mem\n...\n");
        assert_eq!(read.difference("$ ps\nPID NAME\n  1 init ready\n$ mem\n"), None);
        assert_eq!(read.difference("$ ps\n  1 init 0\n$ mem\na\nb\n"), None);
        let difference = read.difference("$ ps\n  1 sh ready\n$ mem\n").unwrap();
        assert!(difference.contains("[..] init [..]"), "{difference}");
    }

    #[test]
    fn exact_lines_must_be_equal() {
        let read = expected("$ echo a\na\n");
        assert_eq!(read.difference("$ echo a\na\n"), None);
        assert!(read.difference("$ echo a\nb\n").is_some());
        assert!(read.difference("$ echo a\na\nmore\n").is_some());
        assert!(read.difference("").is_some());
    }
}

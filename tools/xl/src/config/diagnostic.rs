//! What is wrong with a domain file, and where.
//!
//! ```text
//! web.cfg:3:10: memory: 0 is less than 1
//!     memory = 0
//!              ^
//! ```

use alloc::format;
use alloc::string::String;
use core::fmt;

/// A text that settings come from: a file, or what was typed after it.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What it is called in messages.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
}

/// A place in a text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// Which text, from 0.
    pub source: usize,
    /// The line, from 1.
    pub line: u32,
    /// The character in the line, from 1.
    pub column: u32,
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// The domain can be made; something in its file has no effect.
    Warning,
    /// There is no domain in this file.
    Error,
}

/// Something that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where; `None` for what is missing altogether.
    pub position: Option<Position>,
    /// What, without a full stop.
    pub message: String,
}

impl Diagnostic {
    /// The message with its place, the line and a caret below it; ends in a line feed.
    pub fn render(&self, sources: &[Source<'_>]) -> String {
        let warning = if self.severity == Severity::Warning { "warning: " } else { "" };
        let message = &self.message;
        let Some(Position { source, line, column }) = self.position else {
            let name = sources.first().map_or("", |source| source.name);
            return format!("{name}: {warning}{message}\n");
        };
        let (name, text) =
            sources.get(source).map_or(("", ""), |source| (source.name, source.text));
        let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        let shown = text.split('\n').nth(index).unwrap_or("").trim_end_matches('\r');
        let shown = Printable(shown);
        let caret = Caret { line: shown.0, column };
        format!("{name}:{line}:{column}: {warning}{message}\n    {shown}\n    {caret}^\n")
    }
}

/// A line as a terminal can show it: control characters other than tabs become `?`.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| {
            let shown = if character.is_control() && character != '\t' { '?' } else { character };
            fmt::Write::write_char(f, shown)
        })
    }
}

/// Blanks as wide as the line up to `column`.
struct Caret<'a> {
    line: &'a str,
    column: u32,
}

impl fmt::Display for Caret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = usize::try_from(self.column.saturating_sub(1)).unwrap_or(0);
        self.line.chars().take(before).try_for_each(|character| {
            fmt::Write::write_char(f, if character == '\t' { '\t' } else { ' ' })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, column: u32) -> Diagnostic {
        let position = Some(Position { source: 0, line, column });
        Diagnostic { severity: Severity::Error, position, message: "no".into() }
    }

    #[test]
    fn the_line_and_a_caret_are_shown() {
        let sources = [Source { name: "a.cfg", text: "name = 'x'\r\n\tmemory = \u{1b}0\n" }];
        assert_eq!(at(1, 8).render(&sources), "a.cfg:1:8: no\n    name = 'x'\n           ^\n");
        assert_eq!(at(2, 2).render(&sources), "a.cfg:2:2: no\n    \tmemory = ?0\n    \t^\n");
    }

    #[test]
    fn what_is_missing_has_no_line() {
        let sources = [Source { name: "a.cfg", text: "" }];
        let severity = Severity::Warning;
        let missing = Diagnostic { severity, position: None, message: "no".into() };
        assert_eq!(missing.render(&sources), "a.cfg: warning: no\n");
        assert_eq!(at(7, 9).render(&sources), "a.cfg:7:9: no\n    \n    ^\n");
        assert_eq!(at(1, 1).render(&[]), ":1:1: no\n    \n    ^\n");
    }
}

//! From a line to commands: words, quotes, `;` and `&`.
//!
//! The rules are a POSIX shell's, as far as they go: blanks part words; `'…'` takes everything
//! literally; in `"…"` a backslash quotes `"`, `\` and `$`; elsewhere a backslash quotes the next
//! character; `#` at the start of a word begins a comment; `$?` is the status of the last command.
//! `;` ends a command, `&` ends it and runs it in the background. What a person may expect but will
//! not get (pipes, redirection, `&&`) is an error that says so, rather than an odd argument.

use core::fmt::{self, Write};

use heapless::{String, Vec};

/// The most bytes that the words of one command may take.
pub const TEXT_MAX: usize = 1024;

/// The most words of one command.
pub const WORDS_MAX: usize = 64;

/// What ended a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Separator {
    /// `;` or the end of the line: wait for it.
    Foreground,
    /// `&`: do not.
    Background,
}

/// Why a line is not understood. Columns count characters from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseError {
    /// A quote without its partner.
    OpenQuote(char, usize),
    /// `;` or `&` without a command before it.
    NoCommand(char, usize),
    /// A backslash with nothing behind it.
    LoneBackslash(usize),
    /// An operator of other shells.
    Unsupported(&'static str, &'static str, usize),
    /// More than [`WORDS_MAX`] words or [`TEXT_MAX`] bytes.
    TooLong,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OpenQuote(quote, column) => {
                write!(f, "the {quote} in column {column} is never closed")
            }
            Self::NoCommand(sign, column) => {
                write!(f, "no command before the {sign} in column {column}")
            }
            Self::LoneBackslash(column) => {
                write!(f, "nothing follows the backslash in column {column}")
            }
            Self::Unsupported(sign, what, column) => {
                write!(f, "{what} ({sign} in column {column}): this shell has none; quote it")
            }
            Self::TooLong => {
                write!(f, "a command has at most {WORDS_MAX} words and {TEXT_MAX} bytes")
            }
        }
    }
}

/// The words of one command, quotes taken off.
#[derive(Debug, Default)]
pub struct Words {
    text: String<TEXT_MAX>,
    ends: Vec<u16, WORDS_MAX>,
}

impl Words {
    /// No words.
    pub const fn new() -> Self {
        Self { text: String::new(), ends: Vec::new() }
    }

    /// The words in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let end = usize::from(end);
            let word = self.text.get(start..end).unwrap_or("");
            start = end;
            word
        })
    }

    fn push(&mut self, character: char) -> Result<(), ParseError> {
        self.text.push(character).map_err(|_| ParseError::TooLong)
    }

    fn end_word(&mut self) -> Result<(), ParseError> {
        let end = u16::try_from(self.text.len()).map_err(|_| ParseError::TooLong)?;
        self.ends.push(end).map_err(|_| ParseError::TooLong)
    }
}

/// Goes through a line, command by command.
#[derive(Clone, Debug)]
pub struct Parser<'a> {
    rest: core::str::Chars<'a>,
    column: usize,
}

impl<'a> Parser<'a> {
    /// At the start of `line`.
    pub fn new(line: &'a str) -> Self {
        Self { rest: line.chars(), column: 0 }
    }

    /// Checks the whole line, so that nothing of it runs when it has an error further on.
    pub fn check(line: &str) -> Result<(), ParseError> {
        let (mut parser, mut words) = (Parser::new(line), Words::new());
        while parser.next_command(&mut words, 0)?.is_some() {}
        Ok(())
    }

    /// Puts the next command into `words`; `None` at the end of the line. `status` is what `$?`
    /// stands for.
    pub fn next_command(
        &mut self,
        words: &mut Words,
        status: u8,
    ) -> Result<Option<Separator>, ParseError> {
        words.text.clear();
        words.ends.clear();
        loop {
            match self.peek() {
                None => break,
                Some('#') => self.rest = "".chars(),
                Some(blank) if blank.is_whitespace() => {
                    self.next();
                }
                Some(sign @ (';' | '&')) => {
                    self.next();
                    if sign == '&' && self.peek() == Some('&') {
                        return Err(self.unsupported("&&", "conditions"));
                    }
                    if words.ends.is_empty() {
                        return Err(ParseError::NoCommand(sign, self.column));
                    }
                    let background = sign == '&';
                    return Ok(Some(if background {
                        Separator::Background
                    } else {
                        Separator::Foreground
                    }));
                }
                Some(_) => self.word(words, status)?,
            }
        }
        Ok((!words.ends.is_empty()).then_some(Separator::Foreground))
    }

    fn word(&mut self, words: &mut Words, status: u8) -> Result<(), ParseError> {
        while let Some(character) = self.peek() {
            if character.is_whitespace() || matches!(character, ';' | '&') {
                break;
            }
            self.next();
            match character {
                '\'' | '"' => self.quoted(character, words, status)?,
                '\\' => {
                    let next = self.next().ok_or(ParseError::LoneBackslash(self.column))?;
                    words.push(next)?;
                }
                '$' => self.dollar(words, status)?,
                '|' => return Err(self.unsupported("|", "pipes")),
                '<' => return Err(self.unsupported("<", "redirection")),
                '>' => return Err(self.unsupported(">", "redirection")),
                '`' => return Err(self.unsupported("`", "command substitution")),
                _ => words.push(character)?,
            }
        }
        words.end_word()
    }

    fn quoted(&mut self, quote: char, words: &mut Words, status: u8) -> Result<(), ParseError> {
        let start = self.column;
        while let Some(character) = self.next() {
            match character {
                _ if character == quote => return Ok(()),
                '\\' if quote == '"' => match self.peek() {
                    Some(next @ ('"' | '\\' | '$')) => {
                        self.next();
                        words.push(next)?;
                    }
                    _ => words.push('\\')?,
                },
                '$' if quote == '"' => self.dollar(words, status)?,
                _ => words.push(character)?,
            }
        }
        Err(ParseError::OpenQuote(quote, start))
    }

    /// After a `$`: `$?` or the character itself.
    fn dollar(&mut self, words: &mut Words, status: u8) -> Result<(), ParseError> {
        if self.peek() == Some('?') {
            self.next();
            return write!(words.text, "{status}").map_err(|_| ParseError::TooLong);
        }
        words.push('$')
    }

    fn unsupported(&self, sign: &'static str, what: &'static str) -> ParseError {
        ParseError::Unsupported(sign, what, self.column)
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.column += usize::from(next.is_some());
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec as StdVec;

    type Parsed = StdVec<(StdVec<std::string::String>, Separator)>;

    fn parse(line: &str) -> Result<Parsed, ParseError> {
        let (mut parser, mut words, mut commands) = (Parser::new(line), Words::new(), vec![]);
        while let Some(separator) = parser.next_command(&mut words, 7)? {
            commands.push((words.iter().map(ToString::to_string).collect(), separator));
        }
        Ok(commands)
    }

    fn words(line: &str) -> StdVec<std::string::String> {
        parse(line).unwrap().remove(0).0
    }

    #[test]
    fn blanks_and_quotes_part_words() {
        assert_eq!(words("  echo  a\tb "), ["echo", "a", "b"]);
        assert_eq!(words("echo 'a  b' \"c  d\" e'f'\"g\""), ["echo", "a  b", "c  d", "efg"]);
        assert_eq!(words("echo '' \"\""), ["echo", "", ""]);
        assert_eq!(
            words(r#"echo 'a\b' "a\"b" "a\b" a\ b \;"#),
            ["echo", "a\\b", "a\"b", "a\\b", "a b", ";"]
        );
        assert_eq!(words("echo grün"), ["echo", "grün"]);
    }

    #[test]
    fn separators_and_comments() {
        let parsed = parse("ls /; spin & ps # all of them; really").unwrap();
        assert_eq!(
            parsed,
            [
                (vec!["ls".into(), "/".into()], Separator::Foreground),
                (vec!["spin".into()], Separator::Background),
                (vec!["ps".into()], Separator::Foreground),
            ]
        );
        assert_eq!(parse("ls;").unwrap().len(), 1);
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(parse(" # nothing").unwrap(), []);
        assert_eq!(words("echo a#b"), ["echo", "a#b"]);
    }

    #[test]
    fn the_last_status() {
        assert_eq!(
            words("echo $? \"is $?\" '$?' $x \\$?"),
            ["echo", "7", "is 7", "$?", "$x", "$?"]
        );
    }

    #[test]
    fn errors_say_what_and_where() {
        let error = |line: &str| parse(line).unwrap_err().to_string();
        assert_eq!(error("echo 'abc"), "the ' in column 6 is never closed");
        assert_eq!(error("; ls"), "no command before the ; in column 1");
        assert_eq!(error("ls ;; ps"), "no command before the ; in column 5");
        assert_eq!(error("ls & &"), "no command before the & in column 6");
        assert_eq!(error("echo a\\"), "nothing follows the backslash in column 7");
        assert!(error("ls | cat").contains("pipes"));
        assert!(error("ls && cat").contains("conditions"));
        assert!(error("echo a>b").contains("> in column 7"));
        assert_eq!(Parser::check(&"a ".repeat(WORDS_MAX + 1)), Err(ParseError::TooLong));
        assert_eq!(Parser::check(&"a".repeat(TEXT_MAX + 1)), Err(ParseError::TooLong));
        assert_eq!(Parser::check(&"a;".repeat(500)), Ok(()));
    }

    proptest! {
        /// Whatever a word holds, in single quotes it comes back as it was.
        #[test]
        fn quoting_keeps_a_word(word in "[^']{0,40}") {
            prop_assert_eq!(words(&std::format!("echo '{word}'")), ["echo".to_string(), word]);
        }

        /// No line makes it panic or go on for ever.
        #[test]
        fn any_line_is_read_to_its_end(line in ".{0,200}") {
            let _ = Parser::check(&line);
        }
    }
}

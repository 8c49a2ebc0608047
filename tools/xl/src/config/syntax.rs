//! From text to settings: the grammar of xl.cfg(5).
//!
//! ```text
//! file     = { setting ( newline | ";" ) }
//! setting  = key ( "=" | "+=" ) value | nothing
//! value    = number | string | "[" [ value { "," value } [ "," ] ] "]"
//! string   = '…' | "…", on one line, with C's backslash escapes
//! key      = a lower-case letter, then lower-case letters, digits and "_"
//! ```
//!
//! `#` begins a comment; in lists newlines are blanks. `+=` adds to what the key has: a string to a
//! string, a list to a list. A key that is set again has the last value, as with xl.
//!
//! An error does not end the reading: it goes on after the line, so that one run tells all. Only in
//! a list it does, for nobody can say where that was meant to end.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::diagnostic::{Diagnostic, Position, Severity};

/// How deep lists may nest: this is read by recursion, in a kernel.
const DEPTH_MAX: usize = 8;

/// A value and where it begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    /// Its first character.
    pub position: Position,
    /// The value.
    pub data: Data,
}

/// What a value is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Data {
    /// A number as it is written; whether it is one, its reader finds out.
    Number(String),
    /// A string, quotes and escapes undone.
    String(String),
    /// A list.
    List(Vec<Value>),
}

/// A key and its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The key.
    pub key: String,
    /// Where it begins.
    pub position: Position,
    /// What it has.
    pub value: Value,
}

/// Reads one text, the `source`th, and adds to `settings` (at most one per key) and `wrong`.
pub fn read(source: usize, text: &str, settings: &mut Vec<Setting>, wrong: &mut Vec<Diagnostic>) {
    let mut reader = Reader { rest: text.chars(), source, line: 1, column: 1, open_lists: 0 };
    while reader.peek().is_some() {
        match reader.setting() {
            Ok(Some((setting, operator))) => {
                if let Err(error) = store(settings, setting, operator) {
                    wrong.push(error);
                }
            }
            Ok(None) => {}
            Err(error) => {
                wrong.push(error);
                if reader.open_lists > 0 {
                    return;
                }
                reader.skip_line();
            }
        }
    }
}

/// What stands between key and value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Set,
    Add,
}

/// Puts a setting in the place of an older one of its key, or adds to that.
fn store(
    settings: &mut Vec<Setting>,
    setting: Setting,
    operator: Operator,
) -> Result<(), Diagnostic> {
    let Some(old) = settings.iter_mut().find(|old| old.key == setting.key) else {
        settings.push(setting);
        return Ok(());
    };
    if operator == Operator::Set {
        *old = setting;
        return Ok(());
    }
    match (&mut old.value.data, setting.value.data) {
        (Data::String(old), Data::String(more)) => old.push_str(&more),
        (Data::List(old), Data::List(more)) => old.extend(more),
        _ => {
            let what = format!("{}: += adds a string to a string or a list to a list", setting.key);
            return Err(error(setting.value.position, what));
        }
    }
    Ok(())
}

fn error(position: Position, message: impl Into<String>) -> Diagnostic {
    Diagnostic { severity: Severity::Error, position: Some(position), message: message.into() }
}

struct Reader<'a> {
    rest: core::str::Chars<'a>,
    source: usize,
    line: u32,
    column: u32,
    open_lists: usize,
}

impl Reader<'_> {
    /// One setting and what ends it; `None` where there is none before the end of the line.
    fn setting(&mut self) -> Result<Option<(Setting, Operator)>, Diagnostic> {
        self.skip_blanks();
        let position = self.position();
        if self.at_end_of_setting() {
            self.end_of_setting()?;
            return Ok(None);
        }
        let key = self.key()?;
        self.skip_blanks();
        let operator = match self.peek() {
            Some('=') => Operator::Set,
            Some('+') => {
                self.next();
                Operator::Add
            }
            _ => return Err(self.expected(&format!("= after {key}"))),
        };
        if self.peek() != Some('=') {
            return Err(self.expected("= after +"));
        }
        self.next();
        self.skip_blanks();
        let value = self.value()?;
        self.skip_blanks();
        self.end_of_setting()?;
        Ok(Some((Setting { key, position, value }, operator)))
    }

    fn key(&mut self) -> Result<String, Diagnostic> {
        let position = self.position();
        let key = self.word(|character| character.is_ascii_alphanumeric() || character == '_');
        if key.is_empty() {
            return Err(self.expected("a key"));
        }
        let first_is_letter = key.starts_with(|first: char| first.is_ascii_lowercase());
        if !first_is_letter || key.chars().any(|character| character.is_ascii_uppercase()) {
            return Err(error(
                position,
                format!("{key} is no key: a lower-case letter, then those, digits and _"),
            ));
        }
        Ok(key)
    }

    fn value(&mut self) -> Result<Value, Diagnostic> {
        let position = self.position();
        let data = match self.peek() {
            Some('[') => {
                if self.open_lists == DEPTH_MAX {
                    return Err(error(position, format!("lists nest {DEPTH_MAX} deep at most")));
                }
                self.open_lists += 1;
                let values = self.list(position)?;
                self.open_lists -= 1;
                Data::List(values)
            }
            Some(quote @ ('\'' | '"')) => Data::String(self.string(quote, position)?),
            Some(digit) if digit.is_ascii_digit() => {
                Data::Number(self.word(|character| character.is_ascii_alphanumeric()))
            }
            Some('-') => return Err(error(position, "a negative number needs quotes")),
            Some(letter) if letter.is_alphanumeric() || letter == '_' || letter == '/' => {
                return Err(error(position, "a string needs quotes"));
            }
            _ => return Err(self.expected("a value")),
        };
        Ok(Value { position, data })
    }

    fn list(&mut self, start: Position) -> Result<Vec<Value>, Diagnostic> {
        let mut values = Vec::new();
        self.next();
        loop {
            self.skip_lines();
            match self.peek() {
                Some(']') => break,
                None => return Err(error(start, "this [ is never closed")),
                Some(_) => values.push(self.value()?),
            }
            self.skip_lines();
            match self.peek() {
                Some(',') => self.next(),
                Some(']') => break,
                None => return Err(error(start, "this [ is never closed")),
                Some(_) => return Err(self.expected(", or ]")),
            };
        }
        self.next();
        Ok(values)
    }

    fn string(&mut self, quote: char, start: Position) -> Result<String, Diagnostic> {
        let mut text = String::new();
        self.next();
        loop {
            let position = self.position();
            match self.peek() {
                None | Some('\n') => {
                    return Err(error(start, format!("this {quote} is not closed in its line")));
                }
                Some(character) => {
                    self.next();
                    match character {
                        _ if character == quote => return Ok(text),
                        '\\' => text.push(self.escape(position)?),
                        _ => text.push(character),
                    }
                }
            }
        }
    }

    /// What a backslash and the characters behind it stand for.
    fn escape(&mut self, position: Position) -> Result<char, Diagnostic> {
        let wrong = |what: &str| error(position, what);
        let character = self.peek().filter(|next| *next != '\n');
        let character = character.ok_or_else(|| wrong("nothing follows this backslash"))?;
        let code = match character {
            '\\' | '\'' | '"' => u32::from(character),
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'v' => 0x0b,
            'x' => {
                self.next();
                return self
                    .numeric(16, 2, 2)
                    .ok_or_else(|| wrong("\\x takes two digits, 01 to 7f"));
            }
            '0'..='7' => {
                return self
                    .numeric(8, 1, 3)
                    .ok_or_else(|| wrong("octal escapes are \\1 to \\177"));
            }
            _ => return Err(wrong("no such escape: \\\\ stands for a backslash")),
        };
        self.next();
        char::from_u32(code).ok_or_else(|| wrong("no such character"))
    }

    /// A character by its number; ASCII only, and not 0: it could not be in a C string.
    fn numeric(&mut self, radix: u32, least: u32, most: u32) -> Option<char> {
        let (mut code, mut count) = (0, 0);
        while let Some(digit) = self.peek().and_then(|digit| digit.to_digit(radix)) {
            if count == most {
                break;
            }
            code = code * radix + digit;
            count += 1;
            self.next();
        }
        char::from_u32(code).filter(|_| count >= least && (1..0x80).contains(&code))
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let mut word = String::new();
        while let Some(character) = self.peek().filter(|character| belongs(*character)) {
            word.push(character);
            self.next();
        }
        word
    }

    fn at_end_of_setting(&self) -> bool {
        matches!(self.peek(), None | Some('\n' | ';'))
    }

    fn end_of_setting(&mut self) -> Result<(), Diagnostic> {
        if !self.at_end_of_setting() {
            return Err(self.expected("the end of the line or ;"));
        }
        self.next();
        Ok(())
    }

    /// Passes blanks and a comment, but no newline.
    fn skip_blanks(&mut self) {
        while let Some(character) = self.peek() {
            match character {
                ' ' | '\t' | '\r' => {
                    self.next();
                }
                '#' => {
                    while self.peek().is_some_and(|character| character != '\n') {
                        self.next();
                    }
                }
                _ => return,
            }
        }
    }

    fn skip_lines(&mut self) {
        self.skip_blanks();
        while self.peek() == Some('\n') {
            self.next();
            self.skip_blanks();
        }
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|character| character != '\n') {}
    }

    fn expected(&self, what: &str) -> Diagnostic {
        let found = match self.peek() {
            None => "the end of the file".into(),
            Some('\n') => "the end of the line".into(),
            Some(character) => format!("{character:?}"),
        };
        error(self.position(), format!("expected {what}, found {found}"))
    }

    fn position(&self) -> Position {
        Position { source: self.source, line: self.line, column: self.column }
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        if next == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
        Some(next)
    }
}

#[cfg(test)]
mod tests;

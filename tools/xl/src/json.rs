//! JSON as xl writes it: indented by four, members in the order they are written.

use alloc::string::String;
use core::fmt::{self, Write};

/// Writes one value into a text.
pub struct Json {
    text: String,
    depth: usize,
    /// Nothing stands before the next value in its object or array.
    first: bool,
    /// The next value belongs to the name just written.
    named: bool,
}

impl Json {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { text: String::new(), depth: 0, first: true, named: false }
    }

    /// What has been written, with a line feed.
    pub fn finish(mut self) -> String {
        self.text.push('\n');
        self.text
    }

    /// An object, whose members `inside` writes.
    pub fn object(&mut self, inside: impl FnOnce(&mut Self)) {
        self.nest(['{', '}'], inside);
    }

    /// An array, whose elements `inside` writes.
    pub fn array(&mut self, inside: impl FnOnce(&mut Self)) {
        self.nest(['[', ']'], inside);
    }

    /// The name of the value that follows.
    pub fn name(&mut self, name: &str) -> &mut Self {
        self.begin();
        self.quoted(name);
        self.text.push_str(": ");
        self.named = true;
        self
    }

    /// A string.
    pub fn string(&mut self, text: impl fmt::Display) {
        self.begin();
        let start = self.text.len();
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{text}");
        let plain = self.text.split_off(start);
        self.quoted(&plain);
    }

    /// A number.
    pub fn number(&mut self, number: impl Into<i128>) {
        self.begin();
        let _ = write!(self.text, "{}", number.into());
    }

    /// A boolean.
    pub fn boolean(&mut self, value: bool) {
        self.begin();
        self.text.push_str(if value { "true" } else { "false" });
    }

    fn nest(&mut self, [open, close]: [char; 2], inside: impl FnOnce(&mut Self)) {
        self.begin();
        self.text.push(open);
        self.depth += 1;
        self.first = true;
        inside(self);
        self.depth -= 1;
        if !self.first {
            self.line();
        }
        self.first = false;
        self.text.push(close);
    }

    /// What parts a value or a name from what stands before it.
    fn begin(&mut self) {
        if core::mem::take(&mut self.named) {
            return;
        }
        if !core::mem::replace(&mut self.first, false) {
            self.text.push(',');
        }
        if self.depth > 0 {
            self.line();
        }
    }

    fn line(&mut self) {
        self.text.push('\n');
        self.text.extend(core::iter::repeat_n(' ', self.depth * 4));
    }

    fn quoted(&mut self, text: &str) {
        self.text.push('"');
        for character in text.chars() {
            match character {
                '"' | '\\' => self.text.extend(['\\', character]),
                '\n' => self.text.push_str("\\n"),
                '\t' => self.text.push_str("\\t"),
                control if control < ' ' => {
                    let _ = write!(self.text, "\\u{:04x}", u32::from(control));
                }
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_nest() {
        let mut json = Json::new();
        json.array(|json| {
            json.object(|json| {
                json.name("a").number(-1);
                json.name("b").string("x\"\\\n\t\u{1}é");
                json.name("c").array(|_| ());
                json.name("d").array(|json| {
                    json.number(1);
                    json.boolean(true);
                });
            });
            json.object(|_| ());
        });
        let expected = "[\n    {\n        \"a\": -1,\n        \"b\": \"x\\\"\\\\\\n\\t\\u0001é\",\n        \
            \"c\": [],\n        \"d\": [\n            1,\n            true\n        ]\n    },\n    {}\n]\n";
        assert_eq!(json.finish(), expected);
    }
}

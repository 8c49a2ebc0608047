//! What goes to standard output: plain, in colour, or as JSON.

use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value};

use crate::arguments::{Colour, Common};
use crate::failure::Failure;

/// How to print.
pub struct Output {
    out: Box<dyn Write>,
    /// JSON was asked for.
    pub json: bool,
    colour: bool,
}

/// What a piece of output is.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A node's name or path.
    Name,
    /// A node's value.
    Value,
    /// A node's permissions.
    Permissions,
    /// What stands between them.
    Plain,
}

impl Kind {
    fn style(self) -> Style {
        match self {
            Self::Name => AnsiColor::Blue.on_default().bold(),
            Self::Value => AnsiColor::Green.on_default(),
            Self::Permissions => AnsiColor::Yellow.on_default(),
            Self::Plain => Style::new(),
        }
    }
}

/// Pieces of output in a row, put together before they are printed.
#[derive(Default)]
pub struct Line(Vec<(Kind, Vec<u8>)>);

impl Line {
    /// Adds a piece.
    pub fn push(&mut self, kind: Kind, bytes: impl Into<Vec<u8>>) {
        self.0.push((kind, bytes.into()));
    }
}

impl Output {
    /// Standard output, as the command line says.
    pub fn new(common: &Common) -> Self {
        let colour = match common.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                let no = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
                io::stdout().is_terminal() && !no && !dumb
            }
        };
        Self { out: Box::new(io::BufWriter::new(io::stdout())), json: common.json, colour }
    }

    /// Prints bytes as they are.
    ///
    /// # Errors
    /// They cannot be printed; as do all others here.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(unprintable)
    }

    /// Prints pieces.
    pub fn line(&mut self, line: &Line) -> Result<(), Failure> {
        for (kind, bytes) in &line.0 {
            let style = kind.style();
            if self.colour && style != Style::new() && !bytes.is_empty() {
                write!(self.out, "{style}").map_err(unprintable)?;
                self.raw(bytes)?;
                write!(self.out, "{style:#}").map_err(unprintable)?;
            } else {
                self.raw(bytes)?;
            }
        }
        Ok(())
    }

    /// Prints a JSON value on a line of its own.
    pub fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.raw(format!("{value}\n").as_bytes())
    }

    /// Hands over to the system what was printed.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(unprintable)
    }
}

/// Nobody reads any more: end as a program does that SIGPIPE ends, and as quietly.
fn unprintable(error: io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::quiet(128 + 13),
        _ => Failure::new(format!("cannot print: {error}")),
    }
}

/// A JSON object about a node.
pub fn node(path: &str) -> Map<String, Value> {
    Map::from_iter([("path".into(), path.into())])
}

/// Adds a value to it: as a string if it is text, else as `value_hex`.
pub fn add_value(node: &mut Map<String, Value>, value: &[u8]) {
    match std::str::from_utf8(value) {
        Ok(text) => node.insert("value".into(), text.into()),
        Err(_) => {
            let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            node.insert("value_hex".into(), digits.into())
        }
    };
}

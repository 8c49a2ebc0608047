//! The shell at which a person meets the kernel.
//!
//! ```text
//!  bytes ─ keys ─ editor ─ line ─ parse ─ words ─ commands ─ Kernel
//!                   │                                │
//!               complete                         Terminal
//! ```
//!
//! It is a task of the kernel, in Ring 1, but a plain one: all that it does goes through two traits
//! of [`kernel`], so that its tests run on the host. It allocates nothing; the most of its stack is
//! about 8 KiB, an [`editor::Editor`] of about 5 KiB included.
//!
//! There are two ways in: [`run`] for a person, [`exec`] for a script.

pub mod commands;
pub mod complete;
pub mod editor;
pub mod history;
pub mod kernel;
pub mod keys;
mod names;
pub mod parse;
pub mod xenstore;

use heapless::Vec;

use commands::Context;
use editor::{Editor, Ended};
pub use kernel::{Kernel, Terminal};
use names::Names;
use parse::{Parser, Separator, TEXT_MAX, WORDS_MAX, Words};

/// What the shell shows when it waits for a line.
pub const PROMPT: &str = "ferrule# ";

/// The file that greets.
const GREETING: &str = "/etc/motd";

/// Reads and runs lines, until the terminal has no more input (a serial one always may have).
pub fn run(kernel: &mut dyn Kernel, terminal: &mut dyn Terminal) {
    let mut editor = Editor::new();
    let mut status = 0;
    if kernel.stat(GREETING, &mut |_| {}).is_ok() {
        run_line(kernel, terminal, "cat /etc/motd", false, &mut status);
    }
    loop {
        let mut context = Context { kernel, terminal, background: false, scripted: false };
        commands::announce_ended(&mut context);
        if !terminal.at_line_start() {
            let _ = terminal.write_str("\n");
        }
        match editor.read_line(PROMPT, terminal, &mut Names(kernel)) {
            Ended::Entered => run_line(kernel, terminal, editor.line(), false, &mut status),
            Ended::Interrupted => status = 130,
            Ended::EndOfInput => {
                let _ =
                    terminal.write_str("This shell has no end; `poweroff` stops the machine.\n");
            }
            Ended::Closed => return,
        }
    }
}

/// Who runs lines that nobody types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Script {
    /// A runner, to whom each line is shown behind `$ `, then its output, then as the last line
    /// `exit-state: N`, with the status of the last command.
    Transcript,
    /// A person, who looks at the output alone.
    Plain,
}

/// Runs the lines in `encoded` (percent-encoded, as the kernel's command line carries them); the
/// status of the last command is returned.
pub fn exec(
    kernel: &mut dyn Kernel,
    terminal: &mut dyn Terminal,
    encoded: &str,
    script: Script,
) -> u8 {
    let mut status = 0;
    let shown = script == Script::Transcript;
    match percent_decode(encoded) {
        Ok(bytes) => match core::str::from_utf8(&bytes) {
            Ok(lines) => {
                for line in lines.lines().filter(|line| !line.trim().is_empty()) {
                    if shown {
                        let _ = writeln!(terminal, "$ {line}");
                    }
                    run_line(kernel, terminal, line, shown, &mut status);
                    fresh_line(terminal);
                }
            }
            Err(_) => status = refuse(terminal, "the lines to run are not UTF-8"),
        },
        Err(reason) => status = refuse(terminal, reason),
    }
    if shown {
        exit_state(terminal, status);
    }
    status
}

fn refuse(terminal: &mut dyn Terminal, reason: &str) -> u8 {
    let _ = writeln!(terminal, "exec: {reason}");
    commands::USAGE
}

fn fresh_line(terminal: &mut dyn Terminal) {
    if !terminal.at_line_start() {
        let _ = terminal.write_str("\n");
    }
}

/// Prints the line that tells a runner how the last command ended.
fn exit_state(terminal: &mut dyn Terminal, status: u8) {
    fresh_line(terminal);
    let _ = writeln!(terminal, "exit-state: {status}");
}

/// Runs the commands of one line. `status` is that of the last command, before and after.
fn run_line(
    kernel: &mut dyn Kernel,
    terminal: &mut dyn Terminal,
    line: &str,
    scripted: bool,
    status: &mut u8,
) {
    if let Err(error) = Parser::check(line) {
        let _ = writeln!(terminal, "{error}");
        *status = commands::USAGE;
        return;
    }
    let (mut parser, mut words) = (Parser::new(line), Words::new());
    // Cannot fail: the line was checked.
    while let Ok(Some(separator)) = parser.next_command(&mut words, *status) {
        let arguments: Vec<&str, WORDS_MAX> = words.iter().collect();
        let background = separator == Separator::Background;
        let mut context = Context { kernel, terminal, background, scripted };
        *status = commands::dispatch(&mut context, &arguments);
    }
}

/// Undoes percent-encoding: `%0a` is a line feed, everything else stands for itself.
fn percent_decode(encoded: &str) -> Result<Vec<u8, TEXT_MAX>, &'static str> {
    let mut decoded = Vec::new();
    let mut rest = encoded.as_bytes();
    while let [byte, tail @ ..] = rest {
        let (byte, tail) = match (byte, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
                    return Err("a % without two hexadecimal digits");
                };
                ((high << 4 | low) as u8, tail)
            }
            (b'%', _) => return Err("a % without two hexadecimal digits"),
            (byte, tail) => (*byte, tail),
        };
        decoded.push(byte).map_err(|_| "more than 1024 bytes of lines")?;
        rest = tail;
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests;

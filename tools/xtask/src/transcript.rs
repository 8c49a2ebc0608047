//! `--exec`: lines for the guest's shell, and the transcript that comes back.
//!
//! The lines travel on the guest's command line as `exec=` with everything but
//! plain characters percent-encoded. The guest prints `$ LINE` and its output
//! for each, then `exit-state: N`, and powers off. What is on the console before
//! the first `$ ` is boot chatter; the hypervisor's lines start with `(FR) `.

use std::collections::VecDeque;
use std::io::{self, Write};

use anyhow::{Result, ensure};

/// `MAX_GUEST_CMDLINE` of Xen's `start_info`, its ending NUL included.
const MAX_COMMAND_LINE: usize = 1024;
/// Lines that are kept for a person to see if things go wrong.
const KEPT_LINES: usize = 40;

/// The command line word that makes a guest run `lines`.
pub fn exec_word(lines: &str) -> String {
    let mut word = String::from("exec=");
    for byte in lines.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._/".contains(&byte) {
            word.push(char::from(byte));
        } else {
            word.push_str(&format!("%{byte:02X}"));
        }
    }
    word
}

/// Refuses a guest command line that `start_info` cannot hold.
pub fn check_command_line(line: &str) -> Result<()> {
    ensure!(
        line.len() < MAX_COMMAND_LINE,
        "the guest's command line is {} bytes long, but start_info holds {} (--exec lines are \
         percent-encoded: put long scripts into the guest's files instead)",
        line.len(),
        MAX_COMMAND_LINE - 1
    );
    Ok(())
}

/// Console bytes cut into lines, and the last few of them.
#[derive(Default)]
pub struct Lines {
    partial: Vec<u8>,
    kept: VecDeque<String>,
}

impl Lines {
    /// Takes bytes and calls `each` with every line that they complete, without its ending.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        for byte in bytes {
            match byte {
                b'\n' => self.cut(&mut each),
                _ => self.partial.push(*byte),
            }
        }
    }

    /// The last line may have no ending.
    pub fn finish(&mut self, mut each: impl FnMut(&str)) {
        if !self.partial.is_empty() {
            self.cut(&mut each);
        }
    }

    fn cut(&mut self, each: &mut impl FnMut(&str)) {
        let line = std::mem::take(&mut self.partial);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches('\r');
        each(text);
        if self.kept.len() == KEPT_LINES {
            self.kept.pop_front();
        }
        self.kept.push_back(text.to_string());
    }

    /// The last lines seen, the unfinished one included.
    pub fn tail(&self) -> Vec<String> {
        let mut tail: Vec<_> = self.kept.iter().cloned().collect();
        if !self.partial.is_empty() {
            tail.push(String::from_utf8_lossy(&self.partial).into_owned());
        }
        tail
    }
}

/// Sorts console lines into transcript, exit state and the rest.
#[derive(Default)]
pub struct Transcript {
    lines: Lines,
    begun: bool,
    state: Option<u8>,
}

impl Transcript {
    /// Takes console bytes: transcript lines go to `out`, all others to `rest`.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        out: &mut impl Write,
        rest: &mut impl Write,
    ) -> io::Result<()> {
        let (begun, state) = (&mut self.begun, &mut self.state);
        let mut done = Ok(());
        self.lines.feed(bytes, |line| {
            let result = sort(line, begun, state, out, rest);
            if done.is_ok() {
                done = result;
            }
        });
        done?;
        out.flush()
    }

    /// The guest's exit state, once it told it.
    pub fn state(&self) -> Option<u8> {
        self.state
    }

    /// The last lines seen.
    pub fn tail(&self) -> Vec<String> {
        self.lines.tail()
    }
}

fn sort(
    line: &str,
    begun: &mut bool,
    state: &mut Option<u8>,
    out: &mut impl Write,
    rest: &mut impl Write,
) -> io::Result<()> {
    if line.starts_with("(FR) ") || state.is_some() {
        return writeln!(rest, "{line}");
    }
    if let Some(number) = line.strip_prefix("exit-state: ") {
        *state = number.trim().parse::<i32>().ok().map(|number| number as u8);
        return Ok(());
    }
    *begun |= line.starts_with("$ ");
    if *begun { writeln!(out, "{line}") } else { writeln!(rest, "{line}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exec_lines_are_encoded() {
        assert_eq!(exec_word("cat /etc/motd; ps"), "exec=cat%20/etc/motd%3B%20ps");
        assert_eq!(exec_word("a,b\n100%"), "exec=a%2Cb%0A100%25");
        assert!(check_command_line(&"x".repeat(1023)).is_ok());
        assert!(check_command_line(&"x".repeat(1024)).is_err());
    }

    #[test]
    fn a_transcript_is_what_the_shell_printed() {
        let console = b"(FR) [0.001] Ferrule\r\nguest boots\r\n$ ps\r\nPID\r\n(FR) [0.2] d0 hm\r\n\
            $ false\r\nexit-state: 1\r\nbye\r\n(FR) [0.3] d0 domain 0 shutdown: poweroff\r\n";
        let (mut out, mut rest) = (Vec::new(), Vec::new());
        let mut transcript = Transcript::default();
        for piece in console.chunks(7) {
            transcript.feed(piece, &mut out, &mut rest).unwrap();
        }
        assert_eq!(String::from_utf8(out).unwrap(), "$ ps\nPID\n$ false\n");
        assert_eq!(transcript.state(), Some(1));
        let rest = String::from_utf8(rest).unwrap();
        assert!(rest.contains("guest boots\n") && rest.contains("bye\n") && rest.contains("hm\n"));
        assert_eq!(transcript.tail().len(), 9);
    }

    #[test]
    fn no_marker_is_no_state() {
        let mut transcript = Transcript::default();
        transcript.feed(b"$ ps\nexit-state", &mut Vec::new(), &mut Vec::new()).unwrap();
        assert_eq!(transcript.state(), None);
        assert_eq!(transcript.tail(), ["$ ps", "exit-state"]);
    }
}

//! Completion of the word before the cursor, independent of what is completed.
//!
//! [`Complete`] names the candidates, as often as it is asked; what they have in common is found
//! while they pass by, so that no list of them is kept.

use heapless::String;

use super::kernel::Terminal;

/// The longest name that takes part in completion.
pub const NAME_MAX: usize = 64;

/// Something the word could become.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// What would stand in place of the word.
    pub name: &'a str,
    /// What follows once it is certain: `' '`, or `'/'` after a directory.
    pub tail: char,
}

/// Knows what can be completed.
pub trait Complete {
    /// Where the word to complete starts in `before`, the line up to the cursor.
    fn word_start(&self, before: &str) -> usize;

    /// Calls `found` for each candidate that starts with the word, each once.
    fn candidates(&mut self, before: &str, found: &mut dyn FnMut(Candidate<'_>));
}

/// What completion found out.
#[derive(Debug, Default)]
pub struct Completion {
    /// What to insert at the cursor.
    pub insert: String<{ NAME_MAX + 1 }>,
    /// How many candidates there are.
    pub candidates: usize,
    /// The longest one, in characters.
    longest: usize,
}

/// Finds what all candidates for the end of `before` have in common.
pub fn complete_word(before: &str, completer: &mut dyn Complete) -> Completion {
    let typed = before.len() - completer.word_start(before);
    let mut completion = Completion::default();
    let mut common: String<NAME_MAX> = String::new();
    let mut tail = ' ';
    completer.candidates(before, &mut |candidate| {
        if !fits(&candidate) || candidate.name.len() < typed {
            return;
        }
        if completion.candidates == 0 {
            // Cannot fail: `fits` looked at the length.
            let _ = common.push_str(candidate.name);
            tail = candidate.tail;
        } else {
            let both = common.bytes().zip(candidate.name.bytes());
            let same = both.take_while(|(left, right)| left == right).count();
            common.truncate(same);
        }
        completion.candidates += 1;
        completion.longest = completion.longest.max(candidate.name.len() + 1);
    });
    let _ = completion.insert.push_str(common.get(typed..).unwrap_or(""));
    if completion.candidates == 1 {
        let _ = completion.insert.push(tail);
    }
    completion
}

/// Names that the parser would take apart, or the editor cannot hold, are left out.
fn fits(candidate: &Candidate<'_>) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+=@%:,/~".contains(&byte);
    candidate.name.len() <= NAME_MAX && candidate.name.bytes().all(plain)
}

impl Completion {
    /// Prints the candidates in columns.
    pub fn list(
        &self,
        before: &str,
        completer: &mut dyn Complete,
        terminal: &mut dyn Terminal,
        width: usize,
    ) {
        let cell = self.longest + 1;
        let mut column = 0;
        completer.candidates(before, &mut |candidate| {
            if !fits(&candidate) {
                return;
            }
            if column + cell > width && column > 0 {
                let _ = terminal.write_str("\n");
                column = 0;
            }
            let slash = if candidate.tail == '/' { "/" } else { "" };
            let pad = cell - candidate.name.len() - slash.len();
            let _ = write!(terminal, "{}{slash}{:pad$}", candidate.name, "");
            column += cell;
        });
        let _ = terminal.write_str("\n");
    }
}

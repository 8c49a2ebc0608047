//! Completion for the host's shell: a script for bash, and the words that it asks for.

use link::machine::Machines;

use super::carry::{self, Error};
use super::options::{self, Options};
use super::plan::Freight;
use super::terminal::Standard;
use xl::terminal::{Stream, Terminal};
use xl::verbs;

/// For `~/.bashrc`: `eval "$(xl --completion bash)"`. Where it has no words, bash completes files.
pub const BASH: &str = r#"_xl() {
    local IFS=$'\n'
    COMPREPLY=($(xl complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _xl xl
"#;

/// Prints what the last of the words behind `complete --` could become: with the names of domains if
/// a machine runs, without them else; the host's own options, and names of machines for one of them.
pub fn complete(words: &[&str]) -> Result<u8, Error> {
    let behind = words.iter().position(|word| *word == "--").map_or(1, |at| at + 1);
    let typed = words.get(behind..).unwrap_or(&[]);
    let last = typed.last().copied().unwrap_or("");
    let candidates = match Options::parse(typed.iter().map(|word| (*word).into()).collect()) {
        Ok(Options { words, .. }) if words.len() == 1 && last.starts_with('-') => {
            options::NAMES.map(String::from).to_vec()
        }
        Ok(Options { words, machine, .. }) if !words.is_empty() => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            if link::machine::find(machine.as_deref()).is_ok() {
                let asked = [&["complete", "--"], &words[..]].concat();
                return carry::carry(Freight::of(&asked), machine.as_deref());
            }
            verbs::candidates(&words, &[])
        }
        // The last word belongs to --machine.
        _ => machines(),
    };
    for candidate in candidates.iter().filter(|candidate| candidate.starts_with(last)) {
        Standard.write(Stream::Out, format!("{candidate}\n").as_bytes());
    }
    Ok(verbs::OK)
}

/// The names of the machines that run.
fn machines() -> Vec<String> {
    let running = Machines::of_user().and_then(|machines| machines.running());
    running.map_or(Vec::new(), |running| running.into_iter().map(|found| found.name).collect())
}

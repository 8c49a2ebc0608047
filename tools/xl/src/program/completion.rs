//! Completion for the host's shell: a script for bash, and the words that it asks for.

use super::carry::{self, Error};
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

/// Prints candidates: with the names of domains if a machine runs, without them else.
pub fn complete(words: &[&str], machine: Option<&str>) -> Result<u8, Error> {
    if link::machine::find(machine).is_ok() {
        return carry::carry(Freight::of(words), machine);
    }
    let behind = words.iter().position(|word| *word == "--").map_or(1, |at| at + 1);
    for candidate in verbs::candidates(words.get(behind..).unwrap_or(&[]), &[]) {
        Standard.write(Stream::Out, format!("{candidate}\n").as_bytes());
    }
    Ok(verbs::OK)
}

//! What a half-typed command line could become, for domain 0's shell and the host's.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::arguments::{Arguments, Flag, HELP};
use super::{Operands, Outcome, Session, VERBS, Verb, find};

/// `complete WORD…`: one candidate a line. The words follow a `--`, for they may be options.
pub fn complete(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let names: Vec<String> = match session.toolstack.domains() {
        Ok(domains) => domains.into_iter().map(|domain| domain.name).collect(),
        // Completion is silent about what it cannot know.
        Err(_) => Vec::new(),
    };
    for candidate in candidates(&arguments.operands, &names) {
        session.out(format_args!("{candidate}\n"));
    }
    Ok(())
}

/// What the last of `words`, typed behind `xl`, could become; `domains` are the names there are.
/// Files are not among it: the shell knows its own.
pub fn candidates(words: &[&str], domains: &[String]) -> Vec<String> {
    let (last, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (*last, before));
    let mut found = match before {
        [] => verbs(),
        [name, before @ ..] => {
            find(name).map_or(Vec::new(), |verb| behind(verb, before, last, domains))
        }
    };
    found.retain(|candidate| candidate.starts_with(last) && !candidate.is_empty());
    found.sort();
    found
}

fn verbs() -> Vec<String> {
    VERBS.iter().map(|verb| verb.name.to_string()).collect()
}

fn behind(verb: &Verb, before: &[&str], last: &str, domains: &[String]) -> Vec<String> {
    let takes_value = |word: &str| {
        let flag =
            |flag: &&Flag| word == format!("-{}", flag.short) || word == format!("--{}", flag.long);
        verb.flags.iter().find(flag).filter(|flag| !flag.value.is_empty())
    };
    if let Some(flag) = before.last().and_then(|word| takes_value(word)) {
        return if flag.long == "domain" { domains.to_vec() } else { Vec::new() };
    }
    if last.starts_with('-') {
        return verb.flags.iter().chain([&HELP]).flat_map(spellings).collect();
    }
    let nth = before.iter().filter(|word| !word.starts_with('-')).count();
    match (verb.operands, nth) {
        (Operands::Domain | Operands::DomainAnd(_), 0) | (Operands::Domains, _) => domains.to_vec(),
        (Operands::DomainAnd(words), 1) => words.iter().map(ToString::to_string).collect(),
        (Operands::Verb, 0) => verbs(),
        _ => Vec::new(),
    }
}

fn spellings(flag: &Flag) -> [String; 2] {
    let long = if flag.long.is_empty() { String::new() } else { format!("--{}", flag.long) };
    [format!("-{}", flag.short), long]
}

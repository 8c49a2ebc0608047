//! Options that are the host's own, before the verb: which machine, the version, completion.

/// What `--version` prints.
pub const VERSION: &str = concat!("xl (Ferrule) ", env!("CARGO_PKG_VERSION"), "\n");

/// The options.
pub const NAMES: [&str; 3] = ["--completion", "--machine", "--version"];

/// What was typed, taken apart.
#[derive(PartialEq, Eq, Debug)]
pub struct Options {
    /// The machine's name or directory; `None`: the one that runs.
    pub machine: Option<String>,
    /// What is to be done.
    pub action: Action,
    /// The verb and what follows it.
    pub words: Vec<String>,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// To carry a verb out.
    Verb,
    /// To print the version.
    Version,
    /// To print the completion of bash.
    Completion,
}

impl Options {
    /// Takes the host's options off the front; others stay with the verb.
    pub fn parse(words: Vec<String>) -> Result<Self, String> {
        let (mut machine, mut action) = (None, Action::Verb);
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next_if(|word| is_ours(word)) {
            match word.split_once('=').unwrap_or((&word, "")) {
                ("--version", _) => action = Action::Version,
                ("--completion", "bash") => action = Action::Completion,
                ("--completion", "") => match words.next().as_deref() {
                    Some("bash") => action = Action::Completion,
                    _ => return Err("--completion takes the name of a shell: bash".into()),
                },
                ("--completion", shell) => {
                    return Err(format!("there is no completion for {shell}, there is for bash"));
                }
                (_, "") => {
                    let named = words.next().filter(|name| !name.is_empty());
                    machine = Some(named.ok_or("--machine takes a name or a directory")?);
                }
                (_, name) => machine = Some(name.into()),
            }
        }
        Ok(Self { machine, action, words: words.collect() })
    }
}

fn is_ours(word: &str) -> bool {
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(String::from).collect())
    }

    fn options(machine: Option<&str>, action: Action, words: &[&str]) -> Result<Options, String> {
        let words = words.iter().map(|word| (*word).into()).collect();
        Ok(Options { machine: machine.map(Into::into), action, words })
    }

    #[test]
    fn they_stand_before_the_verb() {
        assert_eq!(parse(""), options(None, Action::Verb, &[]));
        assert_eq!(parse("list -l"), options(None, Action::Verb, &["list", "-l"]));
        assert_eq!(parse("--machine a list"), options(Some("a"), Action::Verb, &["list"]));
        assert_eq!(
            parse("--machine=./a -v list"),
            options(Some("./a"), Action::Verb, &["-v", "list"])
        );
        assert_eq!(
            parse("list --machine=a"),
            options(None, Action::Verb, &["list", "--machine=a"])
        );
        assert_eq!(parse("--version"), options(None, Action::Version, &[]));
        assert_eq!(parse("--completion bash"), options(None, Action::Completion, &[]));
        assert_eq!(parse("--completion=bash"), options(None, Action::Completion, &[]));
        for line in
            ["--machine", "--machine=", "--completion", "--completion=fish", "--completion x"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}

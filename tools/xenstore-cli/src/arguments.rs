//! The command line: verbs and flags of Xen's `xenstore-*` tools, and a few more.
//!
//! A link to this program under the name of one of those tools (`xenstore-ls`) is that tool.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Command, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use xenstore::perms::Permission;

use crate::failure::Failure;
use crate::permissions;

/// Look into a XenStore, and change it
#[derive(Parser)]
#[command(
    name = "xenstore-cli",
    version,
    after_help = "The server is the one at --socket, else at $XENSTORED_PATH, else at \
                  $XENSTORED_RUNDIR/socket, else the one of\nthe Ferrule machine that runs, else that of a \
                  Xen host or of xenstored at /run/xenstored/socket.\n\
                  \n\
                  A path that begins with no `/` is taken from the home of the connection, /local/domain/0.\n\
                  \n\
                  Exit codes: 0 done; 1 refused, not there, or wrong usage; control: 2 wrong usage, 3 refused."
)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub verb: Verb,
}

/// What every verb takes.
#[derive(Args)]
#[command(next_help_heading = "Server and output")]
pub struct Common {
    /// The server's socket
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// The Ferrule machine whose store is meant, by its name or its directory, if several run
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "socket")]
    pub machine: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Whether to print in colour
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    pub color: Colour,
    /// Accepted and ignored, as by Xen's tools: there is but one way to a server, its socket
    #[arg(short = 's', global = true, hide = true)]
    pub socket_only: bool,
}

/// When output has colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Print the tree below a node: names, values, permissions
    Ls(LsArgs),
    /// Print the names of a node's children
    List(ListArgs),
    /// Print values
    Read(ReadArgs),
    /// Write values; several at once or not at all
    Write(WriteArgs),
    /// Remove nodes with all that is below them
    Rm(RmArgs),
    /// Tell by the exit code whether all these nodes exist
    Exists(ExistsArgs),
    /// Set a node's permissions
    Chmod(ChmodArgs),
    /// Print the path of each node that changes at or below a node
    Watch(WatchArgs),
    /// Send a command to the server itself (`help` lists those it knows)
    Control(ControlArgs),
    /// Print a script that completes this program's command line in a shell
    #[command(after_help = "For bash:  source <(xenstore-cli completions bash)")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Args)]
#[command(
    after_help = "Example:  xenstore-cli ls -f /local/domain      all domains, a whole path a line"
)]
pub struct LsArgs {
    /// Print whole paths, without indentation and untruncated
    #[arg(short = 'f', long)]
    pub flat: bool,
    /// Print permissions: the owner first, then who else may do what (r read, w write, b both, n none)
    #[arg(short = 'p', long, alias = "prefix")]
    pub permissions: bool,
    /// Where to begin
    #[arg(value_name = "PATH", default_value = "/")]
    pub paths: Vec<String>,
}

#[derive(Args)]
pub struct ListArgs {
    /// Print each name behind its parent's path
    #[arg(short = 'p', long)]
    pub prefix: bool,
    /// Whose children
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<String>,
}

#[derive(Args)]
pub struct ReadArgs {
    /// Print each value behind its path
    #[arg(short = 'p', long)]
    pub prefix: bool,
    /// Print values as they are: nothing escaped, no newline after them
    #[arg(short = 'R', long)]
    pub raw: bool,
    /// What to read
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<String>,
}

#[derive(Args)]
#[command(
    override_usage = "xenstore-cli write [OPTIONS] <PATH> <VALUE> [<PATH> <VALUE>]...",
    after_help = "Example:  xenstore-cli write /local/domain/1/memory/target 65536"
)]
pub struct WriteArgs {
    /// Take values as they are; without it \n, \r, \t, \\, \xHH and \OOO in them are escapes
    #[arg(short = 'R', long)]
    pub raw: bool,
    /// Paths and values in turn
    #[arg(
        value_names = ["PATH", "VALUE"],
        required = true,
        num_args = 1..,
        allow_negative_numbers = true
    )]
    pub pairs: Vec<OsString>,
}

#[derive(Args)]
pub struct RmArgs {
    /// Then remove the parents too, as far up as they are left with neither value nor children
    #[arg(short = 't', long)]
    pub tidy: bool,
    /// What to remove
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<String>,
}

#[derive(Args)]
pub struct ExistsArgs {
    /// Which nodes
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<String>,
}

#[derive(Args)]
#[command(
    after_help = "Example:  xenstore-cli chmod /local/domain/1/data n1 r2      domain 1 owns it, domain 2 may read, others nothing"
)]
pub struct ChmodArgs {
    /// Set them on everything below the node too
    #[arg(short = 'r', long)]
    pub recurse: bool,
    /// Set them on the node's parents too, the root excepted
    #[arg(short = 'u', long)]
    pub upto: bool,
    /// Which node
    #[arg(value_name = "PATH")]
    pub path: String,
    /// A letter (r read, w write, b both, n none) and a domain's number, as in r5. The first is the
    /// owner, and its letter holds for all domains that no other names
    #[arg(value_name = "PERMISSION", required = true, value_parser = permissions::parse)]
    pub permissions: Vec<Permission>,
}

#[derive(Args)]
#[command(
    after_help = "Example:  xenstore-cli watch /local/domain @releaseDomain      until Ctrl-C"
)]
pub struct WatchArgs {
    /// End after so many events; each watch gives one at once, -1 is no end
    #[arg(
        short = 'n', long, value_name = "COUNT", default_value_t = -1, hide_default_value = true,
        allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..)
    )]
    pub number: i64,
    /// End after so many seconds, with exit code 1 if events of -n were still to come
    #[arg(short = 'T', long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub timeout: Option<Duration>,
    /// What to watch; @introduceDomain and @releaseDomain watch domains come and go
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<String>,
}

#[derive(Args)]
#[command(
    after_help = "Options such as --json go before the command: what follows it is for the server."
)]
pub struct ControlArgs {
    /// The command, and what it takes
    #[arg(
        value_names = ["COMMAND", "ARGUMENT"], required = true, num_args = 1..,
        trailing_var_arg = true, allow_hyphen_values = true
    )]
    pub words: Vec<String>,
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "say a number of seconds, such as 5 or 0.5".into())
}

/// Reads the command line.
///
/// # Errors
/// Wrong usage; also the texts of `--help` and `--version`, with exit code 0.
pub fn parse(arguments: Vec<OsString>) -> Result<Cli, Failure> {
    let arguments = spelled_out(arguments);
    Cli::try_parse_from(&arguments).map_err(|error| {
        let control = arguments.iter().any(|word| word == "control");
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Failure::usage(error, 0),
            ErrorKind::InvalidSubcommand => Failure::usage(with_verb_for_a_path(error), 1),
            _ => Failure::usage(error, if control { 2 } else { 1 }),
        }
    })
}

/// `xenstore-ls -f` as `xenstore-cli ls -f`, if that is this program's name.
fn spelled_out(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments.first().map(Path::new).and_then(Path::file_name).and_then(OsStr::to_str);
    let verb = name.and_then(|name| name.strip_prefix("xenstore-"));
    if let Some(verb) = verb.filter(|verb| Cli::command().find_subcommand(verb).is_some()) {
        let verb = OsString::from(verb);
        arguments.splice(..1, [OsString::from("xenstore-cli"), verb]);
    }
    arguments
}

/// Somebody typed a path where a verb belongs.
fn with_verb_for_a_path(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && word.starts_with(['/', '@'])
    {
        let tip = format!("a verb comes first: `xenstore-cli ls {word}` prints what is there");
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// The command line as clap knows it, for scripts that complete it.
pub fn command() -> Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Cli, Failure> {
        parse(words.iter().map(OsString::from).collect())
    }

    fn refusal(words: &[&str]) -> (u8, String) {
        match parsed(words) {
            Ok(_) => panic!("{words:?} was taken"),
            Err(failure) => (failure.code, failure.to_string()),
        }
    }

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_programs_name_may_be_that_of_a_tool() {
        let cli = parsed(&["/usr/bin/xenstore-ls", "-f", "/local"]).ok().unwrap();
        assert!(matches!(cli.verb, Verb::Ls(LsArgs { flat: true, .. })));
        assert!(parsed(&["xenstore-cli", "ls"]).is_ok());
        assert!(parsed(&["xenstore-other", "ls"]).is_ok());
    }

    #[test]
    fn flags_go_before_or_after_paths() {
        for words in [["-p", "/a"], ["/a", "-p"]] {
            let cli = parsed(&[&["xenstore-cli", "read"], &words[..]].concat()).ok().unwrap();
            assert!(matches!(cli.verb, Verb::Read(ReadArgs { prefix: true, .. })));
        }
    }

    #[test]
    fn values_may_be_negative_and_control_takes_anything() {
        let cli = parsed(&["xenstore-cli", "write", "/a", "-5"]).ok().unwrap();
        assert!(matches!(cli.verb, Verb::Write(WriteArgs { pairs, .. }) if pairs == ["/a", "-5"]));
        let cli =
            parsed(&["xenstore-cli", "control", "live-update", "-s", "-t", "5"]).ok().unwrap();
        assert!(matches!(cli.verb, Verb::Control(ControlArgs { words }) if words.len() == 4));
    }

    #[test]
    fn wrong_usage_gets_the_exit_codes_of_the_tools_and_a_tip() {
        assert_eq!(refusal(&["xenstore-cli", "read"]).0, 1);
        assert_eq!(refusal(&["xenstore-cli", "control"]).0, 2);
        assert_eq!(refusal(&["xenstore-cli", "--help"]).0, 0);
        let (code, text) = refusal(&["xenstore-cli", "raed", "/a"]);
        assert_eq!(code, 1);
        assert!(text.contains("'read'"), "{text}");
        let (_, text) = refusal(&["xenstore-cli", "/local/domain"]);
        assert!(text.contains("xenstore-cli ls /local/domain"), "{text}");
        let (_, text) = refusal(&["xenstore-cli", "watch", "-T", "soon", "/a"]);
        assert!(text.contains("number of seconds"), "{text}");
    }
}

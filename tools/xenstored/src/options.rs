//! What a person can say on the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use log::LevelFilter;
use xenstore::DomId;

/// Where Xen's own daemon keeps its socket.
const RUN_DIRECTORY: &str = "/run/xenstored";

/// A XenStore server for this Linux system; it needs no Xen
#[derive(Parser, Debug)]
#[command(
    name = "xenstored",
    version,
    after_help = "It stays in the foreground, and says `ready` on standard output once clients can connect.\n\
                  SIGTERM and SIGINT end it; SIGHUP writes the state file now.\n\
                  \n\
                  Try it:  xenstored --socket /tmp/store &\n         \
                  XENSTORED_PATH=/tmp/store xenstore-ls -f"
)]
pub struct Options {
    /// Listen here; clients of this socket are domain 0 [default: $XENSTORED_PATH, else
    /// $XENSTORED_RUNDIR/socket, else /run/xenstored/socket]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Who may connect: the permissions of the sockets, in octal
    #[arg(long, value_name = "MODE", default_value = "0600", value_parser = parse_mode)]
    pub mode: u32,

    /// Listen at PATH too; clients of that socket are the unprivileged domain DOMID, with its home,
    /// its permissions and its quotas. May be given several times
    #[arg(long, value_name = "DOMID=PATH", value_parser = parse_domain_socket)]
    pub domain_socket: Vec<DomainSocket>,

    /// Start from the state in FILE if there is one, and save it there at the end, at SIGHUP and at
    /// `control live-update`
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,

    /// Write the process's number there while it runs
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,

    /// What to say on standard error
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Level::Info)]
    pub log_level: Level,
}

impl Options {
    /// The socket for domain 0, by the conventions of Xen's client library.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        let environment = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        self.socket.clone().unwrap_or_else(|| {
            default_socket(environment("XENSTORED_PATH"), environment("XENSTORED_RUNDIR"))
        })
    }
}

fn default_socket(path: Option<OsString>, run_directory: Option<OsString>) -> PathBuf {
    path.map_or_else(
        || {
            let directory = run_directory.unwrap_or_else(|| RUN_DIRECTORY.into());
            PathBuf::from(directory).join("socket")
        },
        PathBuf::from,
    )
}

/// A socket whose clients are a domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DomainSocket {
    /// The domain.
    pub domid: DomId,
    /// Where to listen.
    pub path: PathBuf,
}

/// How much to say; each level includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Level {
    /// Nothing but why it ended
    Error,
    /// What went wrong and was survived
    Warn,
    /// Start, end, state files, domains
    Info,
    /// Clients coming and going
    Debug,
    /// Every request
    Trace,
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::Error,
            Level::Warn => Self::Warn,
            Level::Info => Self::Info,
            Level::Debug => Self::Debug,
            Level::Trace => Self::Trace,
        }
    }
}

fn parse_mode(text: &str) -> Result<u32> {
    let mode = u32::from_str_radix(text, 8)
        .with_context(|| format!("`{text}` is not an octal number such as 0660"))?;
    ensure!(mode <= 0o777, "`{text}` has more than the nine bits of rwxrwxrwx");
    ensure!(mode & 0o200 != 0, "with `{text}` not even this user could connect: say 0200 at least");
    Ok(mode)
}

fn parse_domain_socket(text: &str) -> Result<DomainSocket> {
    let Some((domid, path)) = text.split_once('=') else {
        bail!("`{text}` has no `=`; say for example 1=/tmp/store-of-domain-1");
    };
    let domid = domid.parse().ok().map(DomId::new).filter(|domid| domid.is_ordinary());
    let domid =
        domid.with_context(|| format!("`{text}` begins with no domain's number, 0 to 32751"))?;
    ensure!(!path.is_empty(), "`{text}` names no path after the `=`");
    Ok(DomainSocket { domid, path: path.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }

    #[test]
    fn the_environment_names_the_socket_as_for_the_client_library() {
        let of = |path: Option<&str>, directory: Option<&str>| {
            default_socket(path.map(OsString::from), directory.map(OsString::from))
        };
        assert_eq!(of(Some("/a"), Some("/b")), PathBuf::from("/a"));
        assert_eq!(of(None, Some("/b")), PathBuf::from("/b/socket"));
        assert_eq!(of(None, None), PathBuf::from("/run/xenstored/socket"));
    }

    #[test]
    fn modes_are_octal_and_useful() {
        assert_eq!(parse_mode("0660").unwrap(), 0o660);
        for (text, sentence) in [
            ("rw", "not an octal number"),
            ("1777", "nine bits"),
            ("99", "not an octal number"),
            ("0044", "not even this user"),
        ] {
            let error = parse_mode(text).unwrap_err().to_string();
            assert!(error.contains(sentence), "{error}");
        }
    }

    #[test]
    fn sockets_of_domains_have_a_domain_and_a_path() {
        let socket = parse_domain_socket("7=/tmp/a=b").unwrap();
        assert_eq!(socket, DomainSocket { domid: DomId::new(7), path: "/tmp/a=b".into() });
        for (text, sentence) in [
            ("/tmp/a", "has no `=`"),
            ("x=/tmp/a", "no domain's number"),
            ("32752=/tmp/a", "no domain's number"),
            ("1=", "no path"),
        ] {
            let error = parse_domain_socket(text).unwrap_err().to_string();
            assert!(error.contains(sentence), "{error}");
        }
    }
}

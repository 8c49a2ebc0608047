//! Where the server is.
//!
//! What a person says wins over what the environment says, and that over what is found. Each way that
//! leads nowhere ends in a sentence that says which way it was and what to do.

use std::env;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use link::machine;

use crate::arguments::Common;
use crate::failure::Failure;

/// Where a server of this system listens: Xen's daemon, or `xenstored`.
const SYSTEM_SOCKETS: [&str; 2] = ["/run/xenstored/socket", "/var/run/xenstored/socket"];

/// A socket, and how it was found.
#[derive(PartialEq, Eq, Debug)]
struct Place {
    socket: PathBuf,
    /// "given by --socket"
    origin: String,
}

/// What the environment says.
#[derive(Default)]
struct Environment {
    path: Option<PathBuf>,
    run_directory: Option<PathBuf>,
}

/// Connects to the server that the command line, the environment or the machine that runs leads to.
///
/// # Errors
/// There is none.
pub fn connect(common: &Common) -> Result<UnixStream, Failure> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let environment = Environment {
        path: variable("XENSTORED_PATH"),
        run_directory: variable("XENSTORED_RUNDIR"),
    };
    let place = match named(common, environment)? {
        Some(place) => place,
        None => found(machine::find(None), &SYSTEM_SOCKETS)?,
    };
    UnixStream::connect(&place.socket).map_err(|error| Failure::new(refusal(&place, &error)))
}

/// The place that somebody named.
fn named(common: &Common, environment: Environment) -> Result<Option<Place>, Failure> {
    let place = |socket, origin: &str| Ok(Some(Place { socket, origin: origin.into() }));
    if let Some(socket) = &common.socket {
        place(socket.clone(), "given by --socket")
    } else if let Some(name) = &common.machine {
        let found = machine::find(Some(name)).map_err(|error| Failure::new(error.to_string()))?;
        place(found.xenstored(), &format!("of the machine {name}"))
    } else if let Some(socket) = environment.path {
        place(socket, "given by XENSTORED_PATH")
    } else if let Some(directory) = environment.run_directory {
        place(directory.join("socket"), "given by XENSTORED_RUNDIR")
    } else {
        Ok(None)
    }
}

/// The place that was found without anybody naming it.
fn found(machine: machine::Result<machine::Found>, system: &[&str]) -> Result<Place, Failure> {
    match machine {
        Ok(found) => {
            let origin = format!("of the machine {}", found.name);
            Ok(Place { socket: found.xenstored(), origin })
        }
        Err(machine::Error::None) => {
            let socket = system.iter().map(PathBuf::from).find(|socket| socket.exists());
            let socket = socket.ok_or_else(|| {
                Failure::new(
                    "there is no XenStore server: no Ferrule machine runs (tools/run starts one), and \
                     nothing is at /run/xenstored/socket. Name a server's socket with --socket PATH or \
                     XENSTORED_PATH; `xenstored --socket PATH` starts one",
                )
            })?;
            Ok(Place { socket, origin: "of this system".into() })
        }
        Err(error) => Err(Failure::new(error.to_string())),
    }
}

/// Why nobody answers there.
fn refusal(place: &Place, error: &std::io::Error) -> String {
    let (path, origin) = (place.socket.display(), &place.origin);
    match error.kind() {
        ErrorKind::NotFound => {
            format!("there is no socket {path} ({origin}): is its server running?")
        }
        ErrorKind::ConnectionRefused if is_socket(&place.socket) => format!(
            "nobody listens at {path} ({origin}): its server has ended and has left the socket behind"
        ),
        ErrorKind::ConnectionRefused => format!("{path} ({origin}) is no socket"),
        ErrorKind::PermissionDenied => format!(
            "this user may not connect to {path} ({origin}): ask as the user who runs the server, or \
             start the server with another --mode"
        ),
        ErrorKind::InvalidInput => {
            format!("the path {path} ({origin}) is too long for a socket: 107 bytes are the most")
        }
        _ => format!("cannot connect to {path} ({origin}): {error}"),
    }
}

fn is_socket(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments;

    fn common(words: &[&str]) -> Common {
        let words = [&["xenstore-cli"], words, &["ls"]].concat();
        arguments::parse(words.into_iter().map(Into::into).collect()).ok().unwrap().common
    }

    fn machine_called(name: &str) -> machine::Found {
        machine::Found { name: name.into(), directory: PathBuf::from("/m").join(name), pid: None }
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        let environment =
            || Environment { path: Some("/p".into()), run_directory: Some("/r".into()) };
        let place = |common, environment| named(&common, environment).unwrap().unwrap().socket;
        assert_eq!(place(common(&["--socket", "/s"]), environment()), PathBuf::from("/s"));
        assert_eq!(place(common(&[]), environment()), PathBuf::from("/p"));
        let directory = Environment { path: None, ..environment() };
        assert_eq!(place(common(&[]), directory), PathBuf::from("/r/socket"));
        assert_eq!(named(&common(&[]), Environment::default()).unwrap(), None);
    }

    #[test]
    fn the_machine_that_runs_wins_over_the_system() {
        let directory = tempfile::tempdir().unwrap();
        let system = directory.path().join("socket");
        std::fs::write(&system, "").unwrap();
        let system = system.to_str().unwrap();
        let place = found(Ok(machine_called("a")), &[system]).unwrap();
        assert_eq!(place.socket, PathBuf::from("/m/a/xenstored"));
        let place = found(Err(machine::Error::None), &["/nowhere", system]).unwrap();
        assert_eq!(place.socket, PathBuf::from(system));
    }

    #[test]
    fn a_person_learns_what_to_do() {
        let none = found(Err(machine::Error::None), &["/nowhere"]).unwrap_err().to_string();
        assert!(none.contains("tools/run") && none.contains("--socket"), "{none}");
        let several = machine::Error::Several(vec!["a".into(), "b".into()]);
        let several = found(Err(several), &["/nowhere"]).unwrap_err().to_string();
        assert!(several.contains("--machine"), "{several}");
    }
}

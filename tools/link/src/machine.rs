//! The directory of a running machine: how programs of the host find it.
//!
//! Whoever runs a machine makes `${XDG_RUNTIME_DIR:-/tmp/ferrule-UID}/ferrule/NAME/`, for its user
//! alone, with the Unix sockets [`xenstored`](Found::xenstored) and [`xl`](Found::xl) in it. The
//! file `lock` holds the process's number, and an exclusive lock for as long as the process
//! lives: a directory whose lock can be had is left over from a process that was killed, is
//! passed over, and is replaced when its name is wanted.
//!
//! A directory gets its name when everything is in it (a rename), so that nobody sees half of one.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::sync::atomic::{AtomicU32, Ordering};
use std::vec::Vec;
use std::{env, format, process, thread};

/// Names the machine, or its directory, that programs talk to.
pub const VARIABLE: &str = "FERRULE_MACHINE";
/// The name that a machine gets if nothing else is said; others get a number behind it.
const DEFAULT_NAME: &str = "ferrule";
/// The file that is locked.
const LOCK: &str = "lock";
/// Most bytes of a name: paths of sockets are short.
const MAX_NAME: usize = 32;

/// Why there is no machine, as a sentence that says what to do.
#[derive(Debug)]
pub enum Error {
    /// None runs.
    None,
    /// None of this name runs.
    NotRunning(String),
    /// Several run.
    Several(Vec<String>),
    /// One of this name runs already.
    Exists(String),
    /// Letters, digits, `-`, `_` and `.`, no more than 32.
    Name(String),
    /// The directory of machines belongs to somebody else, or is open to others.
    NotOurs(PathBuf),
    /// A file could not be used.
    Io(PathBuf, io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "no machine runs; start one with tools/run"),
            Self::NotRunning(name) => {
                write!(f, "no machine called {name} runs; start it with tools/run --machine {name}")
            }
            Self::Several(names) => write!(
                f,
                "several machines run ({}); name one with --machine NAME or ${VARIABLE}",
                names.join(", ")
            ),
            Self::Exists(name) => write!(f, "a machine called {name} runs already"),
            Self::Name(name) => write!(
                f,
                "{name:?} is no name for a machine: use letters, digits, -, _ and ., at most \
                 {MAX_NAME} of them"
            ),
            Self::NotOurs(path) => write!(
                f,
                "{} belongs to somebody else or is open to others; remove it, or set \
                 XDG_RUNTIME_DIR to a directory of yours",
                path.display()
            ),
            Self::Io(path, error) => write!(f, "cannot use {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for Error {}

/// What this module's functions return.
pub type Result<T> = std::result::Result<T, Error>;

trait At<T> {
    fn at(self, path: &Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|error| Error::Io(path.into(), error))
    }
}

/// The user's machines.
pub struct Machines {
    directory: PathBuf,
}

/// A machine that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub directory: PathBuf,
    /// The number of the process that runs it, if that could be read.
    pub pid: Option<u32>,
}

impl Found {
    /// The socket of its store, which speaks XenStore's wire protocol.
    pub fn xenstored(&self) -> PathBuf {
        self.directory.join(XENSTORED)
    }

    /// The socket for verbs of `xl`.
    pub fn xl(&self) -> PathBuf {
        self.directory.join(XL)
    }
}

const XENSTORED: &str = "xenstored";
const XL: &str = "xl";

/// The directory of a machine that this process runs. It vanishes when this is dropped.
#[derive(Debug)]
pub struct Running {
    found: Found,
    /// Holds the lock.
    _lock: File,
}

impl Running {
    /// The machine as others find it.
    pub fn found(&self) -> &Found {
        &self.found
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.found.directory);
    }
}

/// The machine that a program of the host is to talk to: the one that was named (by an option, else
/// by [`VARIABLE`]; a text with a `/` is a directory), or else the only one that runs.
pub fn find(named: Option<&str>) -> Result<Found> {
    let variable = env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let machines = Machines::of_user()?;
    match named.map(str::to_string).or(variable) {
        Some(text) => machines.named(&text),
        None => machines.only(),
    }
}

impl Machines {
    /// Those of the user who asks.
    pub fn of_user() -> Result<Self> {
        let base = match env::var_os("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty()) {
            Some(directory) => directory.into(),
            None => {
                let user = rustix::process::getuid().as_raw();
                PathBuf::from(format!("/tmp/ferrule-{user}"))
            }
        };
        Self::below(&base)
    }

    /// Those in `base/ferrule`.
    pub fn below(base: &Path) -> Result<Self> {
        for directory in [base, &base.join("ferrule")] {
            match fs::symlink_metadata(directory) {
                // Below /tmp anybody may have made it, to listen in our place.
                Ok(metadata)
                    if metadata.uid() != rustix::process::getuid().as_raw()
                        || !metadata.is_dir()
                        || metadata.mode() & 0o022 != 0 =>
                {
                    return Err(Error::NotOurs(directory.into()));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(Error::Io(directory.into(), error)),
            }
        }
        Ok(Self { directory: base.join("ferrule") })
    }

    /// Those that run, by name.
    pub fn running(&self) -> Result<Vec<Found>> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::Io(self.directory.clone(), error)),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut all: Vec<Found> = names
            .filter(|name| is_name(name))
            .filter_map(|name| running_in(&self.directory.join(name)))
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The only one that runs.
    pub fn only(&self) -> Result<Found> {
        let mut all = self.running()?;
        match (all.pop(), all.is_empty()) {
            (Some(found), true) => Ok(found),
            (None, _) => Err(Error::None),
            (Some(last), false) => {
                all.push(last);
                Err(Error::Several(all.into_iter().map(|found| found.name).collect()))
            }
        }
    }

    /// The one of this name, or in this directory if there is a `/` in it.
    pub fn named(&self, text: &str) -> Result<Found> {
        let directory = match text {
            _ if text.contains('/') => PathBuf::from(text),
            _ if is_name(text) => self.directory.join(text),
            _ => return Err(Error::Name(text.into())),
        };
        running_in(&directory).ok_or_else(|| Error::NotRunning(text.into()))
    }

    /// Makes the directory of a machine that this process is about to run, with a name of its own if
    /// none is wanted.
    pub fn create(&self, name: Option<&str>) -> Result<Running> {
        if let Some(name) = name {
            return self.create_named(name);
        }
        let mut number = 1;
        loop {
            let name = match number {
                1 => DEFAULT_NAME.to_string(),
                _ => format!("{DEFAULT_NAME}-{number}"),
            };
            match self.create_named(&name) {
                Err(Error::Exists(_)) => number += 1,
                other => return other,
            }
        }
    }

    fn create_named(&self, name: &str) -> Result<Running> {
        if !is_name(name) {
            return Err(Error::Name(name.into()));
        }
        private_directories().create(&self.directory).at(&self.directory)?;
        // A name that no machine has, being none: it begins with a dot.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let nursery = self.directory.join(format!(".{name}.{}.{number}", process::id()));
        let _ = fs::remove_dir_all(&nursery);
        private_directories().create(&nursery).at(&nursery)?;
        let made = (|| {
            let lock = lock_of(&nursery, true)?;
            lock.try_lock().map_err(io::Error::from)?;
            (&lock).write_all(format!("{}\n", process::id()).as_bytes())?;
            io::Result::Ok(lock)
        })();
        let directory = self.directory.join(name);
        let placed = made.at(&nursery).and_then(|lock| {
            while let Err(error) = fs::rename(&nursery, &directory) {
                if error.kind() != io::ErrorKind::DirectoryNotEmpty {
                    return Err(Error::Io(directory.clone(), error));
                }
                if !remove_stale(&directory)? {
                    return Err(Error::Exists(name.into()));
                }
            }
            Ok(lock)
        });
        match placed {
            Ok(lock) => {
                let found = Found { name: name.into(), directory, pid: Some(process::id()) };
                Ok(Running { found, _lock: lock })
            }
            Err(error) => {
                let _ = fs::remove_dir_all(&nursery);
                Err(error)
            }
        }
    }
}

fn private_directories() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('.')
}

fn lock_of(directory: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(create).create(create).mode(0o600).open(directory.join(LOCK))
}

/// The machine whose directory this is, if it runs. Whoever only looks takes the lock shared.
fn running_in(directory: &Path) -> Option<Found> {
    let mut lock = lock_of(directory, false).ok()?;
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {}
        Ok(()) | Err(TryLockError::Error(_)) => return None,
    }
    let mut text = String::new();
    let _ = lock.read_to_string(&mut text);
    Some(Found {
        name: directory.file_name()?.to_str()?.into(),
        directory: directory.into(),
        pid: text.trim().parse().ok(),
    })
}

/// Removes what a machine has left that does not run any more. False: it runs.
fn remove_stale(directory: &Path) -> Result<bool> {
    let lock = match lock_of(directory, false) {
        Ok(lock) => lock,
        // Somebody else has just removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !directory.exists() => {
            return Ok(true);
        }
        Err(error) => return Err(Error::Io(directory.into(), error)),
    };
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(Error::Io(directory.into(), error)),
            // Either it runs, or somebody looks whether it does, which takes no time.
            Err(TryLockError::WouldBlock) => match lock.try_lock_shared() {
                Ok(()) => {
                    lock.unlock().at(directory)?;
                    thread::yield_now();
                }
                Err(_) => return Ok(false),
            },
        }
    }
    // Not another one that has come into its place meanwhile.
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let there = fs::metadata(directory.join(LOCK)).map(identity);
    if there.is_ok_and(|there| lock.metadata().map(identity).is_ok_and(|ours| ours == there)) {
        fs::remove_dir_all(directory).at(directory)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests;

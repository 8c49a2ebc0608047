//! A socket that exactly one daemon owns.
//!
//! A daemon that was killed leaves its socket behind, and binding to it fails although nobody
//! listens. Looking first and removing then would let two daemons that start at the same time remove
//! each other's sockets. So a lock on a file beside the socket comes first: whoever holds it may
//! remove and bind, and holds it until its end. A server that knows nothing of the lock (Xen's) is
//! recognized by answering a connection.

use std::ffi::OsString;
use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use mio::net::UnixListener;
use rustix::net::sockopt::socket_peercred;

/// The longest path that fits into C's `struct sockaddr_un` with its NUL.
const PATH_MAX: usize = 107;

/// A listening socket. Its file and its lock go when it is dropped.
pub struct Endpoint {
    path: PathBuf,
    /// Device and inode of the socket's file: one that took its place is not ours to remove.
    file: (u64, u64),
    listener: UnixListener,
    _lock: Lock,
}

impl Endpoint {
    /// Listens at `path`; `mode` says who may connect. A missing directory is made.
    ///
    /// # Errors
    /// A server listens there already, something else is there, or the system refuses.
    pub fn bind(path: &Path, mode: u32) -> Result<Self> {
        let length = path.as_os_str().as_bytes().len();
        ensure!(
            length <= PATH_MAX,
            "the path {} is {length} bytes long, a socket's may have {PATH_MAX}: choose a shorter one",
            path.display()
        );
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty())
        {
            fs::create_dir_all(directory).with_context(|| {
                format!(
                    "cannot make the directory {} (choose another with --socket)",
                    directory.display()
                )
            })?;
        }
        let lock = Lock::take(path)?;
        remove_stale(path)?;
        let listener = UnixListener::bind(path)
            .with_context(|| format!("cannot listen at {}", path.display()))?;
        // Until here the mode is what the umask left; connecting takes the right to write, which no
        // usual umask leaves to others.
        let restricted = fs::set_permissions(path, Permissions::from_mode(mode));
        restricted.with_context(|| format!("cannot set the mode of {}", path.display()))?;
        let file = identity(path).with_context(|| format!("{} has gone", path.display()))?;
        Ok(Self { path: path.to_owned(), file, listener, _lock: lock })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What accepts clients. It does not block.
    pub fn listener(&mut self) -> &mut UnixListener {
        &mut self.listener
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Removes the socket of a server that is no more. The lock is ours.
fn remove_stale(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() => {}
        Ok(_) => bail!(
            "{} is there and is no socket: remove it, or choose another path with --socket",
            path.display()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot look at {}", path.display()));
        }
    }
    match UnixStream::connect(path) {
        Ok(server) => {
            let process = socket_peercred(&server)
                .map(|peer| format!(" (process {})", peer.pid.as_raw_nonzero()))
                .unwrap_or_default();
            Err(live(path, &process))
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            log::info!("{} was left by a server that has ended; replacing it", path.display());
            fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))
        }
        Err(error) => Err(error).with_context(|| {
            format!("{} is there, and whether it is in use cannot be found out", path.display())
        }),
    }
}

fn live(path: &Path, process: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "a server{process} is running at {} already: end it first, or choose another path with \
         --socket",
        path.display()
    )
}

/// The right to bind at a path, for as long as it lives.
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn take(socket: &Path) -> Result<Self> {
        let mut name = OsString::from(socket);
        name.push(".lock");
        let path = PathBuf::from(name);
        loop {
            let file = File::options().create(true).append(true).open(&path);
            let file = file.with_context(|| {
                format!("cannot make {} (choose another path with --socket)", path.display())
            })?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(live(socket, "")),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
            // Its last owner may have removed the file between our opening and our locking it; a
            // lock on a file without a name keeps nobody away.
            let ours = file.metadata().map(|file| (file.dev(), file.ino()));
            if ours.is_ok_and(|ours| identity(&path).is_ok_and(|named| named == ours)) {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is still locked: see `take`.
        let _ = fs::remove_file(&self.path);
    }
}

//! Files that the daemon leaves: its state, for the next one, and its process's number.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What was saved, if anything was.
///
/// # Errors
/// The file is there and cannot be read.
pub fn load(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("cannot read the state in {}", path.display()))
        }
    }
}

/// Saves a state: whatever happens meanwhile, the file holds either the old one or the new one whole.
///
/// # Errors
/// The file or one beside it cannot be written.
pub fn save(path: &Path, state: &[u8]) -> Result<()> {
    let mut name = OsString::from(path);
    name.push(".new");
    let new = PathBuf::from(name);
    let write = || -> io::Result<()> {
        // Values are whatever clients put there: not for everybody's eyes.
        let mut options = File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(state)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().with_context(|| format!("cannot save the state in {}", path.display()))
}

/// A file with the process's number. It goes when this is dropped.
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(path: &Path) -> Result<Self> {
        fs::write(path, format!("{}\n", std::process::id()))
            .with_context(|| format!("cannot write the pid file {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

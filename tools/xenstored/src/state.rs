//! Files that the daemon leaves: its process's number.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

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

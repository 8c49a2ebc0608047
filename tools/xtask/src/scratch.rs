//! Temporary folders that vanish with the run, also when it is interrupted.
//!
//! The signal handler cannot run destructors of other threads, so folders are
//! registered here and [`remove_all`] takes them away.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

static LIVE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder of its own below the system's temporary folder.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one.
    pub fn new() -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ferrule-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        if let Ok(mut live) = LIVE.lock() {
            live.push(path.clone());
        }
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives a file a short name in here that needs no quoting anywhere.
    pub fn link(&self, name: &str, file: &Path) -> Result<()> {
        let file = fs::canonicalize(file).with_context(|| format!("no file {}", file.display()))?;
        symlink(&file, self.path.join(name)).with_context(|| format!("cannot link {name}"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        if let Ok(mut live) = LIVE.lock() {
            live.retain(|path| *path != self.path);
        }
    }
}

/// Has [`remove_all`] take away a folder that somebody else made and otherwise removes.
pub fn remove_at_end(path: &Path) {
    if let Ok(mut live) = LIVE.lock() {
        live.push(path.into());
    }
}

/// Removes every folder that is left; the program ends next.
pub fn remove_all() {
    if let Ok(live) = LIVE.lock() {
        for path in live.iter() {
            let _ = fs::remove_dir_all(path);
        }
    }
}

//! The host's files: read where `xl` was typed, as names in a domain file are meant.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use xl::terminal::{Blob, FileError, Files};

/// Files by their paths from the current directory.
pub struct HostFiles;

impl Files for HostFiles {
    fn open(&mut self, name: &str) -> Result<Box<dyn Blob>, FileError> {
        Ok(Box::new(HostFile::open(name)?))
    }
}

/// A regular file.
pub struct HostFile {
    file: File,
    size: u64,
}

impl HostFile {
    /// Opens it for reading.
    pub fn open(name: &str) -> Result<Self, FileError> {
        let open = || {
            let file = File::open(name)?;
            let metadata = file.metadata()?;
            io::Result::Ok((metadata.is_file(), Self { size: metadata.len(), file }))
        };
        match open() {
            Ok((true, file)) => Ok(file),
            Ok((false, _)) => Err(FileError("Not a regular file".into())),
            Err(error) => Err(FileError(reason(&error))),
        }
    }
}

impl Blob for HostFile {
    fn len(&self) -> u64 {
        self.size
    }

    /// A file that has become shorter since it was opened ends early.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> usize {
        let mut count = 0;
        while let Some(room) = into.get_mut(count..).filter(|room| !room.is_empty()) {
            match self.file.read_at(room, offset + count as u64) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(more) => count += more,
            }
        }
        count
    }
}

/// An error in C's words, without the number that Rust puts behind them.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).into()
}

//! Disk images that domain 0 gets as its disks.

use std::convert::Infallible;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// Bytes of a sector, of which a disk has a whole number.
const SECTOR: u64 = 512;

/// A disk image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The file, whose bytes are the disk's.
    pub file: PathBuf,
    /// Nobody writes to it.
    pub read_only: bool,
}

impl FromStr for Disk {
    type Err = Infallible;

    /// A file's name, behind which `,ro` may stand.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (file, read_only) = match text.strip_suffix(",ro") {
            Some(file) => (file, true),
            None => (text, false),
        };
        Ok(Self { file: file.into(), read_only })
    }
}

impl Disk {
    /// Whether it can be used; says what to do if not.
    pub fn check(&self) -> Result<()> {
        let shown = self.file.display();
        let opened = OpenOptions::new().read(true).write(!self.read_only).open(&self.file);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!("no disk image {shown}: `truncate -s 64M {shown}` makes an empty one")
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied && !self.read_only => {
                bail!("{shown} cannot be written: `--disk {shown},ro` only reads it")
            }
            Err(error) => return Err(error).with_context(|| format!("cannot open {shown}")),
        };
        let metadata = file.metadata().with_context(|| format!("cannot look at {shown}"))?;
        match metadata.len() {
            // What is no file (a disk of the host's) has no length that could be known here.
            _ if !metadata.is_file() => Ok(()),
            0 => bail!("{shown} is empty: `truncate -s 64M {shown}` makes a disk of it"),
            bytes if bytes % SECTOR != 0 => bail!(
                "{shown} has {bytes} bytes, and a disk has sectors of {SECTOR}: \
                 `truncate -s %{SECTOR} {shown}` adds what is missing"
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;

    #[test]
    fn what_cannot_be_used_is_told_with_what_to_do() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("a,b.img");
        let name = path.display().to_string();
        let check = |text: &str| {
            let Ok(disk) = text.parse::<Disk>();
            disk.check().map_err(|error| error.to_string())
        };
        let error = check(&name).unwrap_err();
        assert!(error.contains("truncate -s 64M"), "{error}");
        for (bytes, right) in [(0, false), (511, false), (512, true), (4096, true)] {
            fs::write(&path, vec![0; bytes]).unwrap();
            assert_eq!(check(&name).is_ok(), right, "{bytes}");
            assert_eq!(check(&format!("{name},ro")).is_ok(), right, "{bytes}");
        }
        assert_eq!("x,ro".parse(), Ok(Disk { file: "x".into(), read_only: true }));
        assert_eq!("ro".parse(), Ok(Disk { file: "ro".into(), read_only: false }));
    }
}

//! Disk images that domain 0 gets as its disks.
//!
//! Domain 0 calls them `vda`, `vdb` and so on, in order, and one that has a serial number
//! `disk/by-id/virtio-NUMBER`, too, whatever comes before it.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

/// Bytes of a sector, of which a disk has a whole number.
const SECTOR: u64 = 512;
/// Bytes of a serial number, at most (`VIRTIO_BLK_ID_BYTES`).
const SERIAL_BYTES: usize = 20;

/// What becomes of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is in the file.
    ReadWrite,
    /// Nobody writes.
    ReadOnly,
    /// It is the machine's alone, and gone with it: several may have the same file, and no crash harms it.
    Private,
}

/// A disk image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The file, whose bytes are the disk's.
    pub file: PathBuf,
    /// What becomes of what is written.
    pub access: Access,
    /// What the disk says that its number is: letters, digits, `-`, `_` and `.`.
    pub serial: Option<String>,
}

impl FromStr for Disk {
    type Err = String;

    /// A file's name, behind which `,ro` and `,serial=NUMBER` may stand.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut disk = Self { file: text.into(), access: Access::ReadWrite, serial: None };
        let mut rest = text;
        while let Some((file, option)) = rest.rsplit_once(',') {
            match option.strip_prefix("serial=") {
                Some(serial) if is_serial(serial) => disk.serial = Some(serial.into()),
                Some(serial) => {
                    return Err(format!(
                        "{serial:?} is no serial number: 1 to {SERIAL_BYTES} letters, digits, -, _ or ."
                    ));
                }
                None if option == "ro" => disk.access = Access::ReadOnly,
                None => break,
            }
            rest = file;
        }
        disk.file = rest.into();
        Ok(disk)
    }
}

fn is_serial(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=SERIAL_BYTES).contains(&text.len()) && text.bytes().all(fits)
}

/// Whether the disks of a machine can be used together, and each of them.
pub fn check_all(disks: &[Disk]) -> Result<()> {
    for (at, disk) in disks.iter().enumerate() {
        disk.check()?;
        if let Some(serial) = &disk.serial {
            let twice = disks[..at].iter().any(|other| other.serial.as_ref() == Some(serial));
            ensure!(!twice, "two disks have the serial number {serial}");
        }
    }
    Ok(())
}

impl Disk {
    /// Whether it can be used; says what to do if not.
    fn check(&self) -> Result<()> {
        let (shown, writes) = (self.file.display(), self.access == Access::ReadWrite);
        let opened = OpenOptions::new().read(true).write(writes).open(&self.file);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!("no disk image {shown}: `truncate -s 64M {shown}` makes an empty one")
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied && writes => {
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
            let disk = text.parse::<Disk>().unwrap();
            disk.check().map_err(|error| error.to_string())
        };
        let error = check(&name).unwrap_err();
        assert!(error.contains("truncate -s 64M"), "{error}");
        for (bytes, right) in [(0, false), (511, false), (512, true), (4096, true)] {
            fs::write(&path, vec![0; bytes]).unwrap();
            assert_eq!(check(&name).is_ok(), right, "{bytes}");
            assert_eq!(check(&format!("{name},ro")).is_ok(), right, "{bytes}");
        }
    }

    #[test]
    fn options_stand_behind_a_files_name() {
        let disk = |file: &str, access, serial: Option<&str>| {
            Ok(Disk { file: file.into(), access, serial: serial.map(str::to_string) })
        };
        assert_eq!("x,ro".parse(), disk("x", Access::ReadOnly, None));
        assert_eq!("ro".parse(), disk("ro", Access::ReadWrite, None));
        assert_eq!("a,b".parse(), disk("a,b", Access::ReadWrite, None));
        assert_eq!("x,serial=web".parse(), disk("x", Access::ReadWrite, Some("web")));
        for text in ["x,ro,serial=a-1", "x,serial=a-1,ro"] {
            assert_eq!(text.parse(), disk("x", Access::ReadOnly, Some("a-1")), "{text}");
        }
        for text in ["x,serial=", "x,serial=a b", "x,serial=a/b", "x,serial=123456789012345678901"]
        {
            assert!(text.parse::<Disk>().is_err(), "{text}");
        }
    }

    #[test]
    fn serial_numbers_are_given_once() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("disk");
        fs::write(&path, vec![0; 512]).unwrap();
        let disks = |words: [&str; 2]| {
            let disk = |options| format!("{}{options}", path.display()).parse().unwrap();
            check_all(&words.map(disk))
        };
        assert!(disks(["", ""]).is_ok());
        assert!(disks([",serial=a", ",serial=b"]).is_ok());
        let error = disks([",serial=a", ",serial=a"]).unwrap_err().to_string();
        assert!(error.contains("serial number a"), "{error}");
    }
}

//! Disk images with a file system: what a ramdisk holds, on an ext2 volume.
//!
//! `mke2fs` formats the volume, and the crate by which domains mount it fills it. The same entries give
//! the same bytes on any machine: they belong to root, as in a ramdisk, and are dated one second after
//! the epoch.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use ext2::{Device, Ext2, Failed, Kind, Order, ROOT};

use crate::cpio::{Archive, Entry};
use crate::scratch::Scratch;

/// The time of everything on a volume. Not 0, which `mke2fs` takes for none.
const EPOCH_S: u32 = 1;
/// Bytes of a block: a page of the guest kernel's cache.
const BLOCK: &str = "4096";
/// The volume's number and its directories' seed, which would be made up otherwise.
const UUID: &str = "46657272-756c-6520-776f-726c64206f6e";

/// A program of e2fsprogs, which Debian has where only root's paths lead.
pub fn e2fsprogs(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", path + ":/usr/sbin:/sbin");
    command
}

/// The bytes of a volume of this size in all, with this name and these entries.
pub fn image(name: &str, bytes: u64, archive: &Archive) -> Result<Vec<u8>> {
    let disk = Memory(RefCell::new(format(name, bytes)?));
    let mut volume = Ext2::mount(&disk, true, EPOCH_S).map_err(failed("mounting it"))?;
    let mut directories = BTreeMap::from([("", ROOT)]);
    // Directories come before what is in them.
    for (path, entry) in archive.entries() {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = *directories.get(above).with_context(|| format!("nothing holds {path}"))?;
        let name = name.as_bytes();
        let number = match entry {
            Entry::Link(target) => volume.symlink(parent, name, target.as_bytes()),
            Entry::Directory => volume.create(parent, name, Kind::Directory, 0o755, (0, 0)),
            Entry::File { executable, .. } => {
                let permissions = if executable { 0o755 } else { 0o644 };
                volume.create(parent, name, Kind::Regular, permissions, (0, 0))
            }
        }
        .map_err(failed(path))?;
        match entry {
            Entry::Link(_) => {}
            Entry::Directory => _ = directories.insert(path, number),
            Entry::File { data, .. } => {
                let written = volume.write(number, 0, data).map_err(failed(path))?;
                ensure!(written == data.len(), "{path}: the volume is full");
            }
        }
    }
    volume.unmount().map_err(failed("unmounting it"))?;
    drop(volume);
    Ok(disk.0.into_inner())
}

fn failed(what: &str) -> impl Fn(ext2::Error) -> anyhow::Error {
    move |error| anyhow!("making an ext2 volume: {what}: {error:?}")
}

/// The bytes of an empty volume.
fn format(name: &str, bytes: u64) -> Result<Vec<u8>> {
    let scratch = Scratch::new()?;
    let path = scratch.path().join("volume");
    fs::File::create_new(&path).and_then(|file| file.set_len(bytes)).context("making a volume")?;
    let output = e2fsprogs("mke2fs")
        .args(["-q", "-F", "-t", "ext2", "-b", BLOCK, "-I", "256", "-m", "0", "-L", name])
        .args(["-U", UUID, "-E", &format!("hash_seed={UUID},root_owner=0:0")])
        .arg(&path)
        .env("E2FSPROGS_FAKE_TIME", EPOCH_S.to_string())
        .output()
        .context("cannot run mke2fs (the package e2fsprogs has it)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "mke2fs: {}", said.trim());
    fs::read(&path).context("reading a volume")
}

/// A disk in memory.
struct Memory(RefCell<Vec<u8>>);

impl Device for &Memory {
    fn bytes(&self) -> u64 {
        self.0.borrow().len() as u64
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Failed> {
        let bytes = self.0.borrow();
        let from = usize::try_from(at).ok().and_then(|at| bytes.get(at..)?.get(..into.len()));
        into.copy_from_slice(from.ok_or(Failed)?);
        Ok(())
    }

    fn write(&self, at: u64, from: &[u8], _: Order) -> Result<(), Failed> {
        let mut bytes = self.0.borrow_mut();
        let into =
            usize::try_from(at).ok().and_then(|at| bytes.get_mut(at..)?.get_mut(..from.len()));
        into.ok_or(Failed)?.copy_from_slice(from);
        Ok(())
    }

    fn flush(&self) -> Result<(), Failed> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_holds_what_an_archive_does() {
        let large: Vec<u8> = (0..300_000).map(|index| (index * 7) as u8).collect();
        let mut archive = Archive::default();
        archive.add_file("bin/program", large.clone(), true);
        archive.add_link("bin/other", "program");
        archive.add_file("etc/motd", b"hello\n".to_vec(), false);
        let bytes = image("test", 4 << 20, &archive).unwrap();
        assert!(bytes == image("test", 4 << 20, &archive).unwrap(), "the same each time");

        let scratch = Scratch::new().unwrap();
        let file = scratch.path().join("image");
        fs::write(&file, &bytes).unwrap();
        let checked = e2fsprogs("e2fsck").arg("-fn").arg(&file).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
        let ask = |request: &str| {
            let output = e2fsprogs("debugfs").args(["-R", request]).arg(&file).output().unwrap();
            assert!(output.status.success());
            output.stdout
        };
        assert!(ask("cat /bin/program") == large);
        assert_eq!(ask("cat /etc/motd"), b"hello\n");
        let list = String::from_utf8(ask("ls -p /bin")).unwrap();
        for line in ["/100755/0/0/program/300000/", "/120777/0/0/other/7/"] {
            assert!(list.contains(line), "{list}");
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let mut archive = Archive::default();
        archive.add_file("large", vec![1; 2 << 20], false);
        let error = image("test", 1 << 20, &archive).unwrap_err().to_string();
        assert!(error.contains("large"), "{error}");
    }
}

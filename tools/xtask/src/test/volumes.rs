//! Tests of file systems on disks: `tests/transcripts/volumes/NAME.txt`, on a machine whose `vda` is a
//! volume that `mke2fs` made.
//!
//! A transcript leaves the file `kept` of `treetest` on it. Afterwards `e2fsck` must find nothing to
//! mend, and `debugfs` the file as it was written; and `disk.img` empty as it was at first, or as
//! `blkio` fills a disk.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Output;

use anyhow::{Context, Result, ensure};

use super::boot::Builds;
use super::disks;
use super::runner::Test;
use super::transcripts::Expected;
use crate::disk::{Access, Disk};
use crate::volume;

/// What the volume holds at first.
const GREETING: &str = "A file that the host wrote.\n";
/// Sectors of a disk image that the volume holds.
const IMAGE: u32 = 4096;
/// Bytes of the file that is kept; byte `n` is the lowest of `n * 7`.
const KEPT: u32 = 100_000;

/// A transcript's test.
pub fn test<'a>(builds: &'a Builds<'a>, expected: Expected) -> Test<'a> {
    disks::with_disks(builds, &format!("volumes-{}", expected.name), expected, prepare, check)
}

fn prepare(folder: &Path) -> Result<Vec<Disk>> {
    let (tree, file) = (folder.join("tree"), folder.join("vda"));
    fs::create_dir_all(tree.join("etc"))?;
    fs::write(tree.join("etc/greeting"), GREETING)?;
    fs::write(tree.join("disk.img"), vec![0; IMAGE as usize * 512])?;
    fs::write(&file, vec![0; 16 << 20])?;
    let made = e2fsprogs("mke2fs", &["-q", "-F", "-t", "ext2", "-d"], &[tree.as_os_str()], &file)?;
    ensure!(made.status.success(), "mke2fs: {}", String::from_utf8_lossy(&made.stderr));
    Ok(vec![Disk { file, access: Access::ReadWrite, serial: None }])
}

fn check(image: &Path) -> Result<()> {
    check_order(image)?;
    let kept = file(image, "/kept")?;
    let expected: Vec<u8> = (0..KEPT).map(|index| (index * 7) as u8).collect();
    ensure!(kept == expected, "the file `kept` has {} bytes, or others than written", kept.len());
    let inner = file(image, "/disk.img")?;
    if inner.iter().any(|byte| *byte != 0) {
        disks::check_filled(&inner, IMAGE).context("/disk.img")?;
    }
    Ok(())
}

/// Whether there is nothing to mend on a volume, which was unmounted in order.
pub fn check_order(image: &Path) -> Result<()> {
    let checked = e2fsprogs("e2fsck", &["-fn"], &[], image)?;
    ensure!(checked.status.success(), "e2fsck: {}", String::from_utf8_lossy(&checked.stdout));
    let state = e2fsprogs("debugfs", &["-R", "show_super_stats -h"], &[], image)?;
    let state = String::from_utf8_lossy(&state.stdout).into_owned();
    let clean =
        state.lines().any(|line| line.starts_with("Filesystem state:") && line.ends_with("clean"));
    ensure!(clean && !state.contains("not clean"), "the volume was not unmounted in order");
    Ok(())
}

/// What a file on a volume holds; nothing if there is none.
pub fn file(image: &Path, path: &str) -> Result<Vec<u8>> {
    Ok(e2fsprogs("debugfs", &["-R", &format!("cat {path}")], &[], image)?.stdout)
}

/// Runs a program of e2fsprogs.
fn e2fsprogs(program: &str, flags: &[&str], more: &[&OsStr], image: &Path) -> Result<Output> {
    volume::e2fsprogs(program)
        .args(flags)
        .args(more)
        .arg(image)
        .output()
        .with_context(|| format!("cannot run {program}: tools/setup installs e2fsprogs"))
}

//! Tests of disks: `tests/transcripts/disks/NAME.txt`, on a machine with two images.
//!
//! `vda` has 64 MiB, in which each four bytes are the number of their sector; `vdb` can only be read,
//! and has a partition of the same contents. A transcript ends with all of `vda` filled by `blkio`,
//! in a domain: the image is compared with that afterwards.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Group;
use super::boot::{self, Builds};
use super::runner::{Ended, Test};
use super::transcripts::Expected;
use crate::disk::{Access, Disk};
use crate::emulator::Machine;
use crate::qemu;
use crate::scratch::Scratch;

const SECTOR: usize = 512;
/// Sectors of `vda`.
const SECTORS: u32 = (64 << 20) / SECTOR as u32;
/// Sectors of `vdb`, and of its partition the first and how many.
const SMALL: (u32, u32, u32) = (2048, 64, 128);

/// How long a machine may take altogether.
const PATIENCE: Duration = Duration::from_secs(120);

/// A transcript's test.
pub fn test<'a>(builds: &'a Builds<'a>, expected: Expected) -> Test<'a> {
    with_disks(builds, &format!("disks-{}", expected.name), expected, prepare, check)
}

/// A transcript of domain 0's shell with memory for other domains and with disks, whose images `prepare`
/// makes in a folder. Where all was as expected `check` judges what is on the first one afterwards.
pub fn with_disks<'a>(
    builds: &'a Builds<'a>,
    name: &str,
    expected: Expected,
    prepare: fn(&Path) -> Result<Vec<Disk>>,
    check: fn(&Path) -> Result<()>,
) -> Test<'a> {
    let run = move || -> Result<Ended> {
        let scratch = Scratch::new()?;
        let disks = prepare(scratch.path())?;
        let first = disks.first().context("no disk")?.file.clone();
        let machine = Machine { disks, ..boot::with_domains(builds, &expected.commands) };
        let ended = boot::hold(qemu::start(&machine), PATIENCE, &expected);
        if ended.failed == 0 {
            check(&first)?;
        }
        Ok(ended)
    };
    Test::new(Group::Shell, name, move || {
        if let Err(ended) = boot::default_guest(builds) {
            return ended;
        }
        run().unwrap_or_else(|error| Ended::failed(format!("{error:#}")))
    })
    .parallel()
}

fn prepare(folder: &Path) -> Result<Vec<Disk>> {
    let image = |name: &str, bytes: &[u8], access| -> Result<Disk> {
        let file = folder.join(name);
        fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Disk { file, access, serial: None })
    };
    let vda = image("vda", &contents(0..SECTORS, |sector| sector), Access::ReadWrite)?;
    Ok(vec![vda, image("vdb", &partitioned(), Access::ReadOnly)?])
}

/// Sectors that consist of a number each.
fn contents(sectors: std::ops::Range<u32>, number: impl Fn(u32) -> u32) -> Vec<u8> {
    sectors.flat_map(|sector| number(sector).to_le_bytes().repeat(SECTOR / 4)).collect()
}

/// A disk whose first partition is of type Linux.
fn partitioned() -> Vec<u8> {
    let (sectors, first, count) = SMALL;
    let mut disk = contents(0..sectors, |sector| sector);
    let entry = [&[0, 0, 0, 0, 0x83, 0, 0, 0][..], &first.to_le_bytes(), &count.to_le_bytes()];
    disk[446..510].fill(0);
    disk[446..462].copy_from_slice(&entry.concat());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk
}

fn check(image: &Path) -> Result<()> {
    check_filled(&fs::read(image)?, SECTORS)
}

/// Whether these are the bytes that `blkio` fills a disk of so many sectors with.
pub fn check_filled(found: &[u8], sectors: u32) -> Result<()> {
    let expected = contents(0..sectors, |sector| sector.wrapping_mul(0x9e37_79b9));
    ensure!(found.len() == expected.len(), "the image has another length");
    let differs = |(found, expected): (&[u8], &[u8])| found != expected;
    let first = found.chunks(SECTOR).zip(expected.chunks(SECTOR)).position(differs);
    ensure!(first.is_none(), "sector {first:?} of the image is not what was written");
    Ok(())
}

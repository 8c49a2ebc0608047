//! Where the partitions of a disk are: MBR and GPT.
//!
//! A disk with a protective MBR has a GPT; the GPT's own checksums are what makes it one, and a damaged
//! one has no partitions (its copy at the end of the disk is for repair tools). Nothing a disk says can
//! make a partition reach behind the disk's end.
//!
//! An MBR has four entries, whose partitions are numbered by their places. Logical ones, from 5 on, are
//! those of an extended partition: a chain of sectors like an MBR, each with one partition, counted from
//! that sector on, and a link to the next, counted from where the extended partition begins. A chain
//! that leads back to where it has been ends where it is as long as Linux follows one.

use super::sum::crc32;
use super::{Disk, SECTOR};
use alloc::vec;
use alloc::vec::Vec;
use pv_abi::errno::Errno;

/// A part of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1 on.
    pub number: u32,
    /// Its first sector, of 512 bytes.
    pub first: u64,
    /// How many sectors of 512 bytes it has.
    pub sectors: u64,
}

/// Kinds of MBR entries.
const EMPTY: u8 = 0;
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
const PROTECTIVE: u8 = 0xee;
/// The first logical partition.
const FIRST_LOGICAL: u32 = 5;
/// Sectors of a chain of logical partitions that are looked at.
const MOST_LINKS: usize = 100;
/// Entries of a GPT that are looked at.
const MOST_ENTRIES: u32 = 128;
/// Bytes of a GPT's entry, at most.
const MOST_ENTRY_BYTES: u32 = 512;

/// The disk's partitions; none where it has no table.
///
/// # Errors
/// The disk's.
pub fn read(disk: &(impl Disk + ?Sized)) -> Result<Vec<Partition>, Errno> {
    let own = disk.sector_size() as usize;
    if disk.sectors() < (2 * own / SECTOR) as u64 {
        return Ok(Vec::new());
    }
    let Some(entries) = table(disk, 0)? else { return Ok(Vec::new()) };
    if entries.iter().any(|entry| entry.kind == PROTECTIVE) {
        return gpt(disk);
    }
    let primary = (1..).zip(&entries).filter(|(_, entry)| entry.is_partition());
    let mut found: Vec<Partition> = primary
        .filter_map(|(number, entry)| within(disk, number, entry.first, entry.sectors))
        .collect();
    let mut number = FIRST_LOGICAL;
    for extended in entries.iter().filter(|entry| entry.is_extended()) {
        logical(disk, extended.first, &mut number, &mut found)?;
    }
    Ok(found)
}

/// Adds the logical partitions of an extended one that begins at `start`, from `number` on.
fn logical(
    disk: &(impl Disk + ?Sized),
    start: u64,
    number: &mut u32,
    found: &mut Vec<Partition>,
) -> Result<(), Errno> {
    let mut at = start;
    for _ in 0..MOST_LINKS {
        let Some(entries) = table(disk, at)? else { return Ok(()) };
        // Two of the four are used, and the others filled with anything by some programs.
        let used = entries.get(..2).unwrap_or_default();
        for entry in used.iter().filter(|entry| entry.is_partition()) {
            if let Some(partition) = within(disk, *number, at + entry.first, entry.sectors) {
                found.push(partition);
                *number += 1;
            }
        }
        match used.iter().find(|entry| entry.is_extended()) {
            Some(next) if next.first > 0 => at = start + next.first,
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// An entry of an MBR, or of a sector like it, in sectors of 512 bytes.
struct Entry {
    kind: u8,
    first: u64,
    sectors: u64,
}

impl Entry {
    fn is_extended(&self) -> bool {
        EXTENDED.contains(&self.kind)
    }

    fn is_partition(&self) -> bool {
        self.kind != EMPTY && !self.is_extended()
    }
}

/// The entries in the disk's own sector at `at`. None: it has none, or is not in the disk.
fn table(disk: &(impl Disk + ?Sized), at: u64) -> Result<Option<Vec<Entry>>, Errno> {
    let own = disk.sector_size() as usize;
    let unit = (own / SECTOR) as u64;
    if at.checked_add(unit).is_none_or(|end| end > disk.sectors()) {
        return Ok(None);
    }
    let mut sector = vec![0; own];
    disk.read(at, &mut sector)?;
    if sector.get(510..512) != Some(&[0x55, 0xaa]) {
        return Ok(None);
    }
    let entries = sector.get(446..510).unwrap_or_default().chunks_exact(16);
    let entry = |bytes: &[u8]| Entry {
        kind: bytes.get(4).copied().unwrap_or(EMPTY),
        first: u64::from(u32_at(bytes, 8)) * unit,
        sectors: u64::from(u32_at(bytes, 12)) * unit,
    };
    Ok(Some(entries.map(entry).collect()))
}

fn gpt(disk: &(impl Disk + ?Sized)) -> Result<Vec<Partition>, Errno> {
    let own = disk.sector_size() as usize;
    let unit = (own / SECTOR) as u64;
    let mut header = vec![0; own];
    disk.read(unit, &mut header)?;
    let (size, stated) = (u32_at(&header, 12) as usize, u32_at(&header, 16));
    let (count, bytes) = (u32_at(&header, 80).min(MOST_ENTRIES), u32_at(&header, 84));
    let sound = header.starts_with(b"EFI PART")
        && (92..=own).contains(&size)
        && (128..=MOST_ENTRY_BYTES).contains(&bytes);
    // The sum is over the header without itself.
    header.get_mut(16..20).unwrap_or_default().fill(0);
    if !sound || crc32(header.get(..size).unwrap_or_default()) != stated {
        return Ok(Vec::new());
    }
    let table = u64_at(&header, 72).checked_mul(unit).ok_or(Errno::EIO)?;
    let mut entries = vec![0; (count as usize * bytes as usize).next_multiple_of(own)];
    disk.read(table, &mut entries)?;
    let listed = entries.get(..u32_at(&header, 80) as usize * bytes as usize);
    if listed.is_some_and(|listed| crc32(listed) != u32_at(&header, 88)) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for (number, entry) in (1..=count).zip(entries.chunks_exact(bytes as usize)) {
        let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
        let used = entry.iter().take(16).any(|byte| *byte != 0);
        let sectors = last.checked_sub(first).and_then(|rest| (rest + 1).checked_mul(unit));
        if let (true, Some(sectors), Some(first)) = (used, sectors, first.checked_mul(unit)) {
            found.extend(within(disk, number, first, sectors));
        }
    }
    Ok(found)
}

/// A partition, if it is one of the disk.
fn within(disk: &(impl Disk + ?Sized), number: u32, first: u64, sectors: u64) -> Option<Partition> {
    let inside = first.checked_add(sectors).is_some_and(|end| end <= disk.sectors());
    (inside && first > 0 && sectors > 0).then_some(Partition { number, first, sectors })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let number = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    u32::from_le_bytes(number.unwrap_or_default())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::ram::RamDisk;

    const SECTORS: u64 = 2048;

    fn disk(own: u32) -> RamDisk {
        RamDisk::new(SECTORS * 512, own).expect("fits")
    }

    fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
        bytes[at..at + value.len()].copy_from_slice(value);
    }

    fn mbr(own: usize, entries: &[(u8, u32, u32)]) -> Vec<u8> {
        let mut sector = vec![0; own];
        for (number, (kind, first, count)) in entries.iter().enumerate() {
            let at = 446 + 16 * number;
            sector[at + 4] = *kind;
            put(&mut sector, at + 8, &first.to_le_bytes());
            put(&mut sector, at + 12, &count.to_le_bytes());
        }
        put(&mut sector, 510, &[0x55, 0xaa]);
        sector
    }

    #[test]
    fn an_mbr_has_four_entries() {
        let disk = disk(512);
        assert_eq!(read(&disk), Ok(vec![]), "no table");
        let entries = [(0x83, 64, 100), (0x05, 200, 100), (0, 300, 5), (0x83, 1000, 1048)];
        disk.write(0, &mbr(512, &entries)).expect("fits");
        let part = |number, first, sectors| Partition { number, first, sectors };
        assert_eq!(read(&disk), Ok(vec![part(1, 64, 100), part(4, 1000, 1048)]));
        let entries = [(0x83, 1000, 1049), (0x83, 0, 5), (0x83, u32::MAX, u32::MAX), (0x83, 7, 0)];
        disk.write(0, &mbr(512, &entries)).expect("fits");
        assert_eq!(read(&disk), Ok(vec![]), "none of them is in the disk");
    }

    #[test]
    fn logical_partitions_are_a_chain() {
        for (own, unit) in [(512, 1), (4096, 8)] {
            let disk = disk(own);
            let write = |at: u32, entries: &[(u8, u32, u32)]| {
                disk.write(u64::from(at) * unit, &mbr(own as usize, entries)).expect("fits");
            };
            write(0, &[(0x83, 8, 8), (0x05, 100, 120)]);
            assert_eq!(read(&disk).map(|found| found.len()), Ok(1), "a chain without a beginning");
            write(100, &[(0x83, 1, 10), (0x05, 40, 20), (0x83, 1, 1)]);
            write(140, &[(0, 0, 0), (0x0f, 60, 20)]);
            write(160, &[(0x82, 2, 2000), (0x05, 80, 20)]);
            write(180, &[(0x82, 2, 18)]);
            let part = |number, first, sectors| Partition {
                number,
                first: first * unit,
                sectors: sectors * unit,
            };
            let found = vec![part(1, 8, 8), part(5, 101, 10), part(6, 182, 18)];
            assert_eq!(read(&disk), Ok(found.clone()), "{own}: one reaches behind the end");
            write(180, &[(0x82, 2, 18), (0x05, 5000, 20)]);
            assert_eq!(read(&disk), Ok(found), "{own}: the link leads out of the disk");
        }
    }

    #[test]
    fn a_chain_that_never_ends_is_followed_so_far() {
        let disk = disk(512);
        disk.write(0, &mbr(512, &[(0x05, 100, 120)])).expect("fits");
        disk.write(100, &mbr(512, &[(0x83, 1, 1), (0x05, 10, 2)])).expect("fits");
        disk.write(110, &mbr(512, &[(0x83, 1, 1), (0x05, 10, 2)])).expect("fits");
        assert_eq!(read(&disk).map(|found| found.len()), Ok(MOST_LINKS));
        disk.write(0, &mbr(512, &[(0x05, u32::MAX, u32::MAX)])).expect("fits");
        assert_eq!(read(&disk), Ok(vec![]));
    }

    #[test]
    fn large_sectors_count_for_more() {
        let disk = disk(4096);
        disk.write(0, &mbr(4096, &[(0x83, 8, 10)])).expect("fits");
        assert_eq!(read(&disk), Ok(vec![Partition { number: 1, first: 64, sectors: 80 }]));
    }

    /// Writes a GPT with one partition; `spoil` may damage it.
    fn gpt_disk(own: u32, spoil: impl Fn(&mut [u8], &mut [u8])) -> RamDisk {
        let disk = disk(own);
        let own = own as usize;
        let unit = (own / 512) as u64;
        let mut entries = vec![0; 128 * 128];
        put(&mut entries, 128, &[1; 16]);
        put(&mut entries, 128 + 32, &100u64.to_le_bytes());
        put(&mut entries, 128 + 40, &119u64.to_le_bytes());
        let mut header = vec![0; own];
        put(&mut header, 0, b"EFI PART");
        put(&mut header, 12, &92u32.to_le_bytes());
        put(&mut header, 72, &2u64.to_le_bytes());
        put(&mut header, 80, &128u32.to_le_bytes());
        put(&mut header, 84, &128u32.to_le_bytes());
        put(&mut header, 88, &crc32(&entries).to_le_bytes());
        let sum = crc32(&header[..92]);
        put(&mut header, 16, &sum.to_le_bytes());
        spoil(&mut header, &mut entries);
        disk.write(0, &mbr(own, &[(PROTECTIVE, 1, 2047)])).expect("fits");
        disk.write(unit, &header).expect("fits");
        disk.write(2 * unit, &entries).expect("fits");
        disk
    }

    #[test]
    fn a_gpt_is_read_if_it_is_sound() {
        for (own, unit) in [(512, 1), (4096, 8)] {
            let found = read(&gpt_disk(own, |_, _| ()));
            let part = Partition { number: 2, first: 100 * unit, sectors: 20 * unit };
            assert_eq!(found, Ok(vec![part]), "{own}");
        }
        for at in [0, 12, 16, 72, 80, 84, 88] {
            let spoiled = gpt_disk(512, |header, _| header[at] ^= 1);
            assert_eq!(read(&spoiled), Ok(vec![]), "byte {at}");
        }
        assert_eq!(read(&gpt_disk(512, |_, entries| entries[160] ^= 1)), Ok(vec![]));
    }
}

//! `lsblk`, `blkio`.

use super::{Context, FAILED, OK, USAGE};
use crate::block::sum::Sum;
use crate::block::{Disk, SECTOR};
use alloc::sync::Arc;
use alloc::vec;
use pv_abi::errno::Errno;

/// Bytes that `blkio` moves at a time unless it is told how many, and at most.
const PART: u64 = 64 << 10;
const PART_MOST: u64 = 1 << 20;

pub fn lsblk(context: &mut Context<'_>, _: &[&str]) -> u8 {
    context.line(format_args!("NAME        SECTORS      KIB RO SECTOR"));
    let mut disks = context.kernel.disks();
    // Those of other domains come in any order.
    disks.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, disk) in disks {
        let (sectors, own) = (disk.sectors(), disk.sector_size());
        let read_only = u8::from(disk.read_only());
        context.line(format_args!(
            "{name:<8} {sectors:>10} {:>8} {read_only:>2} {own:>6}",
            sectors / 2
        ));
    }
    OK
}

pub fn blkio(context: &mut Context<'_>, words: &[&str]) -> u8 {
    let [name, verb, numbers @ ..] = words else { return USAGE };
    let disks = context.kernel.disks();
    let Some((_, disk)) = disks.iter().find(|(own, _)| own == name) else {
        context.line(format_args!("blkio: no disk {name}; `lsblk` lists them"));
        return FAILED;
    };
    let mut numbers = numbers.iter().map(|word| word.parse::<u64>());
    let mut number = |usual| numbers.next().unwrap_or(Ok(usual));
    let (Ok(first), Ok(count), Ok(part)) = (number(0), number(u64::MAX), number(PART)) else {
        context.line(format_args!("blkio: SECTOR, COUNT and BYTES are numbers"));
        return USAGE;
    };
    if part == 0 || part > PART_MOST || !part.is_multiple_of(SECTOR as u64) {
        context
            .line(format_args!("blkio: BYTES are whole sectors of {SECTOR}, {PART_MOST} at most"));
        return USAGE;
    }
    let there = count.min(disk.sectors().saturating_sub(first));
    let range = Range { first, count: there, step: part / SECTOR as u64 };
    let begun = context.kernel.uptime().up_ns;
    let done = match *verb {
        "sum" => sum(disk, &range).map(Some),
        "fill" => fill(disk, &range).map(Some),
        "read" => range.each(|sector, buffer| disk.read(sector, buffer)).map(|()| None),
        "write" => range.each(|sector, buffer| disk.write(sector, buffer)).map(|()| None),
        "flush" => (0..count).try_for_each(|_| disk.flush()).map(|()| None),
        _ => {
            context.line(format_args!("blkio: {verb}? One of sum, fill, read, write, flush"));
            return USAGE;
        }
    };
    let us = context.kernel.uptime().up_ns.saturating_sub(begun) / 1000;
    match done {
        Err(errno) => {
            context.line(format_args!("blkio: {name}: {errno}"));
            return FAILED;
        }
        Ok(None) if *verb == "flush" => {
            context.line(format_args!("{count} flushes in {us} us"));
            return OK;
        }
        Ok(None) => context.line(format_args!("{name} {first}+{there}")),
        Ok(Some(sum)) => context.line(format_args!("{name} {first}+{there} {:08x}", sum.value())),
    }
    context.line(format_args!("{} KiB in {us} us", there / 2));
    OK
}

/// Sectors, and how many of them are moved at a time.
struct Range {
    first: u64,
    count: u64,
    step: u64,
}

impl Range {
    /// Calls `f` with where each part begins, and a buffer of its size: zeroes, or what `f` left there
    /// the last time.
    fn each(&self, mut f: impl FnMut(u64, &mut [u8]) -> Result<(), Errno>) -> Result<(), Errno> {
        let mut buffer = vec![0; self.step as usize * SECTOR];
        let mut at = 0;
        while at < self.count {
            let sectors = self.step.min(self.count - at);
            f(self.first + at, &mut buffer[..sectors as usize * SECTOR])?;
            at += sectors;
        }
        Ok(())
    }
}

fn sum(disk: &Arc<dyn Disk>, range: &Range) -> Result<Sum, Errno> {
    let mut sum = Sum::new();
    range.each(|sector, buffer| {
        disk.read(sector, buffer)?;
        sum.add(buffer);
        Ok(())
    })?;
    Ok(sum)
}

/// Each four bytes are the number of their sector, times what makes neighbours differ in every byte.
fn fill(disk: &Arc<dyn Disk>, range: &Range) -> Result<Sum, Errno> {
    let mut sum = Sum::new();
    range.each(|sector, buffer| {
        for (number, part) in (sector..).zip(buffer.chunks_exact_mut(SECTOR)) {
            let word = (number as u32).wrapping_mul(0x9e37_79b9).to_le_bytes();
            part.as_chunks_mut().0.fill(word);
        }
        disk.write(sector, buffer)?;
        sum.add(buffer);
        Ok(())
    })?;
    disk.flush()?;
    Ok(sum)
}

//! `lsblk`, `blkio`.

use super::{Context, FAILED, OK, USAGE};
use crate::block::sum::Sum;
use crate::block::{Disk, SECTOR};
use alloc::sync::Arc;
use alloc::vec;
use pv_abi::errno::Errno;

/// Bytes that `blkio` moves at a time.
const PART: usize = 64 << 10;

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
    let (Ok(first), Ok(count)) =
        (numbers.next().unwrap_or(Ok(0)), numbers.next().unwrap_or(Ok(u64::MAX)))
    else {
        context.line(format_args!("blkio: SECTOR and COUNT are numbers"));
        return USAGE;
    };
    let count = count.min(disk.sectors().saturating_sub(first));
    let begun = context.kernel.uptime().up_ns;
    let done = match *verb {
        "sum" => sum(disk, first, count),
        "fill" => fill(disk, first, count),
        _ => {
            context.line(format_args!("blkio: {verb}? One of sum, fill"));
            return USAGE;
        }
    };
    let us = context.kernel.uptime().up_ns.saturating_sub(begun) / 1000;
    match done {
        Ok(sum) => {
            context.line(format_args!("{name} {first}+{count} {:08x}", sum.value()));
            context.line(format_args!("{} KiB in {us} us", count / 2));
            OK
        }
        Err(errno) => {
            context.line(format_args!("blkio: {name}: {errno}"));
            FAILED
        }
    }
}

/// Calls `f` with where each part of a range begins and how many bytes it has.
fn parts(
    first: u64,
    count: u64,
    mut f: impl FnMut(u64, usize) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let step = (PART / SECTOR) as u64;
    let mut at = 0;
    while at < count {
        let sectors = step.min(count - at);
        f(first + at, sectors as usize * SECTOR)?;
        at += sectors;
    }
    Ok(())
}

fn sum(disk: &Arc<dyn Disk>, first: u64, count: u64) -> Result<Sum, Errno> {
    let (mut sum, mut buffer) = (Sum::new(), vec![0; PART]);
    parts(first, count, |sector, bytes| {
        disk.read(sector, &mut buffer[..bytes])?;
        sum.add(&buffer[..bytes]);
        Ok(())
    })?;
    Ok(sum)
}

/// Each four bytes are the number of their sector, times what makes neighbours differ in every byte.
fn fill(disk: &Arc<dyn Disk>, first: u64, count: u64) -> Result<Sum, Errno> {
    let (mut sum, mut buffer) = (Sum::new(), vec![0; PART]);
    parts(first, count, |sector, bytes| {
        for (number, part) in (sector..).zip(buffer[..bytes].chunks_exact_mut(SECTOR)) {
            let word = (number as u32).wrapping_mul(0x9e37_79b9).to_le_bytes();
            part.as_chunks_mut().0.fill(word);
        }
        disk.write(sector, &buffer[..bytes])?;
        sum.add(&buffer[..bytes]);
        Ok(())
    })?;
    disk.flush()?;
    Ok(sum)
}

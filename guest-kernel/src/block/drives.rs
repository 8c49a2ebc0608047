//! Domain 0's own disks: `vda`, `vdb`, … are virtio disks, `vda1`, … their partitions.
//!
//! Letters go by order, so who wants one certain disk goes by its serial number, as with Linux's udev:
//! `disk/by-id/virtio-web`, `disk/by-id/virtio-web-part1`. These names are back ends' only.
//!
//! Each is used in two ways: as a [`Disk`](super::Disk), whose caller waits, and by [`Drive::submit`], for
//! back ends that have many things under way.

use super::mailbox::{Job, Mailbox};
use super::partitions::{self, Partition};
use super::{SECTOR, check, names, registry};
use crate::mm;
use crate::sync::Guarded;
use crate::task::scheduler;
use crate::virtio::block::{self, CHUNKS};
use crate::virtio::dma::Page;
use crate::virtio::wire;
use crate::waker::Waker;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::errno::Errno;
use ring1::events::Masked;
use ring1::println;
use xenbus::block::{Chunk, Properties, Work};

/// Bytes that one request moves at most.
const MOST_BYTES: usize = CHUNKS * PAGE;
const PAGE: usize = mm::PAGE as usize;

/// A disk, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drive {
    number: usize,
    first: u64,
    properties: Properties,
}

static DISKS: Guarded<Vec<block::Disk>> = Guarded::new(Vec::new());
static NAMES: Guarded<Vec<(String, Drive)>> = Guarded::new(Vec::new());

/// Finds the machine's disks and names them.
#[inline(never)]
pub fn init() {
    for (at, found) in (0..).zip(block::all()) {
        let name = format!("vd{}", names::letters(at));
        match found {
            Ok(disk) => add(&name, disk),
            Err(error) => println!("{name} cannot be used: {error:?}"),
        }
    }
}

fn add(name: &str, disk: block::Disk) {
    let (irq, properties) = (disk.irq(), disk.properties());
    let serial = Some(disk.serial()).filter(|serial| !serial.is_empty());
    let by_id = serial.map(|serial| format!("disk/by-id/virtio-{serial}"));
    let number = DISKS.with(|disks| {
        disks.push(disk);
        disks.len() - 1
    });
    if let Err(errno) = wire::listen(irq, interrupt) {
        return println!("{name} cannot be used: its interrupt: {errno}");
    }
    // What it had to say before somebody listened.
    DISKS.with(|disks| disks.iter_mut().for_each(block::Disk::interrupt));
    let whole = Drive { number, first: 0, properties };
    publish(name, by_id.clone(), whole);
    match partitions::read(&whole) {
        Ok(parts) => {
            for Partition { number, first, sectors } in parts {
                let properties = Properties { sectors, ..properties };
                let by_id = by_id.as_ref().map(|by_id| format!("{by_id}-part{number}"));
                let part = Drive { first, properties, ..whole };
                publish(&format!("{name}{number}"), by_id, part);
            }
        }
        Err(errno) => println!("{name}: its partitions cannot be read: {errno}"),
    }
}

fn publish(name: &str, by_id: Option<String>, drive: Drive) {
    NAMES.with(|names| {
        names.push((name.to_string(), drive));
        names.extend(by_id.map(|by_id| (by_id, drive)));
    });
    registry::register(name, Arc::new(drive));
}

/// The disk or partition of this name, or with this serial number: the first of several.
pub fn find(name: &str) -> Option<Drive> {
    NAMES.with(|names| names.iter().find(|(own, _)| own == name).map(|(_, drive)| *drive))
}

/// A disk interrupts, or another device on its wire, upcalls masked.
fn interrupt() {
    DISKS.with(|disks| disks.iter_mut().for_each(block::Disk::interrupt));
}

impl Drive {
    /// What it is like.
    pub fn properties(&self) -> Properties {
        self.properties
    }

    /// Has something done, within it.
    pub fn submit(&self, mut job: Job) {
        match &mut job.work {
            Work::Read { sector, .. }
            | Work::Write { sector, .. }
            | Work::Discard { sector, .. } => {
                *sector += self.first;
            }
            Work::Flush => {}
        }
        DISKS.with(|disks| {
            if let Some(disk) = disks.get_mut(self.number) {
                disk.submit(job);
            }
        });
    }

    /// Has something done, and waits until it is; its chunks.
    fn wait_for(&self, work: Work<Page>) -> Result<Vec<Chunk<Page>>, Errno> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let channel = scheduler::DISK_REQUESTS
            + NEXT.fetch_add(1, Ordering::Relaxed) % scheduler::DISK_REQUESTS_COUNT;
        let mailbox = Mailbox::new(Waker { call: scheduler::wake, argument: channel });
        self.submit(Job { tag: 0, work, mailbox: Arc::clone(&mailbox) });
        let _masked = Masked::new();
        loop {
            if let Some(done) = mailbox.take() {
                return done.result.map(|()| done.chunks);
            }
            scheduler::sleep(channel, 0);
        }
    }
}

/// Pages for so many bytes.
fn chunks(bytes: usize) -> Result<Vec<Chunk<Page>>, Errno> {
    let chunk = |at: usize| {
        let page = Page::new().ok_or(Errno::ENOMEM)?;
        Ok(Chunk { page, range: 0..PAGE.min(bytes - at) })
    };
    (0..bytes).step_by(PAGE).map(chunk).collect()
}

impl super::Disk for Drive {
    fn sector_size(&self) -> u32 {
        self.properties.sector_size
    }

    fn sectors(&self) -> u64 {
        self.properties.sectors
    }

    fn read_only(&self) -> bool {
        self.properties.read_only
    }

    fn read(&self, sector: u64, into: &mut [u8]) -> Result<(), Errno> {
        check(self, sector, into.len() as u64)?;
        for (part, into) in into.chunks_mut(MOST_BYTES).enumerate() {
            let sector = sector + (part * MOST_BYTES / SECTOR) as u64;
            let chunks = self.wait_for(Work::Read { sector, chunks: chunks(into.len())? })?;
            for (into, Chunk { page, range }) in into.chunks_mut(PAGE).zip(&chunks) {
                into.copy_from_slice(&page.as_ref()[range.clone()]);
            }
        }
        Ok(())
    }

    fn write(&self, sector: u64, from: &[u8]) -> Result<(), Errno> {
        check(self, sector, from.len() as u64)?;
        if self.read_only() {
            return Err(Errno::EROFS);
        }
        for (part, from) in from.chunks(MOST_BYTES).enumerate() {
            let sector = sector + (part * MOST_BYTES / SECTOR) as u64;
            let mut chunks = chunks(from.len())?;
            for (from, Chunk { page, range }) in from.chunks(PAGE).zip(&mut chunks) {
                page.as_mut()[range.clone()].copy_from_slice(from);
            }
            self.wait_for(Work::Write { sector, chunks })?;
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Errno> {
        self.wait_for(Work::Flush).map(|_| ())
    }

    fn discard(&self, sector: u64, count: u64) -> Result<(), Errno> {
        check(self, sector, count.checked_mul(SECTOR as u64).ok_or(Errno::EIO)?)?;
        if self.read_only() {
            return Err(Errno::EROFS);
        }
        if !self.properties.discard {
            return Err(Errno::EOPNOTSUPP);
        }
        self.wait_for(Work::Discard { sector, count }).map(|_| ())
    }
}

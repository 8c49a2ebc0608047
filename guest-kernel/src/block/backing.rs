//! What may stand behind a disk that this domain gives to another, found by the node `params`.
//!
//! | `params` | is |
//! |---|---|
//! | `vda`, `vda1`, `/dev/vda` | a virtio disk or a partition, through its queue |
//! | `/dev/disk/by-id/virtio-SERIAL` | the one with this serial number; `-part1`: its partition |
//! | `xvda`, … | any other disk of this kernel's, one thing after the other |
//! | `ram:SIZE` | memory, with zeroes in it: `SIZE` is bytes, or with a suffix `K`, `M` |
//! | `/mnt/disk.img` | any other path: the file that it leads to in this domain's tree |
//!
//! A disk or a file that cannot be found is an error at once.

use super::drives::{self, Drive};
use super::file::{Claims, FileDisk};
use super::mailbox::{Job, Mailbox};
use super::ram::RamDisk;
use super::{Disk, SECTOR, registry};
use crate::device::Bell;
use crate::fs;
use crate::fs::file::Flags;
use crate::task::scheduler;
use crate::virtio::dma::Page;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use pv_abi::errno::Errno;
use ring1::events::Masked;
use xenbus::block::back::Opener;
use xenbus::block::{Chunk, Done, Properties, Storage, Work};
use xenbus::device::{Fault, Node};

/// The files that stand behind devices.
static FILES: Claims = Claims::new();

/// Finds what stands behind a device, whose task has this bell.
pub struct Finder(pub Bell);

/// What was found.
pub struct Backing {
    source: Source,
    properties: Properties,
}

enum Source {
    /// A queue, in which so many things are under way; the bell's task is woken when one is done.
    Queue { drive: Drive, mailbox: Arc<Mailbox>, under_way: usize, bell: Bell },
    /// A disk whose callers wait. What is submitted is done at once.
    Disk { disk: Arc<dyn Disk>, calls: Calls, done: VecDeque<Done<Page>>, bell: Bell },
}

/// How a disk is asked for what lies in several pages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calls {
    /// Once for each page: a call costs little, and nothing is copied twice.
    Each,
    /// Once for all: a call may lead through another domain, or a file system.
    One,
}

impl Opener for Finder {
    type Storage = Backing;

    fn open(&mut self, own: &mut Node<'_>) -> Result<Option<Backing>, Fault> {
        let reading = || Fault::while_doing("reading params");
        let params = own.read("params").map_err(reading())?.ok_or(Errno::ENOENT);
        let params = params.and_then(|bytes| String::from_utf8(bytes).map_err(|_| Errno::EINVAL));
        let params = params.map_err(reading())?;
        let writable = own.read("mode").map_err(reading())?.is_some_and(|mode| mode == b"w");
        let discards = own.read("discard-enable").map_err(reading())?.is_none_or(|on| on != b"0");
        let source = self.find(&params, writable)?;
        let found = match &source {
            Source::Queue { drive, .. } => drive.properties(),
            Source::Disk { disk, .. } => Properties {
                sectors: disk.sectors(),
                sector_size: disk.sector_size(),
                read_only: disk.read_only(),
                discard: true,
            },
        };
        let properties = Properties {
            read_only: found.read_only || !writable,
            discard: found.discard && discards && writable,
            ..found
        };
        Ok(Some(Backing { source, properties }))
    }
}

impl Finder {
    fn find(&self, params: &str, writable: bool) -> Result<Source, Fault> {
        let name = params.strip_prefix("/dev/").unwrap_or(params);
        if name.starts_with('/') {
            let flags = if writable { Flags::READ_WRITE } else { Flags::empty() };
            let file = fs::open(name, flags).map(|open| open.file);
            let disk = FileDisk::new(file, name, !writable, &FILES)?;
            return Ok(self.waiting_for(Arc::new(disk), Calls::One));
        }
        if let Some(size) = name.strip_prefix("ram:") {
            let making = || Fault::while_doing(format!("making a disk of {size}"));
            let length = length(size).ok_or(Errno::EINVAL).map_err(making())?;
            let disk = RamDisk::new(length, SECTOR as u32).map_err(making())?;
            return Ok(self.waiting_for(Arc::new(disk), Calls::Each));
        }
        if let Some(drive) = drives::find(name) {
            let (mailbox, bell) = (Mailbox::new(self.0.waker()), self.0);
            return Ok(Source::Queue { drive, mailbox, under_way: 0, bell });
        }
        let found = registry::find(name).ok_or(Errno::ENOENT);
        let found = found.map_err(Fault::while_doing(format!("finding the disk {name}")))?;
        Ok(self.waiting_for(found, Calls::One))
    }

    fn waiting_for(&self, disk: Arc<dyn Disk>, calls: Calls) -> Source {
        Source::Disk { disk, calls, done: VecDeque::new(), bell: self.0 }
    }
}

/// A number of bytes, with a suffix or without.
fn length(text: &str) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'K' | b'k' => (text.get(..text.len() - 1)?, 1 << 10),
        b'M' | b'm' => (text.get(..text.len() - 1)?, 1 << 20),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

impl Storage for Backing {
    type Page = Page;

    fn properties(&self) -> Properties {
        self.properties
    }

    fn page(&mut self) -> Option<Page> {
        Page::uncleared()
    }

    fn submit(&mut self, tag: u32, work: Work<Page>) {
        match &mut self.source {
            Source::Queue { drive, mailbox, under_way, .. } => {
                *under_way += 1;
                drive.submit(Job { tag, work, mailbox: Arc::clone(mailbox) });
            }
            Source::Disk { disk, calls, done, bell } => {
                done.push_back(carry_out(disk.as_ref(), *calls, tag, work));
                // The task asks for it when it looks next.
                bell.ring();
            }
        }
    }

    fn completed(&mut self) -> Option<Done<Page>> {
        match &mut self.source {
            Source::Queue { mailbox, under_way, .. } => {
                let done = mailbox.take()?;
                *under_way -= 1;
                Some(done)
            }
            Source::Disk { done, .. } => done.pop_front(),
        }
    }
}

impl Drop for Backing {
    /// Waits for what is under way, as a crashed driver's device is reset before another drives it: a
    /// write of a back end that is gone must not come after those of its successor.
    fn drop(&mut self) {
        let Source::Queue { mailbox, under_way, bell, .. } = &mut self.source else { return };
        let _masked = Masked::new();
        while *under_way > 0 {
            match mailbox.take() {
                Some(_) => *under_way -= 1,
                None => scheduler::sleep(bell.channel(), 0),
            }
        }
    }
}

/// Does work at once.
fn carry_out(disk: &dyn Disk, calls: Calls, tag: u32, work: Work<Page>) -> Done<Page> {
    let (chunks, result) = match work {
        Work::Read { sector, mut chunks } => {
            let result = match calls {
                Calls::Each => read_each(disk, sector, &mut chunks),
                Calls::One => read_all(disk, sector, &mut chunks),
            };
            (chunks, result)
        }
        Work::Write { sector, chunks } => {
            let result = match calls {
                Calls::Each => write_each(disk, sector, &chunks),
                Calls::One => write_all(disk, sector, &chunks),
            };
            (chunks, result)
        }
        Work::Flush => (Vec::new(), disk.flush()),
        // A hint: a disk that does not do it loses nothing.
        Work::Discard { sector, count } => match disk.discard(sector, count) {
            Err(Errno::EOPNOTSUPP) => (Vec::new(), Ok(())),
            result => (Vec::new(), result),
        },
    };
    Done { tag, chunks, result }
}

fn read_each(disk: &dyn Disk, sector: u64, chunks: &mut [Chunk<Page>]) -> Result<(), Errno> {
    let mut at = sector;
    for chunk in chunks {
        disk.read(at, bytes_mut(chunk)?)?;
        at += (chunk.range.len() / SECTOR) as u64;
    }
    Ok(())
}

fn write_each(disk: &dyn Disk, sector: u64, chunks: &[Chunk<Page>]) -> Result<(), Errno> {
    let mut at = sector;
    for chunk in chunks {
        disk.write(at, bytes(chunk)?)?;
        at += (chunk.range.len() / SECTOR) as u64;
    }
    Ok(())
}

fn read_all(disk: &dyn Disk, sector: u64, chunks: &mut [Chunk<Page>]) -> Result<(), Errno> {
    let length = chunks.iter().map(|chunk| chunk.range.len()).sum();
    let mut all = Vec::new();
    all.try_reserve_exact(length).map_err(|_| Errno::ENOMEM)?;
    all.resize(length, 0);
    disk.read(sector, &mut all)?;
    let mut rest = all.as_slice();
    for chunk in chunks {
        let into = bytes_mut(chunk)?;
        let (part, later) = rest.split_at_checked(into.len()).ok_or(Errno::EINVAL)?;
        into.copy_from_slice(part);
        rest = later;
    }
    Ok(())
}

fn write_all(disk: &dyn Disk, sector: u64, chunks: &[Chunk<Page>]) -> Result<(), Errno> {
    let mut all = Vec::new();
    let length = chunks.iter().map(|chunk| chunk.range.len()).sum();
    all.try_reserve_exact(length).map_err(|_| Errno::ENOMEM)?;
    for chunk in chunks {
        all.extend_from_slice(bytes(chunk)?);
    }
    disk.write(sector, &all)
}

fn bytes(chunk: &Chunk<Page>) -> Result<&[u8], Errno> {
    chunk.page.as_ref().get(chunk.range.clone()).ok_or(Errno::EINVAL)
}

fn bytes_mut(chunk: &mut Chunk<Page>) -> Result<&mut [u8], Errno> {
    chunk.page.as_mut().get_mut(chunk.range.clone()).ok_or(Errno::EINVAL)
}

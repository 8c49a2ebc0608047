//! A virtio disk: requests in any number, done in any order.
//!
//! Virtio 1.2, section 5.2; one queue. A request is a chain of descriptors: a header, its data, a byte
//! for the outcome; header and outcome are in a page of their own, so that nothing that the device
//! writes shares a page with what somebody holds. What finds no room in the queue waits here, in
//! order. Each [`Job`] ends in its owner's [`Mailbox`](crate::block::mailbox::Mailbox), from the interrupt.
//!
//! The kinds of work are those of `xenbus::block`, whose back end is one who submits them.
#![allow(unsafe_code)] // UNSAFETY: gives pages to the device and takes them back.

use super::dma::{Machine, Page};
use super::pci::{self, Configuration};
use crate::block::mailbox::Job;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use bitflags::bitflags;
use pv_abi::errno::Errno;
use ring1::io::Ports;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::Transport;
use virtio_drivers::transport::pci::PciTransport;
use virtio_drivers::transport::pci::bus::DeviceFunction;
use xenbus::block::check::MOST_SEGMENTS;
use xenbus::block::{Chunk, Properties, SECTOR, Work};
use zerocopy::{Immutable, IntoBytes};

/// Vendor and device of a disk that is no legacy one.
const ID: u32 = 0x1042_1af4;
const REQUESTS: u16 = 0;
/// Entries of the queue, as many as fit a page with room to spare.
const ENTRIES: usize = 128;
/// Descriptors of a request beside its data: header and outcome.
const FRAME: usize = 2;
/// Chunks of data in a request, at most.
pub const CHUNKS: usize = MOST_SEGMENTS as usize;

bitflags! {
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        const SEG_MAX = 1 << 2;
        const RO = 1 << 5;
        const BLK_SIZE = 1 << 6;
        const FLUSH = 1 << 9;
        const DISCARD = 1 << 13;
        const VERSION_1 = 1 << 32;
    }
}

/// Where things are in the configuration space (`struct virtio_blk_config`).
mod field {
    pub const CAPACITY_LOW: usize = 0;
    pub const CAPACITY_HIGH: usize = 4;
    pub const SEG_MAX: usize = 12;
    pub const BLK_SIZE: usize = 20;
    pub const MAX_DISCARD_SECTORS: usize = 36;
}

const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;
const DISCARD: u32 = 11;

/// Bytes of a serial number (`VIRTIO_BLK_ID_BYTES`).
const SERIAL_BYTES: usize = 20;

/// `struct virtio_blk_req`, up to its data.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Header {
    kind: u32,
    reserved: u32,
    sector: u64,
}

/// `struct virtio_blk_discard_write_zeroes`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Range {
    sector: u64,
    count: u32,
    flags: u32,
}

/// In the page of a request: where the header ends, the range of a discard ends, and the outcome is.
const HEADER_END: usize = size_of::<Header>();
const RANGE_END: usize = HEADER_END + size_of::<Range>();
const OUTCOME: usize = 64;

type Queue = VirtQueue<Machine, ENTRIES>;

/// What a request has the device read, and write: the first ones of each list. (Without a destructor,
/// as `pop_used` borrows them for good.)
struct Lists<'a> {
    inputs: [&'a [u8]; CHUNKS + FRAME],
    read: usize,
    outputs: [&'a mut [u8]; CHUNKS + FRAME],
    written: usize,
}

/// Why a disk is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It does not work as it should.
    Device,
    /// It takes fewer chunks in a request than [`CHUNKS`].
    Chunks(u32),
    /// Its sectors have so many bytes.
    SectorSize(u32),
}

/// A request that the device has.
struct Flight {
    job: Job,
    frame: Page,
}

/// The device, and what it is doing.
pub struct Disk {
    transport: PciTransport,
    queue: Queue,
    /// What the device has, by token.
    flights: Vec<Option<Flight>>,
    waiting: VecDeque<Job>,
    /// Pages for headers and outcomes.
    frames: Vec<Page>,
    properties: Properties,
    serial: String,
    /// It has a cache to be flushed.
    flush: bool,
    most_discarded: u32,
    irq: u32,
}

/// The machine's disks, in the order of their slots; what is wrong with one in its place. Empty where
/// the domain has no devices.
pub fn all() -> Vec<Result<Disk, Unusable>> {
    let Ok(ports) = Ports::take() else { return Vec::new() };
    let functions: Vec<DeviceFunction> = Configuration::new(ports).all(ID).collect();
    functions
        .into_iter()
        .filter_map(|function| Some(Disk::new(Ports::take().ok()?, function)))
        .collect()
}

impl Disk {
    fn new(ports: Ports, function: DeviceFunction) -> Result<Self, Unusable> {
        let opened = pci::open(Configuration::new(ports), function);
        let (mut transport, irq) = opened.map_err(|_| Unusable::Device)?;
        let features = transport.begin_init(Features::all());
        if !features.contains(Features::VERSION_1) {
            return Err(Unusable::Device);
        }
        let number = |at| transport.read_config_space::<u32>(at).map_err(|_| Unusable::Device);
        let optional = |feature, at, otherwise| {
            if features.contains(feature) { number(at) } else { Ok(otherwise) }
        };
        let sectors = u64::from(number(field::CAPACITY_LOW)?)
            | u64::from(number(field::CAPACITY_HIGH)?) << 32;
        let chunks = optional(Features::SEG_MAX, field::SEG_MAX, 1)?;
        if (chunks as usize) < CHUNKS {
            return Err(Unusable::Chunks(chunks));
        }
        let sector_size = optional(Features::BLK_SIZE, field::BLK_SIZE, SECTOR as u32)?;
        if !sector_size.is_power_of_two() || !(SECTOR as u32..=4096).contains(&sector_size) {
            return Err(Unusable::SectorSize(sector_size));
        }
        let most_discarded = optional(Features::DISCARD, field::MAX_DISCARD_SECTORS, 0)?;
        let properties = Properties {
            sectors,
            sector_size,
            read_only: features.contains(Features::RO),
            discard: most_discarded > 0,
        };
        let queue = Queue::new(&mut transport, REQUESTS, false, false);
        let mut queue = queue.map_err(|_| Unusable::Device)?;
        transport.finish_init();
        let serial = serial(&mut queue, &mut transport).unwrap_or_default();
        let flush = features.contains(Features::FLUSH);
        let flights = (0..ENTRIES).map(|_| None).collect();
        let (waiting, frames) = (VecDeque::new(), Vec::new());
        Ok(Self {
            transport,
            queue,
            flights,
            waiting,
            frames,
            properties,
            serial,
            flush,
            most_discarded,
            irq,
        })
    }

    /// What it is like.
    pub fn properties(&self) -> Properties {
        self.properties
    }

    /// Its serial number; empty if it has none.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The wire it interrupts by.
    pub fn irq(&self) -> u32 {
        self.irq
    }

    /// Has something done. Ranges are within the disk, and chunks no more than [`CHUNKS`].
    pub fn submit(&mut self, job: Job) {
        self.waiting.push_back(job);
        self.start();
    }

    /// The device interrupts: the wire is quiet afterwards, and what is done is with its owners.
    pub fn interrupt(&mut self) {
        self.transport.ack_interrupt();
        while let Some(token) = self.queue.peek_used() {
            let flight = self.flights.get_mut(usize::from(token)).and_then(Option::take);
            // A token of none would be asked about for ever.
            let Some(flight) = flight else { break };
            self.end(token, flight);
        }
        self.start();
    }

    /// Gives the device what waits, as far as there is room.
    fn start(&mut self) {
        let mut any = false;
        while let Some(job) = self.waiting.pop_front() {
            match self.add(job) {
                Ok(()) => any = true,
                Err(job) => {
                    self.waiting.push_front(job);
                    break;
                }
            }
        }
        super::settle();
        if any && self.queue.should_notify() {
            self.transport.notify(REQUESTS);
        }
    }

    /// Gives the device a job, or ends it if that is quicker. Gives it back for want of room.
    fn add(&mut self, mut job: Job) -> Result<(), Job> {
        let needed = FRAME
            + match &job.work {
                Work::Read { chunks, .. } | Work::Write { chunks, .. } => chunks.len(),
                Work::Flush if !self.flush => {
                    // What is written lasts at once.
                    job.end(Ok(()));
                    return Ok(());
                }
                Work::Flush => 0,
                Work::Discard { .. } => 1,
            };
        if self.queue.available_desc() < needed {
            return Err(job);
        }
        let Some(mut frame) = self.frames.pop().or_else(Page::new) else {
            if self.flights.iter().any(Option::is_some) {
                return Err(job);
            }
            job.end(Err(Errno::ENOMEM));
            return Ok(());
        };
        self.write_frame(&job.work, &mut frame);
        let Lists { inputs, read, mut outputs, written } = Lists::of(&mut job.work, &mut frame);
        // SAFETY: 1. The pages stay in `flights`, untouched, until `pop_used` gives them back.
        let added = unsafe { self.queue.add(&inputs[..read], &mut outputs[..written]) };
        match added {
            Ok(token) => {
                if let Some(place) = self.flights.get_mut(usize::from(token)) {
                    *place = Some(Flight { job, frame });
                }
            }
            Err(_) => job.end(Err(Errno::EIO)),
        }
        Ok(())
    }

    /// Writes header and, of a discard, range.
    fn write_frame(&self, work: &Work<Page>, frame: &mut Page) {
        let (kind, sector) = match work {
            Work::Read { sector, .. } => (IN, *sector),
            Work::Write { sector, .. } => (OUT, *sector),
            Work::Flush => (FLUSH, 0),
            Work::Discard { .. } => (DISCARD, 0),
        };
        let bytes = frame.as_mut();
        bytes[..HEADER_END].copy_from_slice(Header { kind, reserved: 0, sector }.as_bytes());
        if let Work::Discard { sector, count } = *work {
            // A hint: what is more than the device takes at a time is left as it is.
            let count = u32::try_from(count).unwrap_or(u32::MAX).min(self.most_discarded);
            let range = Range { sector, count, flags: 0 };
            bytes[HEADER_END..RANGE_END].copy_from_slice(range.as_bytes());
        }
        // Nothing that a device says.
        bytes[OUTCOME] = u8::MAX;
    }

    /// Ends a request that the device has done.
    fn end(&mut self, token: u16, mut flight: Flight) {
        let work = &mut flight.job.work;
        let Lists { inputs, read, mut outputs, written } = Lists::of(work, &mut flight.frame);
        // SAFETY: 1. These are the bytes that were added under this token.
        let popped =
            unsafe { self.queue.pop_used(token, &inputs[..read], &mut outputs[..written]) };
        let result = match (popped, flight.frame.as_ref().get(OUTCOME)) {
            (Ok(_), Some(0)) => Ok(()),
            (Ok(_), Some(2)) => Err(Errno::EOPNOTSUPP),
            _ => Err(Errno::EIO),
        };
        self.frames.push(flight.frame);
        flight.job.end(result);
    }
}

/// Asks a device that does nothing else yet for its serial number, and waits for the answer. None: it
/// has none, or one that is no name.
fn serial(queue: &mut Queue, transport: &mut PciTransport) -> Option<String> {
    let mut frame = Page::new()?;
    let bytes = frame.as_mut();
    let header = Header { kind: GET_ID, reserved: 0, sector: 0 };
    bytes[..HEADER_END].copy_from_slice(header.as_bytes());
    bytes[OUTCOME] = u8::MAX;
    let (head, rest) = bytes.split_at_mut(OUTCOME);
    let (outcome, rest) = rest.split_at_mut(1);
    let told = &mut rest[..SERIAL_BYTES];
    let asked = queue.add_notify_wait_pop(
        &[&head[..HEADER_END]],
        &mut [&mut *told, &mut *outcome],
        transport,
    );
    // Nobody listens to the wire yet.
    transport.ack_interrupt();
    if asked.is_err() || outcome != [0] {
        return None;
    }
    // It ends with a zero where there is room for one.
    let name = told.split(|byte| *byte == 0).next()?;
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let name = core::str::from_utf8(name).ok()?;
    name.bytes().all(|byte| fits(&byte)).then(|| name.into())
}

impl<'a> Lists<'a> {
    fn of(work: &'a mut Work<Page>, frame: &'a mut Page) -> Self {
        let (inputs, outputs) = ([&[][..]; _], core::array::from_fn(|_| &mut [][..]));
        let mut lists = Self { inputs, read: 0, outputs, written: 0 };
        let (head, rest) = frame.as_mut().split_at_mut(OUTCOME);
        let head = &head[..];
        lists.reads(&head[..HEADER_END]);
        match work {
            Work::Read { chunks, .. } => {
                for Chunk { page, range } in chunks {
                    lists.writes(&mut page.as_mut()[range.clone()]);
                }
            }
            Work::Write { chunks, .. } => {
                let chunks: &'a [Chunk<Page>] = chunks;
                for Chunk { page, range } in chunks {
                    lists.reads(&page.as_ref()[range.clone()]);
                }
            }
            Work::Flush => {}
            Work::Discard { .. } => lists.reads(&head[HEADER_END..RANGE_END]),
        }
        lists.writes(&mut rest[..1]);
        lists
    }

    /// There is room for all: chunks are no more than was said.
    fn reads(&mut self, bytes: &'a [u8]) {
        self.inputs[self.read] = bytes;
        self.read += 1;
    }

    fn writes(&mut self, bytes: &'a mut [u8]) {
        self.outputs[self.written] = bytes;
        self.written += 1;
    }
}

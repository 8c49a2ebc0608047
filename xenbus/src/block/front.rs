//! The front end's half.
//!
//! ```text
//! begin(ask) -> ticket      data copied to the pool, request written
//! kick                      the back end sees all that was begun
//! poll                      at an event: responses are taken
//! finish(ticket) -> outcome data copied out of the pool
//! ```
//!
//! Who waits for a ticket sleeps until the next event. When the connection ends, whatever the reason,
//! all that was not answered is [lost](Outcome::Lost): its ticket says so, and it can be begun again
//! once there is another connection. Doing so is safe: that a read or a write is done twice is not to be told
//! from once, and what others asked meanwhile was not to wait for it.

mod connect;

use alloc::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::io::blkif::{
    BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST, BLKIF_MAX_SEGMENTS_PER_REQUEST, BLKIF_OP_DISCARD,
    BLKIF_OP_FLUSH_DISKCACHE, BLKIF_OP_INDIRECT, BLKIF_OP_READ, BLKIF_OP_WRITE,
    BLKIF_OP_WRITE_BARRIER, BLKIF_RSP_EOPNOTSUPP, BLKIF_RSP_OKAY, BlkifRequestSegment,
};
use pv_abi::types::{GrantRef, Port};
use zerocopy::IntoBytes;

use crate::access::Events;
use crate::memory::{PAGE_SIZE, SharedMemory};
use crate::ring::{FrontRing, Notify};

use super::pool::{Page, Pool};
use super::wire::{Body, Layout, Request, SEGMENTS_PER_PAGE};
use super::{Broken, Properties, SECTOR};

/// How a front end would like to be connected; it makes do with less where less is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Rings.
    pub queues: u32,
    /// Log2 of the pages of each.
    pub ring_order: u32,
    /// Pages for data, all queues together.
    pub pool: usize,
    /// Segments of a request.
    pub segments: u16,
}

impl Default for Options {
    /// One ring of a page, and 32 requests of 64 KiB under way: half a mebibyte of pages.
    fn default() -> Options {
        Options { queues: 1, ring_order: 0, pool: 128, segments: 16 }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask<'a> {
    /// So many bytes from a sector on.
    Read(u64, usize),
    /// These bytes, from a sector on.
    Write(u64, &'a [u8]),
    /// As [`Ask::Write`], behind a barrier.
    Barrier(u64, &'a [u8]),
    /// That all lasts whose end was told before.
    Flush,
    /// So many sectors from one on are not needed any more.
    Discard(u64, u64),
}

/// Something that was begun.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "its place is taken until it is finished"]
pub struct Ticket {
    connection: u32,
    id: u64,
}

/// Why nothing was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no back end at present.
    Unconnected,
    /// Too much is under way: something must be finished before.
    Busy,
    /// It cannot be done at all.
    Errno(Errno),
}

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, or the back end says why not.
    Done(Result<(), Errno>),
    /// Nobody knows: the connection ended. It may be begun again.
    Lost,
}

/// What the back end can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Features {
    flush: bool,
    barrier: bool,
}

/// A request that is under way, by its id.
#[derive(Debug)]
struct Flight {
    pages: Vec<Page>,
    /// Bytes of data in them.
    bytes: usize,
    /// The response's status, once it came.
    status: Option<i16>,
}

type Ring<L, M> = FrontRing<M, <L as Layout>::Request, <L as Layout>::Response>;

/// A ring, its port and its grants.
struct Queue<L: Layout, M> {
    ring: Ring<L, M>,
    port: Port,
    grants: Vec<GrantRef>,
}

/// A connection, or what shall be one.
struct Link<L: Layout, M> {
    queues: Vec<Queue<L, M>>,
    pool: Pool<M>,
    /// By id.
    flights: Vec<Option<Flight>>,
    /// Segments of a request, by what both want.
    segments: u16,
    /// Which queue is used next.
    turn: usize,
}

/// A front end, whose layout is `L`.
pub struct FrontEnd<L: Layout, M> {
    options: Options,
    link: Option<Link<L, M>>,
    /// What the disk is like, while it can be used.
    disk: Option<(Properties, Features)>,
    /// Which connection this is.
    connection: u32,
}

impl<L: Layout, M: SharedMemory> FrontEnd<L, M> {
    /// A front end without a back end.
    pub fn new(options: Options) -> Self {
        FrontEnd { options, link: None, disk: None, connection: 0 }
    }

    /// What the disk is like, while there is a back end.
    pub fn properties(&self) -> Option<Properties> {
        self.disk.map(|(properties, _)| properties)
    }

    /// Our ports, while they are open.
    pub fn ports(&self) -> impl Iterator<Item = Port> + '_ {
        self.link.iter().flat_map(|link| link.queues.iter().map(|queue| queue.port))
    }

    /// Bytes that one request moves at most, while there is a back end.
    pub fn most_bytes(&self) -> usize {
        self.link.as_ref().map_or(0, |link| usize::from(link.segments) * PAGE_SIZE)
    }

    /// Begins something. The back end sees it when it is [kicked](FrontEnd::kick).
    ///
    /// # Errors
    /// Why it was not begun; EINVAL: the range is none of the disk, or more than
    /// [fits](FrontEnd::most_bytes); EROFS, EOPNOTSUPP.
    pub fn begin(&mut self, ask: Ask<'_>) -> Result<Ticket, Refusal> {
        let (Some((disk, features)), Some(link)) = (&self.disk, &mut self.link) else {
            return Err(Refusal::Unconnected);
        };
        let bytes = check(disk, features, &ask, usize::from(link.segments) * PAGE_SIZE);
        let id = link.begin(&ask, bytes.map_err(Refusal::Errno)?, *features)?;
        Ok(Ticket { connection: self.connection, id })
    }

    /// Shows the back end all that was begun, and wakes it if it sleeps.
    pub fn kick(&mut self, events: &mut impl Events) {
        for queue in self.link.iter_mut().flat_map(|link| &mut link.queues) {
            if queue.ring.publish() == Notify::Yes {
                // Refused only where the other domain is going: the connection will end.
                let _ = events.send(queue.port);
            }
        }
    }

    /// Takes the responses that came, and asks for an event at the next; how many they were.
    ///
    /// # Errors
    /// The back end broke a ring: the device is of no use to it any more.
    pub fn poll(&mut self) -> Result<usize, Broken> {
        let Some(link) = &mut self.link else { return Ok(0) };
        let mut count = 0;
        for queue in &mut link.queues {
            loop {
                while let Some(slot) = queue.ring.take()? {
                    let response = L::decode_response(&slot);
                    // Once for each request that is under way, in whatever queue.
                    let at = usize::try_from(response.id).unwrap_or(usize::MAX);
                    let flight = link.flights.get_mut(at).and_then(Option::as_mut);
                    let flight = flight.filter(|flight| flight.status.is_none());
                    let flight = flight.ok_or(Broken::Response(response.id))?;
                    flight.status = Some(response.status);
                    count += 1;
                }
                if !queue.ring.final_check()? {
                    break;
                }
            }
        }
        Ok(count)
    }

    /// What became of a ticket; `into` is filled by a read that went well. None: it is under way.
    pub fn finish(&mut self, ticket: &Ticket, into: &mut [u8]) -> Option<Outcome> {
        let link = self.link.as_mut().filter(|_| ticket.connection == self.connection);
        let Some(link) = link else { return Some(Outcome::Lost) };
        let place = link.flights.get_mut(ticket.id as usize);
        let Some(place) = place else { return Some(Outcome::Lost) };
        let status = place.as_ref()?.status?;
        let flight = place.take()?;
        if status == BLKIF_RSP_OKAY {
            let bytes = flight.bytes.min(into.len());
            let parts = into.get_mut(..bytes).unwrap_or_default().chunks_mut(PAGE_SIZE);
            parts.zip(&flight.pages).for_each(|(part, page)| link.pool.read(*page, part));
        }
        link.pool.give_back(flight.pages);
        Some(Outcome::Done(match status {
            BLKIF_RSP_OKAY => Ok(()),
            BLKIF_RSP_EOPNOTSUPP => Err(Errno::EOPNOTSUPP),
            _ => Err(Errno::EIO),
        }))
    }
}

/// Whether something can be done; how many bytes of data go with it.
fn check(
    disk: &Properties,
    features: &Features,
    ask: &Ask<'_>,
    most: usize,
) -> Result<usize, Errno> {
    let (sector, bytes) = match ask {
        Ask::Read(sector, bytes) => (*sector, *bytes),
        Ask::Write(..) | Ask::Barrier(..) | Ask::Discard(..) if disk.read_only => {
            return Err(Errno::EROFS);
        }
        Ask::Barrier(..) if !features.barrier => return Err(Errno::EOPNOTSUPP),
        Ask::Write(sector, from) | Ask::Barrier(sector, from) => (*sector, from.len()),
        Ask::Flush if !features.flush && !features.barrier => return Err(Errno::EOPNOTSUPP),
        Ask::Flush => return Ok(0),
        Ask::Discard(..) if !disk.discard => return Err(Errno::EOPNOTSUPP),
        Ask::Discard(sector, count) => {
            let end = sector.checked_add(*count).ok_or(Errno::EINVAL)?;
            return if end <= disk.sectors { Ok(0) } else { Err(Errno::EINVAL) };
        }
    };
    let own = disk.sector_size as usize;
    let whole = bytes.is_multiple_of(own)
        && sector.is_multiple_of((own / SECTOR) as u64)
        && bytes <= most
        && (bytes > 0 || matches!(ask, Ask::Barrier(..)));
    let end = sector.checked_add((bytes / SECTOR) as u64);
    if whole && end.is_some_and(|end| end <= disk.sectors) { Ok(bytes) } else { Err(Errno::EINVAL) }
}

impl<L: Layout, M: SharedMemory> Link<L, M> {
    /// Writes a request for something that was checked; its id.
    fn begin(&mut self, ask: &Ask<'_>, bytes: usize, features: Features) -> Result<u64, Refusal> {
        let id = self.flights.iter().position(Option::is_none).ok_or(Refusal::Busy)?;
        let count = bytes.div_ceil(PAGE_SIZE);
        let indirect = if count > BLKIF_MAX_SEGMENTS_PER_REQUEST {
            count.div_ceil(SEGMENTS_PER_PAGE)
        } else {
            0
        };
        let queue = self.queue_with_room().ok_or(Refusal::Busy)?;
        // Pages of segments are behind those of data.
        let pages = self.pool.take(count + indirect).ok_or(Refusal::Busy)?;
        if let Ask::Write(_, from) | Ask::Barrier(_, from) = ask {
            let parts = from.chunks(PAGE_SIZE).zip(&pages);
            parts.for_each(|(part, page)| self.pool.write(*page, part));
        }
        let (operation, body) = self.request(ask, bytes, &pages, features);
        let request = Request { id: id as u64, operation, body };
        if let Some(queue) = self.queues.get_mut(queue) {
            // There is room.
            let _ = queue.ring.push(&L::encode(&request));
        }
        if let Some(place) = self.flights.get_mut(id) {
            *place = Some(Flight { pages, bytes, status: None });
        }
        Ok(id as u64)
    }

    /// The next queue that has room, in turn.
    fn queue_with_room(&mut self) -> Option<usize> {
        let count = self.queues.len();
        let all = (0..count).map(|queue| (self.turn + queue) % count);
        let has_room = |at: &usize| self.queues.get(*at).is_some_and(|one| one.ring.free() > 0);
        let queue = all.into_iter().find(has_room)?;
        self.turn = queue + 1;
        Some(queue)
    }

    fn request(
        &self,
        ask: &Ask<'_>,
        bytes: usize,
        pages: &[Page],
        features: Features,
    ) -> (u8, Body) {
        let (operation, sector) = match ask {
            Ask::Read(sector, _) => (BLKIF_OP_READ, *sector),
            Ask::Write(sector, _) => (BLKIF_OP_WRITE, *sector),
            Ask::Barrier(sector, _) => (BLKIF_OP_WRITE_BARRIER, *sector),
            Ask::Flush if features.flush => (BLKIF_OP_FLUSH_DISKCACHE, 0),
            // An empty barrier does the same.
            Ask::Flush => (BLKIF_OP_WRITE_BARRIER, 0),
            Ask::Discard(sector, count) => {
                let (sector, count) = (*sector, *count);
                return (BLKIF_OP_DISCARD, Body::Discard { flag: 0, sector, count });
            }
        };
        let count = bytes.div_ceil(PAGE_SIZE);
        let segment = |at: usize, page: &Page| BlkifRequestSegment {
            gref: self.pool.grant(*page),
            first_sect: 0,
            last_sect: ((bytes - at * PAGE_SIZE).min(PAGE_SIZE) / SECTOR - 1) as u8,
            _pad: [0; 2],
        };
        let (data, lists) = pages.split_at_checked(count).unwrap_or((pages, &[]));
        let described = data.iter().enumerate().map(|(at, page)| segment(at, page));
        if lists.is_empty() {
            let nothing = BlkifRequestSegment {
                gref: GrantRef::new(0),
                first_sect: 0,
                last_sect: 0,
                _pad: [0; 2],
            };
            let mut segments = [nothing; BLKIF_MAX_SEGMENTS_PER_REQUEST];
            segments.iter_mut().zip(described).for_each(|(place, segment)| *place = segment);
            return (operation, Body::Direct { sector, count: count as u8, segments });
        }
        let described: Vec<BlkifRequestSegment> = described.collect();
        let mut grants = [GrantRef::new(0); BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST];
        let parts = described.chunks(SEGMENTS_PER_PAGE).zip(lists);
        for ((part, list), grant) in parts.zip(&mut grants) {
            self.pool.write(*list, part.as_bytes());
            *grant = self.pool.grant(*list);
        }
        let body = Body::Indirect { operation, sector, count: count as u16, pages: grants };
        (BLKIF_OP_INDIRECT, body)
    }
}

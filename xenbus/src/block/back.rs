//! The back end's half: rings in front, storage behind.
//!
//! [`BackEnd::serve`] is called when an event comes at one of the [ports](BackEnd::ports), and when
//! the storage has completed something. It answers what is done and takes what is asked, a bounded
//! part at a time, so that a busy device does not keep the others waiting.
//!
//! Work that is under way when the front end goes cannot be called back. It is an orphan then: it
//! keeps its pages and its number until it is done, and nobody is told. Until then nothing is taken
//! of the next front end: what that writes, and is told to be done, must not be overwritten later.

mod barrier;
mod connect;
mod flights;
mod transfer;

use pv_abi::io::blkif::{BLKIF_RSP_ERROR, BLKIF_RSP_OKAY};
use pv_abi::types::{DomId, Port};

use alloc::vec::Vec;

use crate::access::{Copies, Events};
use crate::device::{Fault, Node};
use crate::memory::SharedMemory;
use crate::ring::Notify;

use super::Broken;
use super::check::{MOST_SEGMENTS, Plan, check};
use super::storage::{Done, Storage, Work};
use super::wire::{AnyRing, Protocol, Request};
use barrier::Barrier;
use flights::{Asked, Flight, Flights, Kind};
use transfer::Failed;

pub use connect::{MOST_QUEUES, MOST_RING_ORDER};

/// Pages of data under way for one device, at most: 2 MiB.
pub const PAGES: usize = 512;
/// Requests that are taken before it is another device's turn.
const TURN: usize = 64;

/// Finds what stands behind a device.
pub trait Opener {
    /// What it finds.
    type Storage: Storage;

    /// Opens what a device's directory names. None: it is not there yet, and is asked for again at
    /// the device's next event.
    ///
    /// # Errors
    /// It cannot be opened; the device is closed.
    fn open(&mut self, own: &mut Node<'_>) -> Result<Option<Self::Storage>, Fault>;
}

/// A ring, and our port of its event channel.
#[derive(Debug)]
struct Queue<M> {
    ring: AnyRing<M>,
    port: Port,
}

/// A front end that is connected.
#[derive(Debug)]
struct Link<M> {
    front: DomId,
    queues: Vec<Queue<M>>,
}

/// What [`BackEnd::serve`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// How many requests were answered.
    pub answered: usize,
    /// More wait: it is another's turn now, and this device's again without an event.
    pub more: bool,
}

/// A back end. `M` is memory of another domain.
#[derive(Debug)]
pub struct BackEnd<M, O: Opener> {
    opener: O,
    /// The layout of front ends that do not say theirs: our own.
    native: Protocol,
    storage: Option<O::Storage>,
    link: Option<Link<M>>,
    flights: Flights,
    barrier: Option<Barrier>,
    /// Taken, and waiting for memory.
    held: Option<(usize, Request)>,
    /// Which queue is looked at next.
    turn: usize,
    answered: usize,
}

impl<M: SharedMemory, O: Opener> BackEnd<M, O> {
    /// A back end without a front end, in a domain whose own layout is `native`.
    pub fn new(opener: O, native: Protocol) -> Self {
        BackEnd {
            opener,
            native,
            storage: None,
            link: None,
            flights: Flights::default(),
            barrier: None,
            held: None,
            turn: 0,
            answered: 0,
        }
    }

    /// Our ports, while a front end is connected.
    pub fn ports(&self) -> impl Iterator<Item = Port> + '_ {
        self.link.iter().flat_map(|link| link.queues.iter().map(|queue| queue.port))
    }

    /// What stands behind the device, once it is open.
    pub fn storage(&mut self) -> Option<&mut O::Storage> {
        self.storage.as_mut()
    }

    /// How many operations are under way, orphans included.
    pub fn under_way(&self) -> usize {
        self.flights.count()
    }

    /// Answers what is done and takes what is asked.
    ///
    /// # Errors
    /// The front end broke a ring: the device is of no use to it any more.
    pub fn serve<D>(&mut self, domain: &mut D) -> Result<Served, Broken>
    where
        D: Events + Copies<Foreign = M>,
    {
        self.answered = 0;
        while let Some(done) = self.storage.as_mut().and_then(Storage::completed) {
            self.finish(domain, done);
        }
        let more = self.take_requests(domain);
        for queue in self.link.iter_mut().flat_map(|link| &mut link.queues) {
            if queue.ring.publish() == Notify::Yes {
                // Refused only where the front end's domain is going: nobody is left to be told.
                let _ = domain.send(queue.port);
            }
        }
        Ok(Served { answered: self.answered, more: more? })
    }

    /// Takes requests, queue by queue; whether more wait that could be taken.
    fn take_requests<D>(&mut self, domain: &mut D) -> Result<bool, Broken>
    where
        D: Events + Copies<Foreign = M>,
    {
        let queues = self.link.as_ref().map_or(0, |link| link.queues.len());
        let mut empty = 0;
        for _ in 0..TURN {
            self.drain_for_barrier(domain);
            // Without room the next completion goes on; a queue that is empty asked for an event.
            if empty == queues || !self.has_room() {
                return Ok(false);
            }
            if let Some((queue, request)) = self.held.take() {
                self.begin(domain, queue, request);
                continue;
            }
            let queue = self.turn % queues;
            self.turn = queue + 1;
            match self.next_request(queue)? {
                Some(request) => {
                    empty = 0;
                    self.begin(domain, queue, request);
                }
                None => empty += 1,
            }
        }
        Ok(true)
    }

    /// Whether another request may be taken: not behind a barrier, an orphan, or one that waits for
    /// memory, and not where its data would be too much.
    fn has_room(&self) -> bool {
        let waits = self.held.is_some() && self.flights.count() > 0;
        let pages = self.flights.pages() + usize::from(MOST_SEGMENTS);
        self.barrier.is_none() && !self.flights.has_orphans() && !waits && pages <= PAGES
    }

    /// The next request of a queue. None: there will be an event for it.
    fn next_request(&mut self, queue: usize) -> Result<Option<Request>, Broken> {
        let queue = self.link.as_mut().and_then(|link| link.queues.get_mut(queue));
        let Some(Queue { ring, .. }) = queue else { return Ok(None) };
        match ring.take()? {
            None if ring.final_check()? => Ok(ring.take()?),
            taken => Ok(taken),
        }
    }

    /// Judges a request, and has it done.
    fn begin<D>(&mut self, domain: &mut D, queue: usize, request: Request)
    where
        D: Events + Copies<Foreign = M>,
    {
        let asked = Asked::of(&request);
        match self.judge(domain, &request) {
            Err(status) => self.respond(queue, asked, status),
            Ok(Plan::Barrier(sector, segments)) => {
                self.barrier = Some(Barrier::new(queue, asked, sector, segments));
            }
            Ok(plan) => match self.prepare_work(domain, &plan) {
                Ok(work) => {
                    let kind = match plan {
                        Plan::Read(_, segments) => Kind::Read(segments),
                        _ => Kind::Other,
                    };
                    self.submit(Flight { queue: Some(queue), asked, kind }, work);
                }
                Err(Failed::Memory) if self.flights.count() > 0 => {
                    self.held = Some((queue, request));
                }
                Err(Failed::Memory | Failed::Grant) => {
                    self.respond(queue, asked, BLKIF_RSP_ERROR);
                }
            },
        }
    }

    /// What a request asks for, if it may. It is read once, its segments too.
    fn judge<D>(&self, domain: &mut D, request: &Request) -> Result<Plan, i16>
    where
        D: Copies<Foreign = M>,
    {
        let (Some(storage), Some(link)) = (&self.storage, &self.link) else {
            return Err(BLKIF_RSP_ERROR);
        };
        let indirect = transfer::indirect(domain, link.front, request)?;
        check(&storage.properties(), request, &indirect)
    }

    /// Work for the storage, with the data that is to be written.
    fn prepare_work<D>(
        &mut self,
        domain: &mut D,
        plan: &Plan,
    ) -> Result<Work<<O::Storage as Storage>::Page>, Failed>
    where
        D: Copies<Foreign = M>,
    {
        let (Some(storage), Some(link)) = (&mut self.storage, &self.link) else {
            return Err(Failed::Grant);
        };
        Ok(match plan {
            Plan::Read(sector, segments) => {
                Work::Read { sector: *sector, chunks: transfer::room(storage, segments)? }
            }
            Plan::Write(sector, segments) | Plan::Barrier(sector, segments) => {
                let chunks = transfer::bring_in(domain, link.front, storage, segments)?;
                Work::Write { sector: *sector, chunks }
            }
            Plan::Flush => Work::Flush,
            Plan::Discard(sector, count) => Work::Discard { sector: *sector, count: *count },
        })
    }

    fn submit(&mut self, flight: Flight, work: Work<<O::Storage as Storage>::Page>) {
        let pages = match &work {
            Work::Read { chunks, .. } | Work::Write { chunks, .. } => chunks.len(),
            Work::Flush | Work::Discard { .. } => 0,
        };
        let tag = self.flights.add(flight, pages);
        if let Some(storage) = &mut self.storage {
            storage.submit(tag, work);
        }
    }

    /// Deals with work that is done.
    fn finish<D>(&mut self, domain: &mut D, done: Done<<O::Storage as Storage>::Page>)
    where
        D: Events + Copies<Foreign = M>,
    {
        let Some(flight) = self.flights.remove(done.tag) else { return };
        let (Some(queue), Some(link)) = (flight.queue, &self.link) else { return };
        let done_well = match flight.kind {
            Kind::Barrier => return self.go_on_with_barrier(domain, done.result.is_ok()),
            Kind::Read(segments) if done.result.is_ok() => {
                transfer::hand_out(domain, link.front, &segments, &done.chunks)
            }
            Kind::Read(_) | Kind::Other => done.result.is_ok(),
        };
        let status = if done_well { BLKIF_RSP_OKAY } else { BLKIF_RSP_ERROR };
        self.respond(queue, flight.asked, status);
    }

    /// Answers a request.
    fn respond(&mut self, queue: usize, asked: Asked, status: i16) {
        let queue = self.link.as_mut().and_then(|link| link.queues.get_mut(queue));
        if let Some(queue) = queue {
            // There is a slot: the request's own.
            let _ = queue.ring.push(&asked.response(status));
            self.answered += 1;
        }
    }

    /// Forgets all that was taken and not answered: there is no front end any more.
    fn orphan(&mut self) {
        self.flights.orphan();
        (self.barrier, self.held) = (None, None);
    }
}

//! What is under way: which request each operation of the storage belongs to.

use alloc::vec::Vec;

use crate::block::check::Segment;
use crate::block::wire::{Request, Response};

/// What a response repeats of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    id: u64,
    operation: u8,
}

impl Asked {
    /// Of a request.
    pub fn of(request: &Request) -> Asked {
        Asked { id: request.id, operation: request.operation }
    }

    /// The response.
    pub fn response(self, status: i16) -> Response {
        Response { id: self.id, operation: self.operation, status }
    }
}

/// What is to be done when an operation is.
#[derive(Debug)]
pub enum Kind {
    /// Copy what was read to these places, and answer.
    Read(Vec<Segment>),
    /// Answer.
    Other,
    /// Go on with the barrier.
    Barrier,
}

/// An operation.
#[derive(Debug)]
pub struct Flight {
    /// The queue that it came from. None: that is gone.
    pub queue: Option<usize>,
    /// The request.
    pub asked: Asked,
    /// What comes then.
    pub kind: Kind,
}

/// All operations, each under its tag, with the number of its pages.
#[derive(Debug, Default)]
pub struct Flights {
    slots: Vec<Option<(Flight, usize)>>,
    count: usize,
    pages: usize,
    orphans: usize,
}

impl Flights {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many pages they have.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Whether some belong to nobody any more.
    pub fn has_orphans(&self) -> bool {
        self.orphans > 0
    }

    /// Adds one; its tag.
    pub fn add(&mut self, flight: Flight, pages: usize) -> u32 {
        self.count += 1;
        self.pages += pages;
        let free = self.slots.iter().position(Option::is_none);
        let at = free.unwrap_or(self.slots.len());
        match self.slots.get_mut(at) {
            Some(slot) => *slot = Some((flight, pages)),
            None => self.slots.push(Some((flight, pages))),
        }
        // As many as slots of a few rings.
        at as u32
    }

    /// Takes one out.
    pub fn remove(&mut self, tag: u32) -> Option<Flight> {
        let (flight, pages) = self.slots.get_mut(tag as usize)?.take()?;
        self.count -= 1;
        self.pages -= pages;
        self.orphans -= usize::from(flight.queue.is_none());
        Some(flight)
    }

    /// Nobody is to be told of any of them.
    pub fn orphan(&mut self) {
        self.slots.iter_mut().flatten().for_each(|(flight, _)| flight.queue = None);
        self.orphans = self.count;
    }
}

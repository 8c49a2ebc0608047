//! What is sent: pages that are free or with the back end, and the ring that says which.
//!
//! A request's number is its page's. A page is free again when its request has been answered; an
//! answer for a page that is not with the back end breaks the link.

use alloc::vec::Vec;

use pv_abi::io::netif::*;
use pv_abi::types::GrantRef;
use zerocopy::{FromZeros, IntoBytes};

use super::super::{Broken, Checksum, Frame, PAGE};
use super::Counts;
use crate::access::Shared;
use crate::memory::SharedMemory;
use crate::ring::{FrontRing, Notify};

/// Whether frames can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Now,
    /// When the back end has answered.
    Later,
    /// They need more pages than there are.
    Never,
}

/// The ring and its pages.
#[derive(Debug)]
pub(super) struct Ring<M> {
    ring: FrontRing<M, NetifTxRequest, NetifTxResponse>,
    ring_grants: Vec<GrantRef>,
    pages: Shared<M>,
    free: Vec<u16>,
    /// Whether the back end has a page.
    is_out: Vec<bool>,
}

impl<M: SharedMemory> Ring<M> {
    pub(super) fn new(
        ring: FrontRing<M, NetifTxRequest, NetifTxResponse>,
        ring_grants: Vec<GrantRef>,
        pages: Shared<M>,
    ) -> Ring<M> {
        let count = pages.grants.len();
        let free = (0..count as u16).rev().collect();
        let is_out = alloc::vec![false; count];
        Ring { ring, ring_grants, pages, free, is_out }
    }

    pub(super) fn into_shared(self) -> [Shared<M>; 2] {
        [Shared { memory: self.ring.into_memory(), grants: self.ring_grants }, self.pages]
    }

    /// Takes back the pages that were answered.
    pub(super) fn reclaim(&mut self, counts: &mut Counts) -> Result<(), Broken> {
        while let Some(response) = self.ring.take()? {
            if response.status == NETIF_RSP_NULL {
                // It was extra information's slot.
                continue;
            }
            match self.is_out.get_mut(usize::from(response.id)) {
                Some(is_out) if *is_out => *is_out = false,
                _ => return Err(Broken::Protocol("an answer to what was not sent")),
            }
            self.free.push(response.id);
            counts.sent_wrong += u64::from(response.status != NETIF_RSP_OKAY);
        }
        Ok(())
    }

    /// Whether all of these frames can be sent. If only later, an event will come.
    pub(super) fn room(&mut self, frames: &[Frame], counts: &mut Counts) -> Result<Room, Broken> {
        let pages: usize = frames.iter().map(|frame| frame.bytes.len().div_ceil(PAGE)).sum();
        let extras = frames.iter().filter(|frame| frame.segments.is_some()).count();
        let slots = pages + extras;
        if pages > self.is_out.len() || slots > self.ring.slots() as usize {
            return Ok(Room::Never);
        }
        loop {
            if pages <= self.free.len() && slots <= self.ring.free() as usize {
                return Ok(Room::Now);
            }
            if !self.ring.final_check()? {
                return Ok(Room::Later);
            }
            self.reclaim(counts)?;
        }
    }

    /// Puts a frame into pages and slots, of which there are [enough](Ring::room).
    pub(super) fn push(&mut self, frame: &Frame) {
        let parts = frame.bytes.chunks(PAGE);
        let count = parts.len();
        for (number, part) in parts.enumerate() {
            let Some(page) = self.free.pop() else { return };
            let at = usize::from(page);
            let Some((is_out, gref)) = self.is_out.get_mut(at).zip(self.pages.grants.get(at))
            else {
                return;
            };
            *is_out = true;
            self.pages.memory.copy_in(at * PAGE, part);
            let more = if number + 1 < count { NETTXF_MORE_DATA } else { 0 };
            let (flags, size) = match number {
                // The first one's size is the whole's.
                0 => (flags(frame), frame.bytes.len()),
                _ => (0, part.len()),
            };
            let request = NetifTxRequest {
                gref: *gref,
                offset: 0,
                flags: flags | more,
                id: page,
                size: size as u16,
            };
            let _ = self.ring.push(&request);
            if let (0, Some(segments)) = (number, frame.segments) {
                let mut slot = NetifTxRequest::new_zeroed();
                let extra = segments.encode();
                if let Some(place) = slot.as_mut_bytes().first_chunk_mut::<8>() {
                    *place = zerocopy::transmute!(extra);
                }
                let _ = self.ring.push(&slot);
            }
        }
    }

    /// Shows the back end what was put into slots.
    pub(super) fn publish(&mut self) -> Notify {
        self.ring.publish()
    }
}

/// What the first slot says of the frame.
fn flags(frame: &Frame) -> u16 {
    let checksum = match frame.checksum {
        Checksum::Unchecked => 0,
        Checksum::Valid => NETTXF_DATA_VALIDATED,
        Checksum::Blank => NETTXF_DATA_VALIDATED | NETTXF_CSUM_BLANK,
    };
    checksum | if frame.segments.is_some() { NETTXF_EXTRA_INFO } else { 0 }
}

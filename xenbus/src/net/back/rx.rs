//! What the guest receives.
//!
//! Frames wait here until the guest has put up as many pages as one needs. Then the pages are taken,
//! the bytes of several frames copied into them in one crossing, and the slots answered: each in
//! the slot of its request, which guests rely on more than on its number.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use pv_abi::io::netif::*;
use pv_abi::types::DomId;

use super::super::{Broken, Checksum, Frame, PAGE};
use super::Counts;
use crate::access::{Copies, Piece};
use crate::memory::SharedMemory;
use crate::ring::{BackRing, Notify};

/// Slots of a round.
const ROUND: usize = 64;
/// What waits at most: frames, and bytes of them.
const FRAMES: usize = 256;
const BYTES: usize = 512 * 1024;

/// The ring, and what waits for it.
#[derive(Debug)]
pub(super) struct Ring<M> {
    ring: BackRing<M, NetifRxRequest, NetifRxResponse>,
    waiting: VecDeque<Frame>,
    bytes: usize,
}

impl<M: SharedMemory> Ring<M> {
    pub(super) fn new(ring: BackRing<M, NetifRxRequest, NetifRxResponse>) -> Ring<M> {
        Ring { ring, waiting: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn into_memory(self) -> M {
        self.ring.into_memory()
    }

    /// Has a frame wait. False: it is lost, for want of room or since nobody would tell of pages
    /// (`tells`) and there are none.
    pub(super) fn enqueue(&mut self, frame: Frame, tells: bool) -> bool {
        let full = self.waiting.len() >= FRAMES || self.bytes + frame.bytes.len() > BYTES;
        let hopeless = !tells && self.ring.waiting().is_ok_and(|pages| pages == 0);
        if full || hopeless {
            return false;
        }
        self.bytes += frame.bytes.len();
        self.waiting.push_back(frame);
        true
    }

    /// One round. Whether more can be moved, and whether the guest is to be told.
    pub(super) fn poll<D: Copies<Foreign = M>>(
        &mut self,
        domain: &mut D,
        front: DomId,
        counts: &mut Counts,
    ) -> Result<(bool, Notify), Broken> {
        let mut frames = Vec::new();
        let mut requests = Vec::new();
        while requests.len() < ROUND
            && let Some(needed) = self.waiting.front().map(slots)
        {
            if self.ring.waiting()? < needed {
                break;
            }
            for _ in 0..needed {
                requests.extend(self.ring.take()?);
            }
            frames.extend(self.waiting.pop_front());
        }
        self.bytes -= frames.iter().map(|frame| frame.bytes.len()).sum::<usize>();
        let mut notify = Notify::No;
        if !frames.is_empty() {
            let (responses, lost) = fill(domain, front, &frames, &requests);
            for response in &responses {
                // There is room: a response for each request.
                let _ = self.ring.push(response);
            }
            counts.received_lost += lost;
            counts.received += frames.len() as u64 - lost;
            notify = self.ring.publish();
        }
        let Some(needed) = self.waiting.front().map(slots) else {
            return Ok((false, notify));
        };
        Ok((self.ring.wait_for(needed)?, notify))
    }
}

/// Slots that a frame needs.
fn slots(frame: &Frame) -> u32 {
    // At most 17: no frame has more than 64 KiB.
    frame.bytes.len().div_ceil(PAGE) as u32 + u32::from(frame.segments.is_some())
}

/// Copies frames into the pages of `requests`, which are as many as they need. Returns the
/// responses, and how many frames are lost since a page of theirs could not be written.
fn fill<D: Copies>(
    domain: &mut D,
    front: DomId,
    frames: &[Frame],
    requests: &[NetifRxRequest],
) -> (Vec<NetifRxResponse>, u64) {
    let mut requests = requests.iter();
    let mut responses = Vec::new();
    let mut pieces = Vec::new();
    // Of each piece: which response is about it, and which frame it is of.
    let mut places = Vec::new();
    for (which, frame) in frames.iter().enumerate() {
        let parts = frame.bytes.chunks(PAGE);
        let count = parts.len();
        for (number, part) in parts.enumerate() {
            let Some(request) = requests.next() else { break };
            let flags = flags(frame, number == 0, number + 1 < count);
            let (id, status) = (request.id, part.len() as i16);
            places.push((responses.len(), which));
            responses.push(NetifRxResponse { id, offset: 0, flags, status });
            pieces.push(Piece::write(request.gref, 0, part));
            if let (0, Some(segments)) = (number, frame.segments) {
                // It takes a slot whose page stays as it is.
                let _ = requests.next();
                responses.push(zerocopy::transmute!(segments.encode()));
            }
        }
    }
    domain.copy(front, &mut pieces);
    let mut lost = Vec::new();
    for (piece, (place, which)) in pieces.iter().zip(places) {
        if piece.done.is_err()
            && let Some(response) = responses.get_mut(place)
        {
            response.status = NETIF_RSP_ERROR;
            lost.push(which);
        }
    }
    lost.dedup();
    (responses, lost.len() as u64)
}

/// What the response of a part of a frame says.
fn flags(frame: &Frame, is_first: bool, is_followed: bool) -> u16 {
    let more = if is_followed { NETRXF_MORE_DATA } else { 0 };
    if !is_first {
        return more;
    }
    let checksum = match frame.checksum {
        Checksum::Unchecked => 0,
        Checksum::Valid => NETRXF_DATA_VALIDATED,
        Checksum::Blank => NETRXF_DATA_VALIDATED | NETRXF_CSUM_BLANK,
    };
    let extra = if frame.segments.is_some() { NETRXF_EXTRA_INFO } else { 0 };
    more | checksum | extra
}

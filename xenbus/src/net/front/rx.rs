//! What is received: pages that the back end may fill, in the order in which they were put up.
//!
//! A response stands in the slot of its request, so the order says which page it is about, also
//! where the slot has extra information. A page whose bytes were copied out is put up again at once:
//! the back end always has all pages that it has not filled.
//!
//! A frame that arrives damaged is dropped; the slots that follow show where the next one begins. A
//! response out of order breaks the link.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use pv_abi::io::netif::*;
use pv_abi::types::GrantRef;
use zerocopy::{FromBytes, IntoBytes};

use super::super::{Broken, Checksum, Frame, HEADER, PAGE, Segments};
use super::Counts;
use crate::access::Shared;
use crate::memory::SharedMemory;
use crate::ring::{FrontRing, Notify};

/// Slots of a round.
const ROUND: usize = 128;

/// The ring and its pages.
#[derive(Debug)]
pub(super) struct Ring<M> {
    ring: FrontRing<M, NetifRxRequest, NetifRxResponse>,
    ring_grants: Vec<GrantRef>,
    pages: Shared<M>,
    /// Pages that the back end has, in order.
    up: VecDeque<u16>,
    state: State,
}

/// What the next slot is.
#[derive(Debug, Default)]
enum State {
    /// The first one of a frame.
    #[default]
    First,
    /// Extra information, or another part of the frame.
    Inside { draft: Draft, is_extra: bool },
}

/// A frame in the making.
#[derive(Debug)]
struct Draft {
    frame: Frame,
    /// More parts follow.
    more: bool,
    is_wrong: bool,
}

impl<M: SharedMemory> Ring<M> {
    /// Puts all pages up, before the back end knows of the ring.
    pub(super) fn new(
        ring: FrontRing<M, NetifRxRequest, NetifRxResponse>,
        ring_grants: Vec<GrantRef>,
        pages: Shared<M>,
    ) -> Ring<M> {
        let mut ring = Ring { ring, ring_grants, pages, up: VecDeque::new(), state: State::First };
        for page in 0..ring.pages.grants.len() as u16 {
            ring.put_up(page);
        }
        // Nobody is there to be told.
        let _ = ring.ring.publish();
        ring
    }

    pub(super) fn into_shared(self) -> [Shared<M>; 2] {
        [Shared { memory: self.ring.into_memory(), grants: self.ring_grants }, self.pages]
    }

    /// One round. Whether more waits, and whether the back end is to be told.
    pub(super) fn poll(
        &mut self,
        counts: &mut Counts,
        sink: &mut impl FnMut(Frame),
    ) -> Result<(bool, Notify), Broken> {
        let mut taken = 0;
        while taken < ROUND
            && let Some(response) = self.ring.take()?
        {
            taken += 1;
            let page = self.up.pop_front().ok_or(Broken::Protocol("more answers than pages"))?;
            if let Some(draft) = self.slot(response, page)? {
                if draft.is_wrong || draft.frame.bytes.len() < HEADER {
                    counts.received_wrong += 1;
                } else {
                    counts.received += 1;
                    sink(draft.frame);
                }
            }
            self.put_up(page);
        }
        let notify = if taken > 0 { self.ring.publish() } else { Notify::No };
        Ok((self.ring.final_check()?, notify))
    }

    /// Takes a slot, and the bytes in its page; the frame that ends with it.
    fn slot(&mut self, response: NetifRxResponse, page: u16) -> Result<Option<Draft>, Broken> {
        let (mut draft, is_extra) = match core::mem::take(&mut self.state) {
            State::First => {
                let is_extra = response.flags & NETRXF_EXTRA_INFO != 0;
                let draft = self.part(Draft::new(response.flags), response, page)?;
                return Ok(self.go_on(draft, is_extra));
            }
            State::Inside { draft, is_extra } => (draft, is_extra),
        };
        if !is_extra {
            let draft = self.part(draft, response, page)?;
            return Ok(self.go_on(draft, false));
        }
        let is_extra = match NetifExtraInfo::read_from_bytes(response.as_bytes()) {
            Ok(extra) => {
                draft.note(&extra);
                extra.flags & XEN_NETIF_EXTRA_FLAG_MORE != 0
            }
            Err(_) => false,
        };
        Ok(self.go_on(draft, is_extra))
    }

    /// The frame, if no slot of it is missing.
    fn go_on(&mut self, draft: Draft, is_extra: bool) -> Option<Draft> {
        if !is_extra && !draft.more {
            return Some(draft);
        }
        self.state = State::Inside { draft, is_extra };
        None
    }

    /// Adds the bytes of a part.
    fn part(
        &self,
        mut draft: Draft,
        response: NetifRxResponse,
        page: u16,
    ) -> Result<Draft, Broken> {
        if response.id != page {
            return Err(Broken::Protocol("an answer in another's slot"));
        }
        draft.more = response.flags & NETRXF_MORE_DATA != 0;
        let offset = usize::from(response.offset);
        // Negative numbers are errors.
        let size = usize::try_from(response.status).unwrap_or(usize::MAX);
        let bytes = &mut draft.frame.bytes;
        let fits = size <= PAGE
            && offset + size <= PAGE
            && bytes.len() + size <= XEN_NETIF_MAX_TX_SIZE as usize;
        if draft.is_wrong || !fits {
            draft.is_wrong = true;
            return Ok(draft);
        }
        let start = bytes.len();
        bytes.resize(start + size, 0);
        if let Some(into) = bytes.get_mut(start..) {
            self.pages.memory.copy_out(usize::from(page) * PAGE + offset, into);
        }
        Ok(draft)
    }

    fn put_up(&mut self, page: u16) {
        let Some(&gref) = self.pages.grants.get(usize::from(page)) else { return };
        // There is room: each page is in the ring once.
        if self.ring.push(&NetifRxRequest { id: page, pad: 0, gref }).is_ok() {
            self.up.push_back(page);
        }
    }
}

impl Draft {
    fn new(flags: u16) -> Draft {
        let checksum = match (flags & NETRXF_CSUM_BLANK, flags & NETRXF_DATA_VALIDATED) {
            (0, 0) => Checksum::Unchecked,
            (0, _) => Checksum::Valid,
            _ => Checksum::Blank,
        };
        let frame = Frame { checksum, ..Frame::default() };
        Draft { frame, more: false, is_wrong: false }
    }

    /// Takes note of extra information.
    fn note(&mut self, extra: &NetifExtraInfo) {
        match (extra.r#type, Segments::decode(extra)) {
            (XEN_NETIF_EXTRA_TYPE_GSO, Some(segments)) => self.frame.segments = Some(segments),
            (XEN_NETIF_EXTRA_TYPE_HASH, _) => {}
            _ => self.is_wrong = true,
        }
    }
}

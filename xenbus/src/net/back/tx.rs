//! What the guest transmits.
//!
//! A round has four steps. *Decode*: slots are taken out of the ring, each copied once, up to the
//! end of a frame; what shows that the guest does not follow the protocol ends the link here,
//! before anything was done. *Copy*: the bytes of all frames of the round come in one crossing.
//! *Answer*: each slot, in order. *Hand on*: what is whole goes to the sink.
//!
//! A guest's mistake with one frame costs it that frame: more slots than are taken, parts that are
//! longer than the whole, no Ethernet header. A frame that does not end, or bytes past the end of
//! a page, cost it the link, as with Linux.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use pv_abi::io::netif::*;
use pv_abi::types::{DomId, GrantRef};
use zerocopy::{FromBytes, IntoBytes};

use super::super::{Broken, Checksum, Frame, HEADER, Mac, PAGE, Segments};
use super::credit::Credit;
use super::{Counts, GROUPS};
use crate::access::{Copies, Piece};
use crate::memory::SharedMemory;
use crate::ring::{BackRing, Notify};

/// Slots of a round, and of a frame: the last frame may go past the first.
const ROUND: usize = 64;
const SLOTS: usize = XEN_NETIF_NR_SLOTS_MIN as usize;
/// Slots of a frame that are looked at: no honest guest has so many.
const SLOTS_FATAL: usize = 20;

/// The ring.
#[derive(Debug)]
pub(super) struct Ring<M>(BackRing<M, NetifTxRequest, NetifTxResponse>);

/// A frame in the making.
struct Draft {
    /// Of its slots, in order; extra information, which has none, came after the first.
    ids: Vec<u16>,
    extras: usize,
    parts: Vec<Part>,
    frame: Frame,
    outcome: Outcome,
}

/// Bytes of a frame in one of the guest's pages.
struct Part {
    grant: GrantRef,
    offset: u16,
    size: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Its bytes are wanted.
    Whole,
    /// It is of no use.
    Wrong,
    /// It was no frame, and what it asked for is done.
    Done,
}

/// What extra information said.
#[derive(Default)]
struct Extras {
    count: usize,
    segments: Option<Segments>,
    /// A group, and whether it is wanted.
    group: Option<(Mac, bool)>,
}

/// What all rings of a link share.
pub(super) struct Context<'a> {
    pub(super) front: DomId,
    pub(super) groups: &'a mut BTreeSet<Mac>,
    pub(super) counts: &'a mut Counts,
    pub(super) credit: &'a mut Option<Credit>,
}

impl Context<'_> {
    /// Whether the guest may send another frame now.
    fn has_credit(&self) -> bool {
        self.credit.as_ref().is_none_or(Credit::is_left)
    }

    fn pay(&mut self, bytes: usize) {
        if let Some(credit) = self.credit {
            credit.pay(bytes);
        }
    }
}

impl<M: SharedMemory> Ring<M> {
    pub(super) fn new(ring: BackRing<M, NetifTxRequest, NetifTxResponse>) -> Ring<M> {
        Ring(ring)
    }

    pub(super) fn into_memory(self) -> M {
        self.0.into_memory()
    }

    /// One round. Whether more waits that may be sent now, and whether the guest is to be told.
    pub(super) fn poll<D: Copies<Foreign = M>>(
        &mut self,
        domain: &mut D,
        mut context: Context<'_>,
        sink: &mut impl FnMut(Frame),
    ) -> Result<(bool, Notify), Broken> {
        let mut drafts = Vec::new();
        let mut slots = 0;
        while slots < ROUND
            && context.has_credit()
            && let Some(draft) = self.decode(context.groups)?
        {
            context.pay(draft.frame.bytes.len());
            slots += draft.parts.len() + 1;
            drafts.push(draft);
        }
        if drafts.is_empty() {
            return Ok((context.has_credit() && self.0.final_check()?, Notify::No));
        }
        copy(domain, context.front, &mut drafts);
        for draft in &drafts {
            self.answer(draft);
        }
        let notify = self.0.publish();
        for draft in drafts {
            match draft.outcome {
                Outcome::Whole => {
                    context.counts.sent += 1;
                    sink(draft.frame);
                }
                Outcome::Wrong => context.counts.sent_wrong += 1,
                Outcome::Done => {}
            }
        }
        Ok((context.has_credit() && self.0.final_check()?, notify))
    }

    /// Takes the slots of the next frame.
    fn decode(&mut self, groups: &mut BTreeSet<Mac>) -> Result<Option<Draft>, Broken> {
        let Some(first) = self.0.take()? else { return Ok(None) };
        let extras = if first.flags & NETTXF_EXTRA_INFO != 0 {
            self.decode_extras()?
        } else {
            Extras::default()
        };
        let whole = usize::from(first.size);
        let checksum = match (first.flags & NETTXF_CSUM_BLANK, first.flags & NETTXF_DATA_VALIDATED)
        {
            (0, 0) => Checksum::Unchecked,
            (0, _) => Checksum::Valid,
            _ => Checksum::Blank,
        };
        let frame = Frame { bytes: Vec::new(), checksum, segments: extras.segments };
        let mut draft = Draft {
            ids: vec![first.id],
            extras: extras.count,
            parts: Vec::new(),
            frame,
            outcome: Outcome::Whole,
        };
        if let Some((mac, wanted)) = extras.group {
            draft.outcome = amend(groups, mac, wanted);
            return Ok(Some(draft));
        }
        let mut rest = whole;
        let mut more = first.flags & NETTXF_MORE_DATA != 0;
        while more {
            let Some(slot) = self.0.take()? else {
                return Err(Broken::Protocol("a frame does not end"));
            };
            if draft.ids.len() >= SLOTS_FATAL {
                return Err(Broken::Protocol("a frame has too many slots"));
            }
            draft.ids.push(slot.id);
            draft.push(slot, usize::from(slot.size))?;
            // The first slot has what is left of the whole.
            rest = rest.checked_sub(usize::from(slot.size)).unwrap_or_else(|| {
                draft.outcome = Outcome::Wrong;
                0
            });
            more = slot.flags & NETTXF_MORE_DATA != 0;
        }
        if draft.ids.len() > SLOTS || whole < HEADER {
            draft.outcome = Outcome::Wrong;
        }
        if draft.outcome == Outcome::Whole {
            draft.push(first, rest)?;
            draft.parts.rotate_right(1);
            draft.frame.bytes = vec![0; whole];
        }
        Ok(Some(draft))
    }

    fn decode_extras(&mut self) -> Result<Extras, Broken> {
        let mut extras = Extras::default();
        loop {
            let slot = self.0.take()?.ok_or(Broken::Protocol("extra information is missing"))?;
            let Ok((extra, _)) = NetifExtraInfo::read_from_prefix(slot.as_bytes()) else {
                return Err(Broken::Protocol("extra information is missing"));
            };
            extras.count += 1;
            match extra.r#type {
                XEN_NETIF_EXTRA_TYPE_GSO => {
                    let segments = Segments::decode(&extra);
                    let segments =
                        segments.ok_or(Broken::Protocol("segments of an unknown kind"))?;
                    extras.segments = Some(segments);
                }
                XEN_NETIF_EXTRA_TYPE_MCAST_ADD => extras.group = Some((extra.u, true)),
                XEN_NETIF_EXTRA_TYPE_MCAST_DEL => extras.group = Some((extra.u, false)),
                // It would choose a queue, and chooses nothing.
                XEN_NETIF_EXTRA_TYPE_HASH => {}
                _ => return Err(Broken::Protocol("extra information of an unknown kind")),
            }
            if extra.flags & XEN_NETIF_EXTRA_FLAG_MORE == 0 {
                return Ok(extras);
            }
        }
    }

    /// Answers each slot of a frame, in the order in which they were taken.
    fn answer(&mut self, draft: &Draft) {
        let status = match draft.outcome {
            Outcome::Whole | Outcome::Done => NETIF_RSP_OKAY,
            Outcome::Wrong => NETIF_RSP_ERROR,
        };
        let nothing = core::iter::repeat_n((0, NETIF_RSP_NULL), draft.extras);
        let mut ids = draft.ids.iter().map(|id| (*id, status));
        let first = ids.next();
        for (id, status) in first.into_iter().chain(nothing).chain(ids) {
            // There is room: each slot that was taken is answered once.
            let _ = self.0.push(&NetifTxResponse { id, status });
        }
    }
}

impl Draft {
    /// Adds bytes of a slot, which must be in its page.
    fn push(&mut self, slot: NetifTxRequest, size: usize) -> Result<(), Broken> {
        if usize::from(slot.offset) + size > PAGE {
            return Err(Broken::Protocol("a slot goes past the end of its page"));
        }
        self.parts.push(Part { grant: slot.gref, offset: slot.offset, size });
        Ok(())
    }
}

/// Has a group be one of those that the guest wants, or not.
fn amend(groups: &mut BTreeSet<Mac>, mac: Mac, wanted: bool) -> Outcome {
    if !wanted {
        groups.remove(&mac);
    } else if groups.len() < GROUPS || groups.contains(&mac) {
        groups.insert(mac);
    } else {
        return Outcome::Wrong;
    }
    Outcome::Done
}

/// Fetches the bytes of all frames that are wanted.
fn copy<D: Copies>(domain: &mut D, front: DomId, drafts: &mut [Draft]) {
    let mut pieces = Vec::new();
    for draft in drafts.iter_mut().filter(|draft| draft.outcome == Outcome::Whole) {
        let mut rest = draft.frame.bytes.as_mut_slice();
        for part in &draft.parts {
            // The parts are the frame's bytes, by how the first one's size came about.
            let Some((into, later)) = rest.split_at_mut_checked(part.size) else { break };
            pieces.push(Piece::read(part.grant, part.offset, into));
            rest = later;
        }
    }
    domain.copy(front, &mut pieces);
    let done: Vec<bool> = pieces.into_iter().map(|piece| piece.done.is_ok()).collect();
    let mut done = done.into_iter();
    for draft in drafts.iter_mut().filter(|draft| draft.outcome == Outcome::Whole) {
        // All of a frame's pieces are passed over, whatever became of them.
        if done.by_ref().take(draft.parts.len()).fold(false, |failed, done| failed | !done) {
            draft.outcome = Outcome::Wrong;
        }
    }
}

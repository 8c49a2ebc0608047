//! An entry of the table that the granter writes: where it lies, and what it says.
//!
//! The granter can change every bit at any moment; so it is read once, when it is [claimed](claim).

use core::sync::atomic::{AtomicU32, AtomicU64};

use pv_abi::grant_table as abi;
use pv_abi::types::{DomId, GrantRef, Mfn};

use super::Refused;
use super::active::{Pins, Target};
use super::claim::{self, HalfWord, Header, Wanted};

/// What follows the header.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// Version 1.
    V1 {
        /// The frame.
        frame: &'a AtomicU32,
    },
    /// Version 2.
    V2 {
        /// The header, and the first byte and length of a part, or a domain.
        head: &'a AtomicU64,
        /// The frame, or a reference.
        frame: &'a AtomicU64,
        /// The entry's status.
        status: HalfWord<'a>,
    },
}

/// Where an entry lies.
#[derive(Clone, Copy)]
pub struct Shared<'a> {
    /// Flags and domain.
    pub header: &'a AtomicU32,
    /// The rest.
    pub body: Body<'a>,
}

impl<'a> Shared<'a> {
    /// Tells the granter that the grant is in use; returns what is granted.
    ///
    /// `pinned`: it is in use already, and is to be used for writing in addition. Whether the
    /// target is still the same is for the caller to see. Refused if the entry does not grant
    /// what is wanted, or keeps changing.
    #[inline(always)]
    pub fn permit(self, pinned: bool, want: &Wanted) -> Result<Target, Refused> {
        match self.body {
            Body::V1 { frame } => {
                let frame = claim::claim_v1(self.header, frame, pinned, want)?;
                Ok(Target::Page(Mfn::new(frame.into())))
            }
            Body::V2 { head, frame, status } => {
                claim::claim_v2(head, frame, status, pinned, want).map(target_v2)
            }
        }
    }

    /// Tells the granter what the remaining `pins` no longer need ([`HalfWord::reduce`]).
    #[inline(always)]
    pub fn reduce(self, pins: Pins, write: bool) {
        self.status().reduce(pins, write);
    }

    /// Where the granter is told how the grant is in use: in version 1 among its flags.
    #[inline(always)]
    pub fn status(&self) -> HalfWord<'a> {
        match self.body {
            Body::V1 { .. } => HalfWord { word: self.header, shift: 0 },
            Body::V2 { status, .. } => status,
        }
    }

    /// The status bits that the granter sees.
    pub fn in_use(self) -> u16 {
        self.status().get() & (abi::GTF_READING | abi::GTF_WRITING)
    }
}

/// What a version 2 entry grants.
#[inline(always)]
fn target_v2((head, frame): (u64, u64)) -> Target {
    let flags = Header(head as u32).flags();
    let (first, second) = ((head >> 32) as u16, (head >> 48) as u16);
    if flags & abi::GTF_TYPE_MASK == abi::GTF_TRANSITIVE {
        Target::Transitive { domain: DomId::new(first), gref: GrantRef::new(frame as u32) }
    } else if flags & abi::GTF_SUB_PAGE != 0 {
        // A part that begins past the page is empty; one that ends past it ends with it.
        let start = first.min(4095);
        let room = if first > start { 0 } else { 4096 - start };
        Target::Part { mfn: Mfn::new(frame), start, length: second.min(room) }
    } else {
        Target::Page(Mfn::new(frame))
    }
}

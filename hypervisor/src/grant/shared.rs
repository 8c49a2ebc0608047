//! An entry of the table that the granter writes: reading it once, and telling it what is in use.
//!
//! The granter can change every bit at any moment. What it and we rely on is one
//! protocol: the granter revokes a grant by clearing its flags *if* the hypervisor has
//! set neither `GTF_reading` nor `GTF_writing`; the hypervisor sets them before it uses
//! the grant, and looks after that whether the grant is still there.
//!
//! - Version 1 has all flags in one word, so one compare-and-exchange does both. A guest
//!   that keeps changing the word could keep us busy: five tries, then it is refused.
//! - Version 2 has them in a status word of their own: set, then look at the entry again.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use pv_abi::grant_table as abi;
use pv_abi::types::{DomId, GrantRef, Mfn};

use super::Refused;
use super::active::{Pins, Target};

/// How often a version 1 entry may change while we look at it.
const TRIES: u32 = 5;

/// The flags and the domain of an entry: `struct grant_entry_header` as one word.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Header(u32);

impl Header {
    fn flags(self) -> u16 {
        self.0 as u16
    }
    fn domain(self) -> DomId {
        DomId::new((self.0 >> 16) as u16)
    }
}

/// Sixteen bits of a word: a status.
#[derive(Clone, Copy)]
pub struct HalfWord<'a> {
    /// The word.
    pub word: &'a AtomicU32,
    /// 0 or 16.
    pub shift: u32,
}

impl HalfWord<'_> {
    #[inline(always)]
    fn set(self, bits: u16) {
        self.word.fetch_or(u32::from(bits) << self.shift, Ordering::SeqCst);
    }
    #[inline(always)]
    fn clear(self, bits: u16) {
        self.word.fetch_and(!(u32::from(bits) << self.shift), Ordering::SeqCst);
    }
    /// Tells the granter what the remaining `pins` no longer need. `write`: the use that ended
    /// was for writing.
    #[inline(always)]
    pub fn reduce(self, pins: Pins, write: bool) {
        let mut gone = if pins.is_none() { abi::GTF_READING } else { 0 };
        if write && !pins.has_writers() {
            gone |= abi::GTF_WRITING;
        }
        if gone != 0 {
            self.clear(gone);
        }
    }

    /// The bits.
    pub fn get(self) -> u16 {
        (self.word.load(Ordering::SeqCst) >> self.shift) as u16
    }
    /// Replaces the bits, of an entry that is not in use.
    pub fn put(self, bits: u16) {
        self.clear(!bits);
        self.set(bits);
    }
}

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

/// Who wants to use a grant, and how.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// The domain that the grant must be for.
    pub grantee: DomId,
    /// What is pinned.
    pub pins: Pins,
    /// For writing.
    pub write: bool,
    /// For a mapping, which needs a whole page; else for a copy.
    pub map: bool,
    /// Whether the grant may lead to another domain's.
    pub transitive: bool,
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
            Body::V1 { frame } => self.permit_v1(frame, pinned, want),
            Body::V2 { head, frame, status } => permit_v2(head, frame, status, pinned, want),
        }
    }

    #[inline(always)]
    fn permit_v1(self, frame: &AtomicU32, pinned: bool, want: &Wanted) -> Result<Target, Refused> {
        let in_use = in_use_flags(want.write);
        let mut old = self.header.load(Ordering::Relaxed);
        for _ in 0..TRIES {
            if !grants(Header(old), pinned, want) {
                return Err(abi::GNTST_GENERAL_ERROR);
            }
            let new = old | u32::from(in_use);
            match self.header.compare_exchange(old, new, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => {
                    let mfn = Mfn::new(u64::from(frame.load(Ordering::Relaxed)));
                    return Ok(Target::Page(mfn));
                }
                Err(found) => old = found,
            }
        }
        Err(abi::GNTST_GENERAL_ERROR)
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

fn in_use_flags(write: bool) -> u16 {
    if write { abi::GTF_READING | abi::GTF_WRITING } else { abi::GTF_READING }
}

/// Whether an entry with this header grants what is wanted.
///
/// Of a pinned one only the permission to write is asked: who uses it is known, and the
/// granter may withdraw it from others.
#[inline(always)]
fn grants(header: Header, pinned: bool, want: &Wanted) -> bool {
    let flags = header.flags();
    if want.write && flags & abi::GTF_READONLY != 0 {
        return false;
    }
    let kind = flags & abi::GTF_TYPE_MASK;
    let access = kind == abi::GTF_PERMIT_ACCESS && !(want.map && flags & abi::GTF_SUB_PAGE != 0);
    pinned || (access && header.domain() == want.grantee)
}

#[inline(always)]
fn permit_v2(
    head: &AtomicU64,
    frame: &AtomicU64,
    status: HalfWord<'_>,
    pinned: bool,
    want: &Wanted,
) -> Result<Target, Refused> {
    let granted = |head: u64| {
        let header = Header(head as u32);
        let transitive = header.flags() & abi::GTF_TYPE_MASK == abi::GTF_TRANSITIVE;
        if transitive && !pinned {
            let writable = !want.write || header.flags() & abi::GTF_READONLY == 0;
            !want.map && want.transitive && writable && header.domain() == want.grantee
        } else {
            grants(header, pinned, want)
        }
    };
    if !granted(head.load(Ordering::Relaxed)) {
        return Err(abi::GNTST_GENERAL_ERROR);
    }
    status.set(in_use_flags(want.write));
    // The entry after the status: sequentially consistent, both. From here on it is not looked
    // at again.
    let head = head.load(Ordering::SeqCst);
    if !granted(head) {
        status.clear(if pinned { abi::GTF_WRITING } else { in_use_flags(true) });
        return Err(abi::GNTST_GENERAL_ERROR);
    }
    let frame = frame.load(Ordering::Relaxed);
    let flags = Header(head as u32).flags();
    let (first, second) = ((head >> 32) as u16, (head >> 48) as u16);
    Ok(if flags & abi::GTF_TYPE_MASK == abi::GTF_TRANSITIVE {
        Target::Transitive { domain: DomId::new(first), gref: GrantRef::new(frame as u32) }
    } else if flags & abi::GTF_SUB_PAGE != 0 {
        // A part that begins past the page is empty; one that ends past it ends with it.
        let start = first.min(4095);
        let room = if first > start { 0 } else { 4096 - start };
        Target::Part { mfn: Mfn::new(frame), start, length: second.min(room) }
    } else {
        Target::Page(Mfn::new(frame))
    })
}

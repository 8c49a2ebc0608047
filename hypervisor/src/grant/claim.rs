//! Claiming an entry that the granter may change at any moment, and letting go of it.
//!
//! What it and we rely on is one protocol: the granter revokes a grant by clearing its flags *if*
//! the hypervisor has set neither `GTF_reading` nor `GTF_writing`; the hypervisor sets them
//! before it uses the grant, and looks after that whether the grant is still there.
//!
//! - Version 1 has all flags in one word, so one compare-and-exchange does both. A guest
//!   that keeps changing the word could keep us busy: five tries, then it is refused.
//! - Version 2 has them in a status word of their own: set, then look at the entry again.
//!
//! Once claimed, what the entry says holds until it is let go of. `pv-loom` runs this code against
//! a granter's (`tests/loom/tests/grant.rs`).

use core::sync::atomic::AtomicU32;

use pv_abi::grant_table as abi;
use pv_abi::types::DomId;

use super::Refused;
use super::active::Pins;
use crate::cell::Cell;

/// How often a version 1 entry may change while we look at it.
const TRIES: u32 = 5;

/// The flags and the domain of an entry: `struct grant_entry_header` as one word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Header(pub u32);

impl Header {
    pub fn flags(self) -> u16 {
        self.0 as u16
    }
    pub fn domain(self) -> DomId {
        DomId::new((self.0 >> 16) as u16)
    }
}

/// Sixteen bits of a word: a status.
pub struct HalfWord<'a, C = AtomicU32> {
    /// The word.
    pub word: &'a C,
    /// 0 or 16.
    pub shift: u32,
}

impl<C> Clone for HalfWord<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for HalfWord<'_, C> {}

impl<C: Cell> HalfWord<'_, C> {
    #[inline(always)]
    fn set(self, bits: u16) {
        self.word.fetch_or(u32::from(bits) << self.shift);
    }
    #[inline(always)]
    fn clear(self, bits: u16) {
        self.word.fetch_and(!(u32::from(bits) << self.shift));
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
        (self.word.load() >> self.shift) as u16
    }
    /// Replaces the bits, of an entry that is not in use.
    pub fn put(self, bits: u16) {
        self.clear(!bits);
        self.set(bits);
    }
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

/// Tells the granter that a version 1 entry is in use; returns its frame.
///
/// `pinned`: it is in use already, and is to be used for writing in addition. Refused if the entry
/// does not grant what is wanted, or keeps changing.
#[inline(always)]
pub fn claim_v1(
    header: &impl Cell,
    frame: &impl Cell,
    pinned: bool,
    want: &Wanted,
) -> Result<u32, Refused> {
    let in_use = u32::from(in_use_flags(want.write));
    let mut old = header.load();
    for _ in 0..TRIES {
        if !grants(Header(old), pinned, want) {
            return Err(abi::GNTST_GENERAL_ERROR);
        }
        match header.compare_exchange(old, old | in_use) {
            Ok(()) => return Ok(frame.load()),
            Err(found) => old = found,
        }
    }
    Err(abi::GNTST_GENERAL_ERROR)
}

/// The same of version 2; returns the head and the frame.
#[inline(always)]
pub fn claim_v2(
    head: &impl Cell<u64>,
    frame: &impl Cell<u64>,
    status: HalfWord<'_, impl Cell>,
    pinned: bool,
    want: &Wanted,
) -> Result<(u64, u64), Refused> {
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
    if !granted(head.load()) {
        return Err(abi::GNTST_GENERAL_ERROR);
    }
    status.set(in_use_flags(want.write));
    // The entry after the status: setting that is a barrier. From here on it is not looked at
    // again.
    let head = head.load();
    if !granted(head) {
        status.clear(if pinned { abi::GTF_WRITING } else { in_use_flags(true) });
        return Err(abi::GNTST_GENERAL_ERROR);
    }
    Ok((head, frame.load()))
}

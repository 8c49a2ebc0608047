//! The grant table: which entry grants what, and which ones are free.
//!
//! # An entry's life
//!
//! An entry (version 1, `grant_entry_v1`) is two words that the hypervisor reads whenever a peer
//! wants to map or copy:
//!
//! ```text
//!   31            16 15       5   4       3       2         1..0
//!  | domain         |    ...   | writing reading readonly | type |     head
//!  | frame                                                       |     frame
//! ```
//!
//! [`grant`](Table::grant) writes the frame first and the head last, in one store: who sees the
//! type sees the rest. From then on "reading" and "writing" are the hypervisor's bits: the peer
//! has the frame mapped. [`end`](Table::end) therefore takes the type away by compare-and-exchange, and not
//! while one of those bits is set, so that a mapping that is made in the same moment either finds
//! nothing or is found. An entry that is in use is nobody's to free: neither the entry nor the page
//! behind it may become anything else while a peer can reach it.
//!
//! Invariants: an entry is on the free list exactly while its head is zero and nobody holds its
//! reference; those below [`RESERVED`] are the toolstack's and never on it.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use heapless::Vec as Bounded;
use pv_abi::grant_table::{
    GNTTAB_NR_RESERVED_ENTRIES, GTF_PERMIT_ACCESS, GTF_READING, GTF_READONLY, GTF_WRITING,
};
use pv_abi::types::{DomId, GrantRef};

/// Entries that the toolstack fills in: console, store.
pub const RESERVED: u32 = GNTTAB_NR_RESERVED_ENTRIES;
/// Entries in a frame of the table.
pub const ENTRIES: usize = 512;
/// Frames that a table can have here; what the hypervisor allows is less, by its default.
pub const FRAMES: usize = 64;

/// An entry, which the hypervisor reads and writes at any time.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Entry {
    head: AtomicU32,
    frame: AtomicU32,
}

/// A frame of the table.
pub type Frame = [Entry; ENTRIES];

/// What a peer may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

/// The peer has the frame mapped, or is copying from or to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InUse;

/// All entries are taken: the table must [grow](Table::grow).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// The table of this domain.
#[derive(Debug, Default)]
pub struct Table {
    frames: Bounded<&'static Frame, FRAMES>,
    free: Vec<u32>,
}

impl Table {
    /// A table without entries.
    pub const fn new() -> Self {
        Self { frames: Bounded::new(), free: Vec::new() }
    }

    /// How many frames it has.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    /// How many entries grant something, or are about to.
    pub fn in_use(&self) -> usize {
        (self.frames.len() * ENTRIES).saturating_sub(RESERVED as usize + self.free.len())
    }

    /// Adds the frame that follows those it has. Full: it can have no more.
    pub fn grow(&mut self, frame: &'static Frame) -> Result<(), Full> {
        let first = (self.frames.len() * ENTRIES) as u32;
        self.frames.push(frame).map_err(|_| Full)?;
        let fresh = first.max(RESERVED)..first + ENTRIES as u32;
        // The lowest one is taken first.
        self.free.extend(fresh.rev());
        Ok(())
    }

    /// Grants a machine frame of ours to `to`.
    pub fn grant(&mut self, to: DomId, frame: u32, access: Access) -> Result<GrantRef, Full> {
        let number = self.free.pop().ok_or(Full)?;
        self.activate(GrantRef::new(number), to, frame, access);
        Ok(GrantRef::new(number))
    }

    /// Has an entry that was taken, and [withdrawn](Self::withdraw), grant a frame.
    pub fn activate(&self, grant: GrantRef, to: DomId, frame: u32, access: Access) {
        let Some(entry) = self.entry(grant) else { return };
        let readonly = if access == Access::Read { GTF_READONLY } else { 0 };
        let head = u32::from(to.raw()) << 16 | u32::from(GTF_PERMIT_ACCESS | readonly);
        entry.frame.store(frame, Ordering::Relaxed);
        entry.head.store(head, Ordering::Release);
    }

    /// Whom an entry grants something.
    pub fn peer(&self, grant: GrantRef) -> Option<DomId> {
        let head = self.entry(grant)?.head.load(Ordering::Acquire);
        (head != 0).then(|| DomId::new((head >> 16) as u16))
    }

    /// Whether the peer is using an entry.
    pub fn is_in_use(&self, grant: GrantRef) -> bool {
        let head = self.entry(grant).map_or(0, |entry| entry.head.load(Ordering::Acquire));
        head & IN_USE != 0
    }

    /// Has an entry grant nothing any more; it stays taken, until it is [freed](Self::free).
    pub fn withdraw(&self, grant: GrantRef) -> Result<(), InUse> {
        let Some(entry) = self.entry(grant) else { return Ok(()) };
        let unused = |head: u32| (head & IN_USE == 0).then_some(0);
        entry.head.fetch_update(Ordering::SeqCst, Ordering::SeqCst, unused).map_err(|_| InUse)?;
        Ok(())
    }

    /// Frees an entry that grants nothing.
    pub fn free(&mut self, grant: GrantRef) {
        let Some(entry) = self.entry(grant) else { return };
        debug_assert_eq!(entry.head.load(Ordering::Relaxed), 0, "{grant} is freed and granted");
        // There is room: it was taken from this list.
        self.free.push(grant.raw());
    }

    /// Takes a grant back, and frees its entry.
    pub fn end(&mut self, grant: GrantRef) -> Result<(), InUse> {
        self.withdraw(grant)?;
        self.free(grant);
        Ok(())
    }

    /// An entry that is ours to use.
    fn entry(&self, grant: GrantRef) -> Option<&'static Entry> {
        let number = grant.raw() as usize;
        let frame: &'static Frame = self.frames.get(number / ENTRIES)?;
        frame.get(number % ENTRIES).filter(|_| grant.raw() >= RESERVED)
    }
}

/// Bits by which the hypervisor says that a peer is using the frame.
const IN_USE: u32 = (GTF_READING | GTF_WRITING) as u32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::boxed::Box;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    const PEER: DomId = DomId::new(7);

    fn frame() -> &'static Frame {
        Box::leak(Box::new(core::array::from_fn(|_| Entry::default())))
    }

    fn table() -> (Table, &'static Frame) {
        let (mut table, frame) = (Table::new(), frame());
        table.grow(frame).expect("room");
        (table, frame)
    }

    fn words(frame: &Frame, grant: GrantRef) -> (u32, u32) {
        let entry = &frame[grant.raw() as usize % ENTRIES];
        (entry.head.load(Ordering::Relaxed), entry.frame.load(Ordering::Relaxed))
    }

    #[test]
    fn an_entry_is_laid_out_as_the_header_says() {
        let (mut table, frame) = table();
        let writable = table.grant(PEER, 0x1234, Access::Write).expect("room");
        let readable = table.grant(PEER, 0x1235, Access::Read).expect("room");
        assert_eq!((writable.raw(), readable.raw()), (8, 9), "behind the reserved ones");
        assert_eq!(words(frame, writable), (0x0007_0001, 0x1234));
        assert_eq!(words(frame, readable), (0x0007_0005, 0x1235));
        table.end(writable).expect("unused");
        assert_eq!(words(frame, writable).0, 0);
        assert_eq!(table.in_use(), 1);
    }

    #[test]
    fn what_a_peer_uses_is_neither_withdrawn_nor_granted_again() {
        let (mut table, frame) = table();
        let grant = table.grant(PEER, 1, Access::Write).expect("room");
        for bits in [GTF_READING, GTF_WRITING, GTF_READING | GTF_WRITING] {
            let head = words(frame, grant).0;
            frame[grant.raw() as usize].head.store(head | u32::from(bits), Ordering::Relaxed);
            assert!(table.is_in_use(grant));
            assert_eq!(table.end(grant), Err(InUse));
            assert_ne!(table.grant(PEER, 2, Access::Write), Ok(grant));
            frame[grant.raw() as usize].head.store(head, Ordering::Relaxed);
        }
        assert_eq!(table.end(grant), Ok(()));
        assert_eq!(table.grant(PEER, 3, Access::Write), Ok(grant));
    }

    #[test]
    fn a_full_table_grows_and_no_further_than_it_can() {
        let (mut table, _) = table();
        for _ in RESERVED..ENTRIES as u32 {
            table.grant(PEER, 1, Access::Read).expect("room");
        }
        assert_eq!(table.grant(PEER, 1, Access::Read), Err(Full));
        table.grow(frame()).expect("room");
        assert_eq!(table.grant(PEER, 1, Access::Read).map(GrantRef::raw), Ok(512));
        while table.frames() < FRAMES {
            table.grow(frame()).expect("room");
        }
        assert_eq!(table.grow(frame()), Err(Full));
    }

    #[test]
    fn reserved_and_unknown_entries_are_left_alone() {
        let (mut table, frame) = table();
        frame[1].head.store(0x0000_0001, Ordering::Relaxed);
        table.activate(GrantRef::new(1), PEER, 5, Access::Write);
        assert_eq!(table.end(GrantRef::new(1)), Ok(()));
        assert_eq!(words(frame, GrantRef::new(1)), (1, 0), "the toolstack's");
        assert_eq!(table.end(GrantRef::new(100_000)), Ok(()));
        assert!(!table.is_in_use(GrantRef::new(100_000)));
        assert_eq!(table.in_use(), 0);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Grant,
        Map(usize),
        Unmap(usize),
        End(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let which = 0usize..12;
        prop_oneof![
            Just(Op::Grant),
            which.clone().prop_map(Op::Map),
            which.clone().prop_map(Op::Unmap),
            which.prop_map(Op::End)
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Against a model: who holds a reference holds it alone, and keeps it while it is mapped.
        #[test]
        fn references_belong_to_one(ops in prop::collection::vec(op(), 0..120)) {
            let (mut table, frame) = table();
            let mut held: BTreeMap<u32, bool> = BTreeMap::new();
            let nth = |held: &BTreeMap<u32, bool>, n: usize| {
                held.keys().nth(n % held.len().max(1)).copied()
            };
            for op in ops {
                match op {
                    Op::Grant => {
                        let grant = table.grant(PEER, 1, Access::Write).expect("there are many");
                        prop_assert_eq!(held.insert(grant.raw(), false), None);
                    }
                    Op::Map(n) | Op::Unmap(n) => {
                        let Some(number) = nth(&held, n) else { continue };
                        let mapped = matches!(op, Op::Map(_));
                        let head = 0x0007_0001 | if mapped { IN_USE } else { 0 };
                        frame[number as usize].head.store(head, Ordering::Relaxed);
                        held.insert(number, mapped);
                    }
                    Op::End(n) => {
                        let Some(number) = nth(&held, n) else { continue };
                        let ended = table.end(GrantRef::new(number));
                        prop_assert_eq!(ended.is_err(), held[&number]);
                        if ended.is_ok() {
                            held.remove(&number);
                        }
                    }
                }
                prop_assert_eq!(table.in_use(), held.len());
            }
            let granted: Vec<u32> =
                (0..ENTRIES as u32).filter(|n| words(frame, GrantRef::new(*n)).0 != 0).collect();
            prop_assert_eq!(granted, held.into_keys().collect::<Vec<u32>>());
        }
    }
}

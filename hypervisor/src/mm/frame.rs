//! One machine frame's record: its type, its two counts, its flags, its owner.
//!
//! Type, counts and flags share one 64-bit word and change together by
//! compare-and-swap: no CPU ever sees a type without its count. The record is
//! 16 bytes, 0.4 % of RAM.

use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use pv_abi::types::{DomId, Mfn};

use crate::width::Width;

/// What a frame is used as while its type count is above zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Type {
    /// Never used as anything since it was allocated.
    None = 0,
    /// A page table of level 1: its entries map pages.
    L1 = 1,
    /// A page table of level 2.
    L2 = 2,
    /// A page table of level 3; the root of a pv32 guest.
    L3 = 3,
    /// A page table of level 4; the root of a pv64 guest.
    L4 = 4,
    /// pv32: the level-2 table below slot 3, whose last entries are the hypervisor's.
    L2Top = 5,
    /// Part of a GDT or LDT.
    SegDesc = 6,
    /// Ordinary memory that may be mapped writable.
    Writable = 7,
}

impl Type {
    /// All types, for tables of statistics.
    pub const ALL: [Type; 8] = [
        Type::None,
        Type::L1,
        Type::L2,
        Type::L3,
        Type::L4,
        Type::L2Top,
        Type::SegDesc,
        Type::Writable,
    ];

    /// The type of the frame that a guest's CR3 names.
    pub const fn root_of(width: Width) -> Type {
        match width {
            Width::Pv32 => Type::L3,
            Width::Pv64 => Type::L4,
        }
    }

    const fn from_bits(bits: u64) -> Type {
        match bits {
            1 => Type::L1,
            2 => Type::L2,
            3 => Type::L3,
            4 => Type::L4,
            5 => Type::L2Top,
            6 => Type::SegDesc,
            7 => Type::Writable,
            _ => Type::None,
        }
    }

    /// Whether the MMU walks frames of this type.
    pub const fn is_page_table(self) -> bool {
        matches!(self, Type::L1 | Type::L2 | Type::L2Top | Type::L3 | Type::L4)
    }

    /// Whether a frame's contents are checked before the type is granted.
    pub const fn needs_validation(self) -> bool {
        self.is_page_table() || matches!(self, Type::SegDesc)
    }

    /// Lower-case name for listings.
    pub const fn name(self) -> &'static str {
        match self {
            Type::None => "none",
            Type::L1 => "l1",
            Type::L2 => "l2",
            Type::L3 => "l3",
            Type::L4 => "l4",
            Type::L2Top => "l2top",
            Type::SegDesc => "seg_desc",
            Type::Writable => "writable",
        }
    }
}

/// Bits of one count.
const COUNT_BITS: u32 = 27;
/// The highest count; reaching it refuses the reference rather than wrapping.
pub const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const TOTAL_SHIFT: u32 = COUNT_BITS;
const TYPE_SHIFT: u32 = 2 * COUNT_BITS;
const TYPE_MASK: u64 = 0xf << TYPE_SHIFT;
const PINNED: u64 = 1 << 58;
const VALIDATED: u64 = 1 << 59;
const PARTIAL: u64 = 1 << 60;
const ALLOCATED: u64 = 1 << 61;
const FREE_HEAD: u64 = 1 << 62;
/// In a free block's head: where four of the link's upper bits lie; the fifth is bit 63.
const LINK_SHIFT: u32 = 58;
const LENT: u64 = 1 << 63;

/// A snapshot of a frame's word. Changes are made on the snapshot, then published by [`Frame::swap`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word(u64);

macro_rules! flag {
    ($get:ident, $with:ident, $bit:ident, $doc:literal) => {
        #[doc = $doc]
        #[inline(always)]
        pub const fn $get(self) -> bool {
            self.0 & $bit != 0
        }
        #[doc = concat!("Sets or clears: ", $doc)]
        #[inline(always)]
        pub const fn $with(self, on: bool) -> Word {
            Word(if on { self.0 | $bit } else { self.0 & !$bit })
        }
    };
}

impl Word {
    /// A frame nobody has.
    pub const EMPTY: Word = Word(0);

    /// A frame that its owner has, and nobody uses.
    pub const fn fresh() -> Word {
        Word(ALLOCATED | 1 << TOTAL_SHIFT)
    }

    /// A frame that the hypervisor lends: its own reference, a writable one, is all there is.
    pub const fn lent_out() -> Word {
        Word(LENT | (Type::Writable as u64) << TYPE_SHIFT | 1 << TOTAL_SHIFT | 1)
    }

    /// References that rely on the type.
    #[inline(always)]
    pub const fn type_count(self) -> u64 {
        self.0 & COUNT_MAX
    }
    /// All references; each type reference is one of them.
    #[inline(always)]
    pub const fn total(self) -> u64 {
        (self.0 >> TOTAL_SHIFT) & COUNT_MAX
    }
    /// The type; it is binding while the type count is above zero.
    #[inline(always)]
    pub const fn kind(self) -> Type {
        Type::from_bits((self.0 & TYPE_MASK) >> TYPE_SHIFT)
    }
    flag!(
        pinned,
        with_pinned,
        PINNED,
        "the guest has pinned the frame at its type (one type reference)"
    );
    flag!(
        validated,
        with_validated,
        VALIDATED,
        "the contents satisfy the type; entries hold references"
    );
    flag!(
        partial,
        with_partial,
        PARTIAL,
        "type count 0, but the first `progress` entries hold references"
    );
    flag!(allocated, with_allocated, ALLOCATED, "the owner has it (one reference of the total)");
    flag!(
        lent,
        with_lent,
        LENT,
        "the hypervisor lent it to the owner, among whose pages it is not"
    );
    flag!(free_head, with_free_head, FREE_HEAD, "first frame of a free block");

    /// The word with another type.
    #[inline(always)]
    pub const fn with_kind(self, kind: Type) -> Word {
        Word(self.0 & !TYPE_MASK | (kind as u64) << TYPE_SHIFT)
    }
    /// The word of a free block's first frame; `previous` is the block before it in its list.
    ///
    /// The link lies where a frame in use has its type count and its flags: whoever still takes the
    /// frame for his, because it was a moment ago, finds no total count and so takes no reference.
    pub const fn free_block(previous: Option<Mfn>) -> Word {
        let link = match previous {
            Some(mfn) => mfn.raw() as u32 as u64,
            None => NO_LINK as u64,
        };
        let (low, high) = (link & COUNT_MAX, link >> COUNT_BITS);
        Word(FREE_HEAD | low | (high & 0xf) << LINK_SHIFT | (high >> 4) << 63)
    }
    /// What [`Word::free_block`] was given.
    pub const fn previous_free(self) -> Option<Mfn> {
        let high = self.0 >> LINK_SHIFT & 0xf | (self.0 >> 63) << 4;
        match (self.0 & COUNT_MAX | high << COUNT_BITS) as u32 {
            NO_LINK => None,
            n => Some(Mfn::new(n as u64)),
        }
    }
    /// One more reference, or `None` at the limit.
    #[inline(always)]
    pub const fn add_total(self) -> Option<Word> {
        if self.total() == COUNT_MAX { None } else { Some(Word(self.0 + (1 << TOTAL_SHIFT))) }
    }
    /// One reference less, or `None` if there is none.
    #[inline(always)]
    pub const fn sub_total(self) -> Option<Word> {
        if self.total() == 0 { None } else { Some(Word(self.0 - (1 << TOTAL_SHIFT))) }
    }
    /// One more type reference, or `None` at the limit.
    #[inline(always)]
    pub const fn add_type(self) -> Option<Word> {
        if self.type_count() == COUNT_MAX { None } else { Some(Word(self.0 + 1)) }
    }
    /// One type reference less, or `None` if there is none.
    #[inline(always)]
    pub const fn sub_type(self) -> Option<Word> {
        if self.type_count() == 0 { None } else { Some(Word(self.0 - 1)) }
    }
}

impl core::fmt::Debug for Word {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} type={} total={}", self.kind().name(), self.type_count(), self.total())?;
        for (on, name) in [
            (self.pinned(), " pinned"),
            (self.validated(), " validated"),
            (self.partial(), " partial"),
            (self.allocated(), " allocated"),
            (self.free_head(), " free"),
            (self.lent(), " lent"),
        ] {
            if on {
                f.write_str(name)?;
            }
        }
        Ok(())
    }
}

/// Who has a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Nobody: free, or no RAM at all.
    Nobody,
    /// The hypervisor.
    Hypervisor,
    /// A domain.
    Domain(DomId),
}

const OWNER_NOBODY: u16 = 0;
const OWNER_HYPERVISOR: u16 = 0xffff;

/// "No frame" in a link.
pub const NO_LINK: u32 = u32::MAX;

/// One frame's record in the frame table. All zeros is a frame nobody has.
#[repr(C)]
#[derive(Default)]
pub struct Frame {
    word: AtomicU64,
    /// 0: nobody; domain id + 1; or the hypervisor.
    owner: AtomicU16,
    /// While partial: how many entries hold references. In a free block's head: its order.
    progress: AtomicU16,
    /// In a free block's head: the next block. In a page table: [`Frame::linear`].
    link: AtomicU32,
}

const _: () = assert!(size_of::<Frame>() == 16);

impl Frame {
    /// The current word.
    #[inline(always)]
    pub fn load(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }
    /// Publishes `new` if the word still is `old`; else the word that was found.
    #[inline(always)]
    pub fn swap(&self, old: Word, new: Word) -> Result<(), Word> {
        match self.word.compare_exchange_weak(old.0, new.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(found) => Err(Word(found)),
        }
    }
    /// Sets the word of a frame that nobody else can be changing (free, or just allocated).
    pub fn set(&self, word: Word) {
        self.word.store(word.0, Ordering::Release);
    }
    /// Applies `change` until it takes; `None` from it gives up and is returned as `false`.
    #[inline(always)]
    pub fn update(&self, change: impl Fn(Word) -> Option<Word>) -> Result<Word, Word> {
        let mut old = self.load();
        loop {
            let Some(new) = change(old) else { return Err(old) };
            match self.swap(old, new) {
                Ok(()) => return Ok(new),
                Err(found) => old = found,
            }
        }
    }
    /// Who has the frame.
    #[inline(always)]
    pub fn owner(&self) -> Owner {
        match self.owner.load(Ordering::Acquire) {
            OWNER_NOBODY => Owner::Nobody,
            OWNER_HYPERVISOR => Owner::Hypervisor,
            n => Owner::Domain(DomId::new(n - 1)),
        }
    }
    /// Whether `domain` has the frame.
    #[inline(always)]
    pub fn is_owned_by(&self, domain: DomId) -> bool {
        self.owner.load(Ordering::Acquire) == domain.raw().wrapping_add(1)
    }
    /// Whether the frame is a validated level-1 table of `domain`'s. Under the domain's paging lock
    /// it stays one.
    #[inline(always)]
    pub fn is_l1_of(&self, domain: DomId) -> bool {
        let word = self.load();
        let is_table = word.kind() == Type::L1 && word.type_count() > 0 && word.validated();
        is_table && self.is_owned_by(domain)
    }
    /// Gives the frame to `owner`.
    pub fn set_owner(&self, owner: Owner) {
        let raw = match owner {
            Owner::Nobody => OWNER_NOBODY,
            Owner::Hypervisor => OWNER_HYPERVISOR,
            Owner::Domain(id) => id.raw().wrapping_add(1),
        };
        self.owner.store(raw, Ordering::Release);
    }
    /// While partial: how many entries hold references. In a free block's head: its order.
    pub fn progress(&self) -> u16 {
        self.progress.load(Ordering::Relaxed)
    }
    /// Sets [`Frame::progress`].
    pub fn set_progress(&self, n: u16) {
        self.progress.store(n, Ordering::Relaxed);
    }
    /// In a page table: how many of its entries refer to tables of its own level (above zero), or
    /// how many such entries refer to it (below zero).
    pub fn linear(&self) -> i32 {
        self.link.load(Ordering::Relaxed).cast_signed()
    }
    /// Sets [`Frame::linear`].
    pub fn set_linear(&self, count: i32) {
        self.link.store(count.cast_unsigned(), Ordering::Relaxed);
    }
    /// The next free block, in a free block's head.
    pub fn link(&self) -> Option<Mfn> {
        match self.link.load(Ordering::Relaxed) {
            NO_LINK => None,
            n => Some(Mfn::new(u64::from(n))),
        }
    }
    /// Sets the next free block.
    pub fn set_link(&self, mfn: Option<Mfn>) {
        // Frame numbers fit: the frame table covers at most 2^32 - 1 frames (16 TiB).
        self.link.store(mfn.map_or(NO_LINK, |m| m.raw() as u32), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_frame_looks_like_nobodys_whatever_its_link() {
        let links = [0, 1, 0x07ff_ffff, 0x0800_0000, 0x1234_5678, 0x8000_0000, 0xffff_fffe];
        for previous in links.map(|n| Some(Mfn::new(n))).into_iter().chain([None]) {
            let word = Word::free_block(previous);
            assert!(word.free_head(), "{previous:?}");
            assert_eq!(word.previous_free(), previous);
            assert_eq!((word.total(), word.kind()), (0, Type::None), "{previous:?}");
        }
    }
}

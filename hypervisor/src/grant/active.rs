//! Active entries: what the hypervisor remembers of a grant while it is in use.
//!
//! The entry in shared memory is the granter's to write at any time. So when a grant is
//! first used, what it says is copied here, once, and every further use goes by the copy
//! until the last one ends. The use is counted by *pins*: mappings by CPUs and by
//! devices, for reading and for writing. A copy pins like a mapping by a CPU.
//!
//! An entry is two words of a frame of the hypervisor's; two frames go with each frame of
//! the shared table.

use core::sync::atomic::{AtomicU64, Ordering};

use pv_abi::types::{DomId, GrantRef, Mfn};

/// Active entries in a frame.
pub const PER_FRAME: u32 = 256;

/// Four counts of eight bits (`GNTPIN_*` in Xen): how often a grant is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pins(u32);

impl Pins {
    /// Not in use.
    pub const NONE: Pins = Pins(0);

    const HOST_WRITE: u32 = 1;
    const HOST_READ: u32 = 1 << 8;
    const DEVICE_WRITE: u32 = 1 << 16;
    const DEVICE_READ: u32 = 1 << 24;
    const WRITERS: u32 = 0x00ff_00ff;

    /// One use by a CPU.
    pub const fn host(write: bool) -> Pins {
        Pins(if write { Pins::HOST_WRITE } else { Pins::HOST_READ })
    }

    /// One use by a device.
    pub const fn device(write: bool) -> Pins {
        Pins(if write { Pins::DEVICE_WRITE } else { Pins::DEVICE_READ })
    }

    /// Both together; each of `more`'s counts is 0 or 1.
    pub const fn with(self, more: Pins) -> Pins {
        Pins(self.0 | more.0)
    }

    /// Whether the grant is not in use.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether it is in use for writing.
    pub const fn has_writers(self) -> bool {
        self.0 & Pins::WRITERS != 0
    }

    /// Counts `more` (0 or 1 each); `None` once a count has reached half of what it can hold,
    /// as in Xen.
    pub const fn plus(self, more: Pins) -> Option<Pins> {
        if self.0 & more.0 << 7 != 0 { None } else { Some(Pins(self.0 + more.0)) }
    }

    /// Takes `less` (0 or 1 each) off; `None` if there is nothing to take off.
    #[inline(always)]
    pub const fn minus(self, less: Pins) -> Option<Pins> {
        const LOW_BITS: u32 = 0x7f7f_7f7f;
        // The top bit of each byte: whether that count is not 0.
        let some = (self.0 & LOW_BITS).wrapping_add(LOW_BITS) | self.0;
        if !some & less.0 << 7 != 0 {
            return None;
        }
        Some(Pins(self.0.wrapping_sub(less.0)))
    }

    /// The four counts: host write, host read, device write, device read.
    pub const fn counts(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }
}

/// What is granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// A whole page.
    Page(Mfn),
    /// Some bytes of one.
    Part {
        /// The page.
        mfn: Mfn,
        /// The first byte.
        start: u16,
        /// How many; at most what is left of the page.
        length: u16,
    },
    /// What another domain has granted to the granter.
    Transitive {
        /// That domain.
        domain: DomId,
        /// The reference in its table.
        gref: GrantRef,
    },
}

/// An active entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Active {
    /// How it is in use.
    pub pins: Pins,
    /// By whom.
    pub grantee: DomId,
    /// What it gives access to.
    pub target: Target,
}

const KIND_SHIFT: u32 = 48;
const LENGTH_SHIFT: u32 = 50;
const START_SHIFT: u32 = 40;
const MFN_MASK: u64 = (1 << START_SHIFT) - 1;

impl Active {
    /// The entry as two words.
    #[inline(always)]
    fn to_words(self) -> (u64, u64) {
        let (kind, length, second) = match self.target {
            Target::Page(mfn) => (0, 0, mfn.raw()),
            // The length is at most 4096: 13 bits. The start is below 4096: 12 bits.
            Target::Part { mfn, start, length } => {
                (1, u64::from(length), mfn.raw() & MFN_MASK | u64::from(start) << START_SHIFT)
            }
            Target::Transitive { domain, gref } => {
                (2, 0, u64::from(gref.raw()) | u64::from(domain.raw()) << 32)
            }
        };
        let first = u64::from(self.pins.0)
            | u64::from(self.grantee.raw()) << 32
            | kind << KIND_SHIFT
            | length << LENGTH_SHIFT;
        (first, second)
    }

    #[inline(always)]
    fn from_words(first: u64, second: u64) -> Active {
        let mfn = Mfn::new(second & MFN_MASK);
        let target = match first >> KIND_SHIFT & 3 {
            0 => Target::Page(mfn),
            1 => Target::Part {
                mfn,
                start: (second >> START_SHIFT & 0xfff) as u16,
                length: (first >> LENGTH_SHIFT) as u16,
            },
            _ => Target::Transitive {
                domain: DomId::new((second >> 32) as u16),
                gref: GrantRef::new(second as u32),
            },
        };
        Active { pins: Pins(first as u32), grantee: DomId::new((first >> 32) as u16), target }
    }
}

/// Where an active entry lies. It changes under the table's lock alone.
#[derive(Clone, Copy)]
pub struct Slot<'a> {
    first: &'a AtomicU64,
    second: &'a AtomicU64,
}

impl<'a> Slot<'a> {
    /// Entry `index` of a frame of them.
    #[inline(always)]
    pub fn in_frame(words: &'a crate::platform::Words, index: u32) -> Option<Slot<'a>> {
        let at = index as usize * 2;
        Some(Slot { first: words.get(at)?, second: words.get(at + 1)? })
    }

    /// How the grant is in use.
    #[inline(always)]
    pub fn pins(self) -> Pins {
        Pins(self.first.load(Ordering::Relaxed) as u32)
    }

    /// The entry; it means something while it has pins.
    #[inline(always)]
    pub fn load(self) -> Active {
        Active::from_words(self.first.load(Ordering::Relaxed), self.second.load(Ordering::Relaxed))
    }

    /// Changes how the grant is in use, and nothing else of an entry that has been stored.
    #[inline(always)]
    pub fn set_pins(self, pins: Pins) {
        let rest = self.first.load(Ordering::Relaxed) & !u64::from(u32::MAX);
        self.first.store(rest | u64::from(pins.0), Ordering::Relaxed);
    }

    /// Whether the target is a [`Target::Page`].
    #[inline(always)]
    pub fn is_page(self) -> bool {
        self.first.load(Ordering::Relaxed) >> KIND_SHIFT & 3 == 0
    }

    /// Changes the entry.
    #[inline(always)]
    pub fn store(self, active: Active) {
        let (first, second) = active.to_words();
        self.first.store(first, Ordering::Relaxed);
        self.second.store(second, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_being_packed() {
        let targets = [
            Target::Page(Mfn::new(0xffff_ffff)),
            Target::Part { mfn: Mfn::new(0x12_3456_789a), start: 4095, length: 1 },
            Target::Part { mfn: Mfn::new(7), start: 0, length: 4096 },
            Target::Transitive { domain: DomId::new(0x7fef), gref: GrantRef::new(u32::MAX) },
        ];
        for target in targets {
            let pins = Pins::host(true).with(Pins::device(false));
            let active = Active { pins, grantee: DomId::new(0xffff), target };
            let (first, second) = active.to_words();
            assert_eq!(Active::from_words(first, second), active);
        }
    }

    #[test]
    fn pins_neither_overflow_nor_underflow() {
        for one in [Pins::host(true), Pins::host(false), Pins::device(true), Pins::device(false)] {
            let mut pins = Pins::NONE;
            let mut count = 0;
            while let Some(more) = pins.plus(one) {
                pins = more;
                count += 1;
            }
            assert_eq!(count, 128);
            while let Some(less) = pins.minus(one) {
                pins = less;
                count -= 1;
            }
            assert_eq!((count, pins), (0, Pins::NONE));
        }
        let both = Pins::host(true).with(Pins::device(true));
        assert_eq!(Pins::host(true).minus(both), None);
        assert_eq!(both.minus(Pins::host(true)), Some(Pins::device(true)));
        assert!(Pins::device(true).has_writers() && !Pins::device(false).has_writers());
    }
}

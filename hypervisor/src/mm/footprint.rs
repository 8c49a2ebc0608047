//! In which parts of the machine's memory a domain's frames lie.
//!
//! Whoever takes a domain apart has to find its frames, and the frame table is as long as the machine's
//! memory. So memory is cut into parts, and each domain knows in which of them it ever had frames. Most
//! come in large blocks, some one by one from where there was a gap, so it is a few parts that are looked
//! at: a domain of some MiB ends as fast on a machine of many GiB as on a small one.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use pv_abi::types::Mfn;

/// Words in which a bit stands for each part.
const WORDS: usize = 64;
/// Parts at most.
const PARTS: u64 = WORDS as u64 * 64;
/// log2 of the frames of a part at least: 2 MiB.
const ORDER: u32 = 9;

/// The parts of memory in which a domain ever had frames of its own. It only grows.
pub struct Footprint {
    /// log2 of the frames of a part.
    order: u32,
    parts: [AtomicU64; WORDS],
}

impl Footprint {
    /// Of a domain that has no frames yet, on a machine of so many.
    pub const fn nowhere(frames: u64) -> Footprint {
        let parts = [const { AtomicU64::new(0) }; WORDS];
        Footprint { order: order(frames), parts }
    }

    /// Of a domain whose frames can lie anywhere.
    pub const fn anywhere() -> Footprint {
        let parts = [const { AtomicU64::new(u64::MAX) }; WORDS];
        Footprint { order: order(u64::MAX), parts }
    }

    /// The domain is about to get `count` frames, at least one, from `mfn` on.
    pub(super) fn include(&self, mfn: Mfn, count: u64) {
        let last = mfn.raw().saturating_add(count.saturating_sub(1));
        for part in mfn.raw() >> self.order..=last >> self.order {
            if let Some(word) = self.parts.get((part / 64) as usize) {
                word.fetch_or(1 << (part % 64), Ordering::SeqCst);
            }
        }
    }

    /// Whether a frame lies where the domain's are looked for.
    pub fn contains(&self, mfn: Mfn) -> bool {
        self.has(mfn.raw() >> self.order)
    }

    fn has(&self, part: u64) -> bool {
        let word = self.parts.get((part / 64) as usize);
        word.is_some_and(|word| word.load(Ordering::SeqCst) >> (part % 64) & 1 != 0)
    }

    /// The first frames of `range` to look at: all of them in one part.
    pub fn first_of(&self, range: Range<u64>) -> Option<Range<u64>> {
        let part = (range.start >> self.order..PARTS).find(|part| self.has(*part))?;
        let start = (part << self.order).max(range.start);
        let end = part.saturating_add(1).saturating_mul(1 << self.order).min(range.end);
        (start < end).then_some(start..end)
    }
}

/// log2 of the frames of a part, on a machine of so many: there are parts enough for all.
const fn order(frames: u64) -> u32 {
    let mut order = ORDER;
    while frames.saturating_sub(1) >> order >= PARTS {
        order += 1;
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// All ranges of a machine of so many frames, in order.
    fn all(footprint: &Footprint, frames: u64) -> Vec<Range<u64>> {
        let first_from = |start| footprint.first_of(start..frames);
        core::iter::successors(first_from(0), |range| first_from(range.end)).collect()
    }

    #[test]
    fn parts_far_apart_leave_out_what_is_between() {
        let footprint = Footprint::nowhere(100_000);
        assert_eq!(footprint.first_of(0..100_000), None);
        footprint.include(Mfn::new(512), 1024);
        footprint.include(Mfn::new(7), 1);
        footprint.include(Mfn::new(99_999), 1);
        let expected = [0..512, 512..1024, 1024..1536, 99_840..100_000];
        assert_eq!(all(&footprint, 100_000), expected);
        assert_eq!(footprint.first_of(700..100_000), Some(700..1024));
        assert!(footprint.contains(Mfn::new(1535)) && !footprint.contains(Mfn::new(1536)));
    }

    #[test]
    fn any_machine_has_parts_enough() {
        for frames in [1, 512, PARTS << ORDER, (PARTS << ORDER) + 1, 1 << 40] {
            let footprint = Footprint::nowhere(frames);
            footprint.include(Mfn::new(frames - 1), 1);
            assert!(footprint.contains(Mfn::new(frames - 1)), "{frames}");
            assert_eq!(footprint.first_of(frames - 1..frames), Some(frames - 1..frames));
            assert_eq!(footprint.first_of(frames..frames), None);
        }
    }

    #[test]
    fn anywhere_is_all_of_a_machine() {
        let footprint = Footprint::anywhere();
        assert!(footprint.contains(Mfn::new(0)) && footprint.contains(Mfn::new(u64::MAX)));
        assert_eq!(footprint.first_of(7..1 << 20), Some(7..1 << 20));
        assert_eq!(footprint.first_of(1 << 20..1 << 20), None);
    }
}

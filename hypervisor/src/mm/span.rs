//! Between which frames all of a domain's lie.
//!
//! Whoever takes a domain apart has to find its frames, and the frame table is as long as the machine's
//! memory. A domain's frames are given to it in large blocks, mostly side by side, so the first and the
//! last that it ever had say where to look: a domain of some MiB ends as fast on a machine of many GiB
//! as on a small one.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use pv_abi::types::Mfn;

/// The frames from the first to the last that a domain ever had as its own. It only grows.
pub struct Span {
    first: AtomicU64,
    end: AtomicU64,
}

impl Span {
    /// A domain that has no frames yet.
    pub const fn nowhere() -> Span {
        Span { first: AtomicU64::new(u64::MAX), end: AtomicU64::new(0) }
    }

    /// A domain whose frames can lie anywhere.
    pub const fn anywhere() -> Span {
        Span { first: AtomicU64::new(0), end: AtomicU64::new(u64::MAX) }
    }

    /// The domain is about to get `count` frames from `mfn` on.
    pub(super) fn include(&self, mfn: Mfn, count: u64) {
        self.first.fetch_min(mfn.raw(), Ordering::SeqCst);
        self.end.fetch_max(mfn.raw().saturating_add(count), Ordering::SeqCst);
    }

    /// Where to look for its frames: from the first up to the end.
    pub fn frames(&self) -> Range<u64> {
        self.first.load(Ordering::SeqCst)..self.end.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_both_sides() {
        let span = Span::nowhere();
        assert!(span.frames().is_empty());
        span.include(Mfn::new(512), 512);
        assert_eq!(span.frames(), 512..1024);
        span.include(Mfn::new(7), 1);
        span.include(Mfn::new(100), 1);
        assert_eq!(span.frames(), 7..1024);
        assert!(Span::anywhere().frames().contains(&u64::from(u32::MAX)));
    }
}

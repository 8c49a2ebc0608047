//! Places that nobody looks at: nothing is stored, and nothing done.

use super::Rank;

/// Where a lock stands in the order.
pub(super) struct Place;

/// That a lock is held.
pub(super) struct Held;

impl Place {
    pub(super) const fn new(_: Rank) -> Place {
        Place
    }

    #[inline(always)]
    pub(super) fn wait(&self) -> Held {
        Held
    }

    #[inline(always)]
    pub(super) fn wait_beside(&self, _: &Place) -> Held {
        Held
    }

    #[inline(always)]
    pub(super) fn take(&self) -> Held {
        Held
    }
}

#[inline(always)]
pub(super) fn expect_at_most(_: Rank) {}

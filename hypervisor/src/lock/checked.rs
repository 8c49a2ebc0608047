//! Places that are looked at: each thread knows the ranks of the locks that it holds.

use core::cell::RefCell;
use std::vec::Vec;

use super::Rank;

std::thread_local! {
    /// In no order: guards are dropped in any.
    static HELD: RefCell<Vec<Rank>> = const { RefCell::new(Vec::new()) };
}

/// Where a lock stands in the order.
pub(super) struct Place(Rank);

/// That this thread holds a lock.
pub(super) struct Held(Rank);

impl Place {
    pub(super) const fn new(rank: Rank) -> Place {
        Place(rank)
    }

    /// It is about to be waited for.
    pub(super) fn wait(&self) -> Held {
        expect(|held| held < self.0, self.0);
        self.take()
    }

    /// The same, while the lock at `other` is held.
    pub(super) fn wait_beside(&self, other: &Place) -> Held {
        expect(|held| held < self.0 || held == other.0, self.0);
        self.take()
    }

    /// It has been taken, or will be.
    pub(super) fn take(&self) -> Held {
        HELD.with_borrow_mut(|held| held.push(self.0));
        Held(self.0)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The thread may be ending: then nobody asks any more.
        let _ = HELD.try_with(|held| {
            let mut held = held.borrow_mut();
            if let Some(last) = held.iter().rposition(|rank| *rank == self.0) {
                held.swap_remove(last);
            }
        });
    }
}

fn expect(fine: impl Fn(Rank) -> bool, wanted: Rank) {
    HELD.with_borrow(|held| {
        assert!(
            held.iter().all(|rank| fine(*rank)),
            "{wanted:?} is waited for while {held:?} is held"
        );
    });
}

pub(super) fn expect_at_most(most: Rank) {
    HELD.with_borrow(|held| {
        assert!(
            held.iter().all(|rank| *rank <= most),
            "{held:?} is held, where nothing above {most:?} may be"
        );
    });
}

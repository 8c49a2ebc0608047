//! Who talks to whom: agreeing on a beginning although either side may restart at any time.
//!
//! A side has an *epoch*, a number that its next start does not have. It sends RESET with its own
//! epoch and with the other side's as far as it has heard. Frames count only once a RESET has
//! come that names the receiver's epoch: then whoever sent it, and everything it sends from there
//! on, means this very session. Three messages at most (as in TCP's opening), and none needs to be
//! repeated by a clock: a side that starts later than the other, or lost what the other said, says
//! so by its own RESET, which is always answered.

use crate::frame::Reset;

/// One side's view of the session.
pub struct Session {
    mine: u32,
    /// The other side's epoch, to which ours has been said.
    peer: Option<u32>,
    up: bool,
}

/// What a RESET means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// Whether the session is another one than before: channels of the one before are gone.
    pub anew: bool,
    /// Whether our own RESET has to be sent.
    pub answer: bool,
}

impl Session {
    /// A side that begins.
    pub fn new(epoch: u32) -> Self {
        Self { mine: epoch.max(1), peer: None, up: false }
    }

    /// Ends the session: our side begins anew.
    pub fn restart(&mut self) {
        *self = Self::new(self.mine.wrapping_add(1));
    }

    /// Whether frames count.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// The RESET to send now.
    pub fn reset(&self) -> Reset {
        Reset { epoch: self.mine, heard: self.peer.unwrap_or(0) }
    }

    /// A RESET came.
    pub fn hear(&mut self, reset: Reset) -> Heard {
        let known = self.peer == Some(reset.epoch);
        let knows_us = reset.heard == self.mine;
        if known && knows_us && self.up {
            return Heard { anew: false, answer: false };
        }
        self.peer = Some(reset.epoch);
        self.up = knows_us;
        Heard { anew: true, answer: !known || !knows_us }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::vec::Vec;

    /// One side, and the RESETs on their way to it.
    struct Place {
        session: Session,
        inbox: VecDeque<Reset>,
    }

    fn place(epoch: u32) -> Place {
        Place { session: Session::new(epoch), inbox: VecDeque::new() }
    }

    fn deliver(places: &mut [Place; 2], to: usize) -> bool {
        let Some(reset) = places[to].inbox.pop_front() else { return false };
        if places[to].session.hear(reset).answer {
            let answer = places[to].session.reset();
            places[1 - to].inbox.push_back(answer);
        }
        true
    }

    #[test]
    fn three_messages_are_enough_when_one_side_starts_later() {
        let mut places = [place(10), place(20)];
        let first = places[0].session.reset();
        places[1].inbox.push_back(first);
        let mut messages = 0;
        while deliver(&mut places, 1) || deliver(&mut places, 0) {
            messages += 1;
        }
        assert_eq!(messages, 3);
        assert!(places.iter().all(|place| place.session.is_up()));
    }

    proptest! {
        /// Starts, and losses at starts, in any order: in the end both are up.
        #[test]
        fn both_sides_find_each_other(steps in prop::collection::vec((0usize..2, 0u8..4, 0usize..4), 0..60)) {
            let mut places = [place(100), place(200)];
            let mut epoch = 1000;
            for side in 0..2 {
                let reset = places[side].session.reset();
                places[1 - side].inbox.push_back(reset);
            }
            for (side, what, lost) in steps {
                if what > 0 {
                    deliver(&mut places, side);
                    continue;
                }
                // A start loses what was not read, and any part of what was sent last.
                epoch += 1;
                places[side].session = Session::new(epoch);
                places[side].inbox.clear();
                let keep = places[1 - side].inbox.len().saturating_sub(lost);
                places[1 - side].inbox.truncate(keep);
                let reset = places[side].session.reset();
                places[1 - side].inbox.push_back(reset);
            }
            let mut messages = 0;
            while deliver(&mut places, 0) || deliver(&mut places, 1) {
                messages += 1;
                prop_assert!(messages < 100, "they never stop");
            }
            let states: Vec<_> = places.iter().map(|place| place.session.is_up()).collect();
            prop_assert_eq!(states, [true, true]);
        }
    }
}

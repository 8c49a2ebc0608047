//! Whether a domain that ended may be made again: not if it never gets far.
//!
//! A domain that crashes while it starts, and is made again whenever it crashes, would keep the machine
//! busy for ever. Xen's `xl` waits two seconds before each new start; `xend` before it refused to make
//! again what had lived for less than twenty. Here a domain is made again at once, so that a crash costs
//! as little as it can, but after some short lives in a row the last one is left for somebody to look at.

/// A life of less than so many nanoseconds is short.
pub const SHORT_NS: u64 = 10_000_000_000;
/// So many short lives in a row are enough.
pub const ENOUGH: u32 = 5;

/// How many lives of a domain, up to the last, were short.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ShortLives(u32);

impl ShortLives {
    /// After one more life, of so many nanoseconds.
    #[must_use]
    pub fn after(self, lived_ns: u64) -> ShortLives {
        if lived_ns < SHORT_NS { ShortLives(self.0.saturating_add(1)) } else { ShortLives(0) }
    }

    /// Whether there shall not be another.
    #[must_use]
    pub fn are_enough(self) -> bool {
        self.0 >= ENOUGH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lives_in_a_row_are_enough_at_some_time() {
        let mut lives = ShortLives::default();
        for _ in 1..ENOUGH {
            lives = lives.after(SHORT_NS - 1);
            assert!(!lives.are_enough());
        }
        assert!(lives.after(0).are_enough());
        assert_eq!(lives.after(SHORT_NS), ShortLives::default(), "a long one makes up for all");
    }
}

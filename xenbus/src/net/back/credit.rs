//! How fast a guest may send.
//!
//! It has so many bytes in each interval, and pays for each frame. What it does not use is lost at the
//! interval's end. The last frame of an interval may cost more than is left, or no frame would be
//! small enough for a small rate; the following intervals pay for the rest, so that the rate holds
//! over any longer time.

/// The node of the back end's that says it.
pub const RATE: &str = "rate";

/// So many bytes in each interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Bytes; not zero.
    pub bytes: u64,
    /// Nanoseconds; not zero.
    pub interval_ns: u64,
}

impl Rate {
    /// As the node has it: bytes and microseconds, with a comma between.
    #[must_use]
    pub fn parse(node: &str) -> Option<Rate> {
        let (bytes, us) = node.split_once(',')?;
        let (bytes, us) = (bytes.trim().parse().ok()?, us.trim().parse::<u32>().ok()?);
        (bytes > 0 && us > 0).then_some(Rate { bytes, interval_ns: u64::from(us) * 1000 })
    }
}

/// What a guest may send yet.
#[derive(Debug)]
pub(super) struct Credit {
    rate: Rate,
    /// When the interval began.
    begun_ns: u64,
    /// Bytes sent in it, and those that were too many before.
    used: u64,
}

impl Credit {
    pub(super) fn new(rate: Rate, now_ns: u64) -> Credit {
        Credit { rate, begun_ns: now_ns, used: 0 }
    }

    /// Begins the interval that it is time for.
    pub(super) fn refill(&mut self, now_ns: u64) {
        let over = now_ns.saturating_sub(self.begun_ns) / self.rate.interval_ns;
        self.begun_ns += over * self.rate.interval_ns;
        self.used = self.used.saturating_sub(over.saturating_mul(self.rate.bytes));
    }

    /// Whether one more frame may be sent.
    pub(super) fn is_left(&self) -> bool {
        self.used < self.rate.bytes
    }

    /// A frame was sent.
    pub(super) fn pay(&mut self, bytes: usize) {
        self.used = self.used.saturating_add(bytes as u64);
    }

    /// When one more frame may be sent.
    pub(super) fn left_at(&self) -> u64 {
        let intervals = self.used / self.rate.bytes;
        self.begun_ns.saturating_add(intervals.saturating_mul(self.rate.interval_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rate_is_two_numbers() {
        let rate = Rate { bytes: 62_500, interval_ns: 50_000_000 };
        assert_eq!(Rate::parse("62500,50000"), Some(rate));
        for wrong in ["", "62500", "0,50000", "62500,0", "a,b", "-1,50000", "1,4294967296"] {
            assert_eq!(Rate::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_too_much_is_paid_for_later() {
        let mut credit = Credit::new(Rate { bytes: 1000, interval_ns: 10 }, 5);
        credit.pay(999);
        assert!(credit.is_left());
        credit.pay(2500);
        assert!(!credit.is_left());
        assert_eq!(credit.left_at(), 35);
        credit.refill(34);
        assert!(!credit.is_left());
        credit.refill(35);
        assert!(credit.is_left());
        // Nothing is saved up.
        credit.refill(1005);
        credit.pay(1000);
        assert_eq!((credit.is_left(), credit.left_at()), (false, 1015));
    }

    proptest! {
        #[test]
        fn the_rate_holds(
            bytes in 1_u64..200_000,
            interval_ns in 1_u64..1000,
            frames in prop::collection::vec((14_usize..65_536, 0_u64..300), 1..200),
        ) {
            let mut credit = Credit::new(Rate { bytes, interval_ns }, 0);
            let (mut now, mut sent, mut largest) = (0, 0, 0);
            for (size, pause) in frames {
                now += pause;
                credit.refill(now);
                if !credit.is_left() {
                    prop_assert!(credit.left_at() > now);
                    now = credit.left_at();
                    credit.refill(now);
                }
                prop_assert!(credit.is_left());
                credit.pay(size);
                sent += size as u64;
                largest = largest.max(size as u64);
                prop_assert!(sent < (now / interval_ns + 1) * bytes + largest);
            }
        }

        #[test]
        fn no_number_is_too_large(bytes in 1_u64.., us in 1_u32.., now: u64, size: usize) {
            let interval_ns = u64::from(us) * 1000;
            let mut credit = Credit::new(Rate { bytes, interval_ns }, 0);
            for _ in 0..3 {
                credit.pay(size);
                credit.refill(now);
                let _ = credit.left_at();
            }
        }
    }
}

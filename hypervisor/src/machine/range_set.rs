//! A set of numbers as a few ranges: what a domain may touch of something large.
//!
//! Of fixed capacity, since there is no heap: a change for which there is no room is refused,
//! and changes nothing.

use pv_abi::errno::Errno;

/// Disjoint ranges of numbers, in order; both ends of each are inclusive.
#[derive(Clone, Default, Debug)]
pub struct RangeSet<const N: usize> {
    ranges: heapless::Vec<(u64, u64), N>,
}

impl<const N: usize> RangeSet<N> {
    /// No numbers.
    pub const fn new() -> RangeSet<N> {
        RangeSet { ranges: heapless::Vec::new() }
    }

    /// Whether all of `first` to `last` is in the set.
    pub fn contains(&self, first: u64, last: u64) -> bool {
        // Neighbours are merged, so one range has it all or none does.
        first <= last && self.ranges.iter().any(|&(a, b)| a <= first && last <= b)
    }

    /// Adds `first` to `last`. `EINVAL`: an empty range; `ENOMEM`: no room, nothing is changed.
    pub fn add(&mut self, first: u64, last: u64) -> Result<(), Errno> {
        if first > last {
            return Err(Errno::EINVAL);
        }
        let (mut low, mut high) = (first, last);
        let mut new = heapless::Vec::new();
        for &(a, b) in &self.ranges {
            let apart = b < low && low - b > 1 || a > high && a - high > 1;
            if apart {
                new.push((a, b)).map_err(|_| Errno::ENOMEM)?;
            } else {
                (low, high) = (low.min(a), high.max(b));
            }
        }
        let at = new.iter().position(|&(a, _)| a > high).unwrap_or(new.len());
        new.insert(at, (low, high)).map_err(|_| Errno::ENOMEM)?;
        self.ranges = new;
        Ok(())
    }

    /// Takes `first` to `last` out. Errors as [`RangeSet::add`].
    pub fn remove(&mut self, first: u64, last: u64) -> Result<(), Errno> {
        if first > last {
            return Err(Errno::EINVAL);
        }
        let mut new = heapless::Vec::new();
        for &(a, b) in &self.ranges {
            if a < first {
                new.push((a, b.min(first.wrapping_sub(1)))).map_err(|_| Errno::ENOMEM)?;
            }
            if b > last {
                new.push((a.max(last.wrapping_add(1)), b)).map_err(|_| Errno::ENOMEM)?;
            }
        }
        self.ranges = new;
        Ok(())
    }

    /// The ranges, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(u64, u64)]) -> RangeSet<4> {
        let mut set = RangeSet::new();
        for &(first, last) in ranges {
            set.add(first, last).expect("room");
        }
        set
    }

    fn list(set: &RangeSet<4>) -> std::vec::Vec<(u64, u64)> {
        set.iter().collect()
    }

    #[test]
    fn neighbours_and_overlaps_merge() {
        assert_eq!(list(&set(&[(5, 6), (1, 2), (9, 9)])), [(1, 2), (5, 6), (9, 9)]);
        assert_eq!(list(&set(&[(5, 6), (1, 2), (3, 4)])), [(1, 6)]);
        assert_eq!(list(&set(&[(5, 9), (1, 20)])), [(1, 20)]);
        assert_eq!(list(&set(&[(0, u64::MAX), (3, 3)])), [(0, u64::MAX)]);
    }

    #[test]
    fn removing_splits() {
        let mut ports = set(&[(0, 10)]);
        ports.remove(3, 4).expect("room");
        assert_eq!(list(&ports), [(0, 2), (5, 10)]);
        ports.remove(0, 0).expect("room");
        ports.remove(10, u64::MAX).expect("room");
        assert_eq!(list(&ports), [(1, 2), (5, 9)]);
        assert!(ports.contains(5, 9) && !ports.contains(2, 5) && !ports.contains(9, 10));
        assert!(!ports.contains(9, 5));
        ports.remove(0, u64::MAX).expect("room");
        assert_eq!(list(&ports), []);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut ports = set(&[(0, 10), (20, 20), (30, 30), (40, 40)]);
        let before = list(&ports);
        assert_eq!(ports.add(50, 50), Err(Errno::ENOMEM));
        assert_eq!(ports.remove(5, 5), Err(Errno::ENOMEM));
        assert_eq!(ports.add(2, 1), Err(Errno::EINVAL));
        assert_eq!(ports.remove(2, 1), Err(Errno::EINVAL));
        assert_eq!(list(&ports), before);
        ports.add(11, 19).expect("it joins two");
        assert_eq!(list(&ports), [(0, 20), (30, 30), (40, 40)]);
    }
}

//! Which descriptor-table windows vCPUs have (`arch`'s `window` says what one is).
//!
//! A window's page tables are made once and stay, so the numbers of dead vCPUs come first.

use core::sync::atomic::{AtomicU64, Ordering};

use super::{MAX_DOMAINS, MAX_VCPUS};

/// As many as there can be vCPUs.
pub const MAX_WINDOWS: usize = MAX_DOMAINS * MAX_VCPUS;

/// A bit per window.
pub struct Windows([AtomicU64; MAX_WINDOWS / 64]);

impl Windows {
    /// All are free.
    pub const fn new() -> Windows {
        Windows([const { AtomicU64::new(0) }; MAX_WINDOWS / 64])
    }

    /// Takes the lowest free one.
    pub fn take(&self) -> Option<u32> {
        for (word, first) in self.0.iter().zip((0..).step_by(64)) {
            let mut taken = word.load(Ordering::Relaxed);
            while taken != u64::MAX {
                let bit = taken.trailing_ones();
                match word.compare_exchange(
                    taken,
                    taken | 1 << bit,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => return Some(first + bit),
                    Err(found) => taken = found,
                }
            }
        }
        None
    }

    /// Gives one back.
    pub fn give_back(&self, window: u32) {
        if let Some(word) = self.0.get(window as usize / 64) {
            word.fetch_and(!(1 << (window % 64)), Ordering::Release);
        }
    }

    /// How many are taken.
    pub fn taken(&self) -> u32 {
        self.0.iter().map(|word| word.load(Ordering::Relaxed).count_ones()).sum()
    }
}

impl Default for Windows {
    fn default() -> Self {
        Windows::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_come_back() {
        let windows = Windows::new();
        for expected in 0..MAX_WINDOWS as u32 {
            assert_eq!(windows.take(), Some(expected));
        }
        assert_eq!(windows.take(), None);
        windows.give_back(70);
        windows.give_back(3);
        assert_eq!(windows.taken() as usize, MAX_WINDOWS - 2);
        assert_eq!((windows.take(), windows.take(), windows.take()), (Some(3), Some(70), None));
        windows.give_back(u32::MAX);
    }
}

//! A set of numbers that come in runs.

use alloc::collections::BTreeMap;

/// The set: first number of each run, and the one after its last. Runs neither touch nor overlap.
#[derive(Clone, Debug, Default)]
pub struct Runs(BTreeMap<u32, u32>);

impl Runs {
    /// The run that holds `number`, if any.
    fn around(&self, number: u32) -> Option<(u32, u32)> {
        let (start, end) = self.0.range(..=number).next_back()?;
        (number < *end).then_some((*start, *end))
    }

    /// The number after the run that holds `number`. None: it is not in the set.
    pub fn end_around(&self, number: u32) -> Option<u32> {
        self.around(number).map(|(_, end)| end)
    }

    /// Adds a number, which is less than the largest that there is.
    pub fn insert(&mut self, number: u32) {
        if self.around(number).is_some() {
            return;
        }
        let before = self.0.range(..number).next_back().map(|(start, end)| (*start, *end));
        let start = before.filter(|(_, end)| *end == number).map_or(number, |(start, _)| start);
        let end = self.0.remove(&(number + 1)).unwrap_or(number + 1);
        self.0.insert(start, end);
    }

    /// How many runs there are: what the set costs.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_one_run() {
        let mut runs = Runs::default();
        for number in [5, 9, 7, 6, 6, 8] {
            runs.insert(number);
        }
        assert_eq!((runs.count(), runs.end_around(5), runs.end_around(9)), (1, Some(10), Some(10)));
        assert_eq!((runs.end_around(4), runs.end_around(10)), (None, None));
        runs.insert(0);
        assert_eq!((runs.count(), runs.end_around(0)), (2, Some(1)));
        runs.clear();
        assert!(runs.is_empty());
    }
}

//! "Did you mean …?": the known word that is nearest to a mistyped one.

use alloc::vec::Vec;

/// Words longer than this are nobody's typing error.
const LONGEST: usize = 40;

/// The one of `known` that `word` was most likely meant to be: at most one character in three
/// differs, is missing, is too many, or has changed places with its neighbour.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let allowed = word.chars().count().div_ceil(3);
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many single steps lead from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    let mut last = None;
    for (row, a) in from.chars().enumerate() {
        let mut line = Vec::with_capacity(above.len());
        line.push(row + 1);
        for (column, b) in to.iter().enumerate() {
            let at =
                |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX);
            let mut best = at(&above, column) + usize::from(a != *b);
            best = best.min(at(&above, column + 1) + 1).min(at(&line, column) + 1);
            let swapped = column
                .checked_sub(1)
                .filter(|left| last == Some(*b) && to.get(*left) == Some(&a))
                .map(|left| at(&before, left).saturating_add(1));
            line.push(swapped.map_or(best, |swapped| best.min(swapped)));
        }
        before = core::mem::replace(&mut above, line);
        last = Some(a);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted() {
        for (a, b, steps) in [
            ("", "", 0),
            ("", "ab", 2),
            ("memory", "memory", 0),
            ("memmory", "memory", 1),
            ("memroy", "memory", 1),
            ("mem", "memory", 3),
            ("kitten", "sitting", 3),
            ("ba", "ab", 1),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (steps, steps), "{a} {b}");
        }
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["memory", "name", "kernel"];
        assert_eq!(nearest("memroy", known), Some("memory"));
        assert_eq!(nearest("kernal", known), Some("kernel"));
        assert_eq!(nearest("disk", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest(&"m".repeat(1000), known), None);
    }
}

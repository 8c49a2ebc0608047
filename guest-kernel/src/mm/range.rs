//! Kernel addresses that are handed out page by page, and come back.

use super::PAGE;
use crate::sync::Guarded;

/// Addresses of `WORDS` * 32 pages.
pub struct Range<const WORDS: usize> {
    start: u32,
    /// One bit for each page: taken.
    taken: Guarded<[u32; WORDS]>,
}

impl<const WORDS: usize> Range<WORDS> {
    /// The addresses from `start` on.
    pub const fn new(start: u32) -> Self {
        Self { start, taken: Guarded::new([0; WORDS]) }
    }

    /// Takes `count` pages side by side; the address of the first one. None: there is no such room.
    pub fn take(&self, count: usize) -> Option<u32> {
        self.taken.with(|taken| {
            let first = if count == 1 { first_free(taken)? } else { free_row(taken, count)? };
            (first..first + count).for_each(|page| taken[page / 32] |= 1 << (page % 32));
            Some(self.start + first as u32 * PAGE)
        })
    }

    /// Gives `count` pages from `address` on back, of which nothing is mapped any more.
    pub fn give_back(&self, address: u32, count: usize) {
        let first = ((address - self.start) / PAGE) as usize;
        self.taken.with(|taken| {
            (first..first + count).for_each(|page| taken[page / 32] &= !(1 << (page % 32)));
        });
    }

    /// Pages that are taken now.
    pub fn taken(&self) -> u32 {
        self.taken.with(|taken| taken.iter().map(|word| word.count_ones()).sum())
    }
}

/// The first free page.
fn first_free(taken: &[u32]) -> Option<usize> {
    let word = taken.iter().position(|word| *word != u32::MAX)?;
    Some(word * 32 + taken[word].trailing_ones() as usize)
}

/// The first of `count` free pages side by side.
fn free_row(taken: &[u32], count: usize) -> Option<usize> {
    let mut free = 0;
    for (number, word) in taken.iter().enumerate() {
        if *word == u32::MAX {
            // What stays mapped fills the first words: rings, beside many domains.
            free = 0;
            continue;
        }
        for bit in 0..32 {
            free = if word >> bit & 1 != 0 { 0 } else { free + 1 };
            if free == count {
                return Some(number * 32 + bit + 1 - count);
            }
        }
    }
    None
}

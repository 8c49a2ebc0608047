//! Real pages, of a guest: mapped memory that other domains write.
//!
//! Words that order something are accessed atomically. Bytes are accessed volatile: each access
//! happens once, in its width, and what it races with is another domain, which the language does
//! not know of.
#![allow(unsafe_code)] // UNSAFETY: memory shared with other domains is reached by raw pointer.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use super::SharedMemory;

/// Pages that another domain reads and writes, mapped side by side.
#[derive(Debug)]
pub struct Mapped {
    base: NonNull<u8>,
    size: usize,
}

// SAFETY: 1. All access is atomic or volatile through a shared reference, and makes no reference.
// 2. `new`'s caller keeps the pages mapped, for all threads.
unsafe impl Send for Mapped {}
// SAFETY: as for `Send`.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Takes `size` bytes from `base` on for shared memory.
    ///
    /// # Safety
    /// The bytes are mapped, readable and writable, until the value is dropped, and nothing else in
    /// this program makes references to them. `base` and `size` are multiples of 4.
    pub unsafe fn new(base: NonNull<u8>, size: usize) -> Mapped {
        debug_assert!(base.addr().get().is_multiple_of(4) && size.is_multiple_of(4));
        Mapped { base, size }
    }

    /// The address of `bytes` bytes at `offset`; panics where they are not all inside.
    fn at(&self, offset: usize, bytes: usize) -> *mut u8 {
        let inside = offset.checked_add(bytes).is_some_and(|end| end <= self.size);
        assert!(inside, "{bytes} bytes at {offset} of {}", self.size);
        // In range by the check, so it does not wrap.
        self.base.as_ptr().wrapping_add(offset)
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4), "a word at {offset}");
        // SAFETY: 1. `at` checked the range; `new`'s caller promises that it is mapped as long as
        // `self` lives. 2. Aligned: base (`new`) and offset (above) are. 3. An atomic may be
        // written by others.
        unsafe { AtomicU32::from_ptr(self.at(offset, 4).cast()) }
    }
}

impl SharedMemory for Mapped {
    fn size(&self) -> usize {
        self.size
    }

    fn load(&self, offset: usize) -> u32 {
        self.word(offset).load(Ordering::Acquire)
    }

    fn store(&self, offset: usize, value: u32) {
        self.word(offset).store(value, Ordering::Release);
    }

    fn barrier(&self) {
        fence(Ordering::SeqCst);
    }

    fn copy_out(&self, offset: usize, into: &mut [u8]) {
        let from = self.at(offset, into.len());
        let (head, words) = split(offset, into.len());
        let (edge, rest) = into.split_at_mut(head);
        let (middle, tail) = rest.split_at_mut(4 * words);
        for (i, byte) in edge.iter_mut().enumerate() {
            // SAFETY: 1. `at` checked the range; mapped (`new`). 2. Volatile; bytes of any value.
            *byte = unsafe { from.wrapping_add(i).read_volatile() };
        }
        let at = from.wrapping_add(head).cast::<u32>();
        let (lines, rest) = middle.as_chunks_mut().0.as_chunks_mut::<LINE>();
        for (i, line) in lines.iter_mut().enumerate() {
            // SAFETY: as above; 3. aligned by `split`.
            unsafe { read_words(at.wrapping_add(LINE * i), line) };
        }
        // SAFETY: as for the lines.
        unsafe { read_words(at.wrapping_add(words - words % LINE), rest) };
        for (i, byte) in tail.iter_mut().enumerate() {
            // SAFETY: as for the edge.
            *byte = unsafe { from.wrapping_add(head + 4 * words + i).read_volatile() };
        }
    }

    fn copy_in(&self, offset: usize, from: &[u8]) {
        let into = self.at(offset, from.len());
        let (head, words) = split(offset, from.len());
        let (edge, rest) = from.split_at(head);
        let (middle, tail) = rest.split_at(4 * words);
        for (i, &byte) in edge.iter().enumerate() {
            // SAFETY: 1. `at` checked the range; mapped (`new`). 2. Volatile.
            unsafe { into.wrapping_add(i).write_volatile(byte) };
        }
        let at = into.wrapping_add(head).cast::<u32>();
        let (lines, rest) = middle.as_chunks().0.as_chunks::<LINE>();
        for (i, line) in lines.iter().enumerate() {
            // SAFETY: as above; 3. aligned by `split`.
            unsafe { write_words(at.wrapping_add(LINE * i), line) };
        }
        // SAFETY: as for the lines.
        unsafe { write_words(at.wrapping_add(words - words % LINE), rest) };
        for (i, &byte) in tail.iter().enumerate() {
            // SAFETY: as for the edge.
            unsafe { into.wrapping_add(head + 4 * words + i).write_volatile(byte) };
        }
    }
}

/// Words that are moved in one round of a loop: most of a round would be counting otherwise, which the
/// compiler leaves as it is around volatile accesses.
const LINE: usize = 8;

/// Reads words side by side.
///
/// # Safety
/// 1. They are mapped. 2. `from` is aligned.
#[inline(always)]
unsafe fn read_words(from: *const u32, into: &mut [[u8; 4]]) {
    for (i, word) in into.iter_mut().enumerate() {
        // SAFETY: 1., 2. The caller's promises; volatile; words of any value.
        *word = unsafe { from.wrapping_add(i).read_volatile() }.to_ne_bytes();
    }
}

/// Writes words side by side.
///
/// # Safety
/// As for [`read_words`].
#[inline(always)]
unsafe fn write_words(into: *mut u32, from: &[[u8; 4]]) {
    for (i, word) in from.iter().enumerate() {
        // SAFETY: 1., 2. The caller's promises; volatile.
        unsafe { into.wrapping_add(i).write_volatile(u32::from_ne_bytes(*word)) };
    }
}

/// How many of `bytes` bytes at `offset` lie before the first whole word, and how many whole words
/// follow.
fn split(offset: usize, bytes: usize) -> (usize, usize) {
    let head = (offset.wrapping_neg() % 4).min(bytes);
    (head, (bytes - head) / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    /// Memory of the test's for a `Mapped`.
    fn with(bytes: &mut [u32], f: impl FnOnce(&Mapped)) {
        let size = 4 * bytes.len();
        let base = NonNull::new(bytes.as_mut_ptr().cast()).expect("no null");
        // SAFETY: 1. `bytes` is borrowed for the call and used by nothing else. 2. Aligned, as u32.
        f(&unsafe { Mapped::new(base, size) });
    }

    proptest! {
        #[test]
        fn what_is_copied_in_comes_out(offset in 0usize..20, from in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut memory = [0x5555_5555; 30];
            with(&mut memory, |mapped| {
                mapped.copy_in(offset, &from);
                let mut all = vec![0; 120];
                mapped.copy_out(0, &mut all);
                let mut expected = vec![0x55; 120];
                expected[offset..offset + from.len()].copy_from_slice(&from);
                assert_eq!(all, expected);
                let mut part = vec![0; from.len()];
                mapped.copy_out(offset, &mut part);
                assert_eq!(part, from);
            });
        }
    }

    #[test]
    fn words_are_of_the_processor() {
        with(&mut [1, 2], |mapped| {
            assert_eq!(mapped.load(4), 2);
            mapped.store(4, 0x0403_0201);
            let mut bytes = [0; 4];
            mapped.copy_out(4, &mut bytes);
            assert_eq!(bytes, 0x0403_0201u32.to_ne_bytes());
            mapped.barrier();
        });
    }

    #[test]
    #[should_panic(expected = "2 bytes at 7 of 8")]
    fn nothing_past_the_end_is_read() {
        with(&mut [0; 2], |mapped| mapped.copy_out(7, &mut [0; 2]));
    }

    #[test]
    #[should_panic(expected = "of 8")]
    fn an_offset_that_wraps_is_past_the_end() {
        with(&mut [0; 2], |mapped| mapped.copy_in(usize::MAX - 1, &[0; 4]));
    }

    #[test]
    #[should_panic(expected = "a word at 2")]
    fn a_word_is_aligned() {
        with(&mut [0; 2], |mapped| mapped.store(2, 0));
    }
}

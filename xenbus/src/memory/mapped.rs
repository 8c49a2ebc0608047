//! Real pages, of a guest: mapped memory that other domains write.
//!
//! Words that order something are accessed atomically. Bytes are copied by an instruction of the
//! processor's that the compiler does not look into: each is moved once, and what that races with is
//! another domain, which the language does not know of.
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

// SAFETY: 1. All access is atomic, or by `copy`, and makes no reference.
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
        // SAFETY: 1. `at` checked the range; mapped (`new`). 2. `into` is of this length, and nothing
        // that is borrowed lies in shared memory.
        unsafe { copy(into.as_mut_ptr(), from, into.len()) };
    }

    fn copy_in(&self, offset: usize, from: &[u8]) {
        let into = self.at(offset, from.len());
        // SAFETY: as for `copy_out`.
        unsafe { copy(into, from.as_ptr(), from.len()) };
    }
}

/// Copies bytes, each once, though others may write them meanwhile.
///
/// # Safety
/// 1. Both are mapped, `count` bytes of each, and `into` is writable. 2. They do not overlap.
#[cfg(target_arch = "x86")]
unsafe fn copy(into: *mut u8, from: *const u8, count: usize) {
    // SAFETY: 1., 2. The caller's promises. 3. The direction flag is clear in Rust code, and esi, which
    // cannot be named as an operand, is as it was; no operand can be in it.
    unsafe {
        core::arch::asm!(
            "xchg esi, eax",
            "rep movsd",
            "mov ecx, edx",
            "rep movsb",
            "mov esi, eax",
            inout("eax") from => _,
            in("edx") count % 4,
            inout("ecx") count / 4 => _,
            inout("edi") into => _,
            options(nostack, preserves_flags),
        );
    }
}

/// The same where the machine is that of the tests.
///
/// # Safety
/// As above.
#[cfg(not(target_arch = "x86"))]
unsafe fn copy(into: *mut u8, from: *const u8, count: usize) {
    for i in 0..count {
        // SAFETY: 1., 2. The caller's promises; bytes of any value.
        unsafe { into.wrapping_add(i).write_volatile(from.wrapping_add(i).read_volatile()) };
    }
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

//! The program's arguments and environment.
#![allow(unsafe_code)] // UNSAFETY: they lie on the stack as C strings, where the kernel put them.

use core::ffi::CStr;

/// Arguments and environment, as the kernel laid them out at the top of the stack: argc, pointers
/// to the arguments, a null pointer, pointers to the environment, a null pointer.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Args(*const usize);

impl Args {
    /// # Safety
    /// `stack` is the stack pointer with which the kernel started the program.
    pub(crate) unsafe fn at(stack: *const usize) -> Self {
        Self(stack)
    }

    /// How many arguments there are, the program's name included.
    pub fn count(self) -> usize {
        // SAFETY: 1. `at`'s promise.
        unsafe { self.0.read() }
    }

    /// Argument `index`; 0 is the program's name. Not UTF-8: an empty string.
    pub fn get(self, index: usize) -> Option<&'static str> {
        (index < self.count()).then(|| self.string(1 + index)).flatten()
    }

    /// The arguments without the name.
    pub fn rest(self) -> impl Iterator<Item = &'static str> {
        (1..self.count()).filter_map(move |index| self.get(index))
    }

    /// Argument `index` as a number.
    pub fn number(self, index: usize) -> Option<u32> {
        self.get(index)?.parse().ok()
    }

    /// The environment: `NAME=value` each.
    pub fn environment(self) -> impl Iterator<Item = &'static str> {
        let first = self.count() + 2;
        (first..).map_while(move |index| self.string(index))
    }

    /// The string that word `index` of the layout points to; `None` for a null pointer.
    fn string(self, index: usize) -> Option<&'static str> {
        // SAFETY: 1. `at`'s promise; callers stop at the null pointers that end both lists.
        let pointer = unsafe { self.0.add(index).read() } as *const core::ffi::c_char;
        if pointer.is_null() {
            return None;
        }
        // SAFETY: 1. The kernel put a C string there, and nothing changes it.
        Some(unsafe { CStr::from_ptr(pointer) }.to_str().unwrap_or(""))
    }
}

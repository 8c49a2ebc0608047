//! Instructions that may fault, and where to continue if they do.
//!
//! Code that touches guest memory lists each such instruction in the section `.ex_table`, as
//! two 32-bit distances from the place where they stand: to the instruction, to its fix-up.
//! A fault in Ring 0 whose `rip` is listed continues at the fix-up with all registers as they
//! are; any other is a bug of the hypervisor's.
//!
//! In assembly (Intel syntax):
//!
//! ```text
//!     .pushsection .ex_table, "a", @progbits
//!     .long 2b - .
//!     .long 3f - .
//!     .popsection
//! ```

// UNSAFETY: a table that the linker puts together.
#![allow(unsafe_code)]

unsafe extern "C" {
    safe static __ex_table_start: u8;
    safe static __ex_table_end: u8;
}

/// Where to continue after a fault at `rip`, if that instruction is listed.
pub fn fixup(rip: u64) -> Option<u64> {
    let start = &raw const __ex_table_start as u64;
    let end = &raw const __ex_table_end as u64;
    let distance = |at: u64| {
        // SAFETY: 1. `at` is one of the section's 32-bit words, in read-only data. 2. The
        // section is 8-byte aligned and made of pairs of words.
        let offset = unsafe { *(at as *const i32) };
        at.wrapping_add_signed(offset.into())
    };
    (start..end).step_by(8).find(|&pair| distance(pair) == rip).map(|pair| distance(pair + 4))
}

//! Memory from the kernel, and accesses to any address for tests.
#![allow(unsafe_code)] // UNSAFETY: mappings and single accesses by address.

use crate::sys::{self, Result, nr};

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// `PROT_READ`.
pub const READ: usize = 1;
/// `PROT_WRITE`.
pub const WRITE: usize = 2;
/// `MAP_PRIVATE | MAP_ANONYMOUS`.
pub const ANONYMOUS: usize = 0x22;
/// `MAP_FIXED`.
pub const FIXED: usize = 0x10;

/// Maps this many new pages of zeroes, readable and writable.
pub fn map(pages: usize) -> Result<&'static mut [u8]> {
    let length = pages * PAGE;
    // SAFETY: 1. Without MAP_FIXED the kernel picks addresses that are not in use.
    let address =
        unsafe { sys::call(nr::MMAP2, &[0, length, READ | WRITE, ANONYMOUS, usize::MAX, 0]) }?;
    let start = core::ptr::with_exposed_provenance_mut(address);
    // SAFETY: 1. The mapping is new: nobody else refers to it; zeroes are bytes.
    Ok(unsafe { core::slice::from_raw_parts_mut(start, length) })
}

/// Maps pages at `address`, in place of what is there.
///
/// # Safety
/// Nothing that Rust relies on is there.
pub unsafe fn map_at(address: usize, length: usize, protection: usize) -> Result {
    let flags = ANONYMOUS | FIXED;
    // SAFETY: 1. The caller's promise.
    unsafe { sys::call(nr::MMAP2, &[address, length, protection, flags, usize::MAX, 0]) }
}

/// Unmaps pages.
///
/// # Safety
/// Nothing that Rust relies on is there.
pub unsafe fn unmap(address: usize, length: usize) -> Result {
    // SAFETY: 1. The caller's promise.
    unsafe { sys::call(nr::MUNMAP, &[address, length]) }
}

/// Reads the byte at `address`, whatever is there: at worst the process dies.
pub fn peek(address: usize) -> u8 {
    let value: u8;
    // SAFETY: 1. A read in assembly has no effect but a fault.
    unsafe {
        core::arch::asm!("mov {0}, [{1:e}]", out(reg_byte) value, in(reg) address,
            options(nostack, preserves_flags));
    }
    value
}

/// Writes the byte at `address`.
///
/// # Safety
/// Nothing that Rust relies on is there, or the process dies of it.
pub unsafe fn poke(address: usize, value: u8) {
    // SAFETY: 1. The caller's promise.
    unsafe {
        core::arch::asm!("mov [{1:e}], {0}", in(reg_byte) value, in(reg) address,
            options(nostack, preserves_flags));
    }
}

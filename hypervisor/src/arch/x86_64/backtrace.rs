//! Who called whom: the chain of frame pointers, with names where the image brought them.
//!
//! The build keeps frame pointers (`force-frame-pointers`), so `rbp` leads from each function
//! to its caller. The walk trusts nothing: it stays in the stack it started on, goes upwards
//! only, and ends after a fixed number of steps.

// UNSAFETY: reads the stack by address, and the symbol blob behind the image.
#![allow(unsafe_code)]

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use super::layout::{DIRECT_MAP, IMAGE_VIRT, STACK_SIZE};
use super::{image, serial};
use crate::machine::symbols::Symbols;

/// Most callers that are shown.
const DEPTH: usize = 24;

static BLOB_ADDRESS: AtomicU64 = AtomicU64::new(0);
static BLOB_SIZE: AtomicU64 = AtomicU64::new(0);

/// Tells where the symbol blob lies: `size` bytes at physical `address`.
///
/// # Safety
/// The range is RAM below 4 GiB that stays as it is for good.
pub unsafe fn set_symbols(address: u64, size: u64) {
    BLOB_ADDRESS.store(DIRECT_MAP + address, Ordering::Relaxed);
    BLOB_SIZE.store(size, Ordering::Release);
}

fn symbols() -> Option<Symbols<'static>> {
    let size = BLOB_SIZE.load(Ordering::Acquire) as usize;
    if size == 0 {
        return None;
    }
    let address = BLOB_ADDRESS.load(Ordering::Relaxed) as *const u8;
    // SAFETY: `set_symbols`' caller promised memory that nobody changes.
    Symbols::new(unsafe { core::slice::from_raw_parts(address, size) })
}

/// An address of code, shown with the function it is in.
pub struct Code(pub u64);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_code(f, self.0, 0)
    }
}

/// A return address, shown with the function that made the call. That may be the last thing
/// in it, so the address is looked up by the byte before.
struct Return(u64);

impl fmt::Display for Return {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_code(f, self.0, 1)
    }
}

fn write_code(f: &mut fmt::Formatter<'_>, address: u64, back: u32) -> fmt::Result {
    write!(f, "{address:#018x}")?;
    let inside = image::text().contains(&address).then(|| address - IMAGE_VIRT);
    let offset = inside.and_then(|offset| u32::try_from(offset).ok()?.checked_sub(back));
    match offset.and_then(|offset| symbols()?.lookup(offset)) {
        Some((name, offset)) => write!(f, " {name}+{:#x}", offset + back),
        None => Ok(()),
    }
}

/// Prints the callers from the frame at `rbp` on, one a line.
pub fn print(mut rbp: u64) {
    let block = rbp & !(STACK_SIZE - 1);
    let end = block + STACK_SIZE;
    for _ in 0..DEPTH {
        // The word above the frame pointer is the return address.
        if !rbp.is_multiple_of(8) || rbp < block || rbp + 16 > end {
            return;
        }
        // SAFETY: 1. The address is aligned and between a live frame pointer of this stack
        // and the end of the aligned block that holds the stack, all of which is mapped.
        let [next, return_address] = unsafe { *(rbp as *const [u64; 2]) };
        if !image::text().contains(&return_address) {
            return;
        }
        serial::write_fmt(format_args!("    {}\n", Return(return_address)));
        if next <= rbp {
            return;
        }
        rbp = next;
    }
}

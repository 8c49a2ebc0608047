//! A page through which registers of any device in memory can be reached.
//!
//! The hypervisor's own devices have mappings for good (`address_space::map_mmio`). Domain 0's
//! do not: now and then an MSI-X table has to be written, which this page shows for as long
//! as that takes.

// UNSAFETY: device registers.
#![allow(unsafe_code)]

use spin::Mutex;

use super::address_space::{self, idle_root};
use super::early::EarlyMemory;
use super::layout::PAGE_SIZE;
use super::paging::{Pte, Root};

/// Where the page is. The lock, a leaf, is held by whoever looks through it.
static PAGE: Mutex<Option<u64>> = Mutex::new(None);

/// Reserves the page.
///
/// # Safety
/// As for [`address_space::map_mmio`].
pub unsafe fn create(root: Root, early: &mut EarlyMemory) {
    // SAFETY: the caller's duty.
    *PAGE.lock() = Some(unsafe { address_space::reserve_mmio_page(root, early) });
}

/// Calls `access` with where the register at physical `address` is mapped.
fn through<T>(address: u64, access: impl FnOnce(u64) -> T) -> Option<T> {
    let page = PAGE.lock();
    let (at, root) = ((*page)?, idle_root()?);
    let offset = address % PAGE_SIZE;
    // SAFETY: 1. The page is nobody else's while the lock is held, and means nothing otherwise.
    //         2. Another CPU may have cached what it last showed there; it calls this, which
    //            flushes, before it uses the page again.
    let outcome =
        unsafe { root.set_page(at, address - offset, Pte::DEVICE).then(|| access(at + offset)) };
    // SAFETY: as above.
    unsafe { root.set_page(at, 0, Pte::empty()) };
    outcome
}

/// Reads the four bytes at physical `address`, a multiple of 4 and no RAM.
pub fn read(address: u64) -> u32 {
    // SAFETY: 1. Mapped (`through`), aligned (caller). What a read does there is the device's
    //            and the caller's affair.
    through(address, |at| unsafe { (at as *const u32).read_volatile() }).unwrap_or(!0)
}

/// Writes the four bytes at physical `address`, a multiple of 4 and no RAM.
pub fn write(address: u64, value: u32) {
    // SAFETY: as in `read`.
    through(address, |at| unsafe { (at as *mut u32).write_volatile(value) });
}

//! Per-vCPU windows: where a vCPU's GDT and LDT appear in the hypervisor's address space.
//!
//! Descriptor tables must lie at fixed linear addresses while their frames are the guest's, so
//! each vCPU has a window of 256 KiB, by index: 16 pages of GDT (0 to 13 the guest's frames,
//! 14 the hypervisor's of the CPU that runs it, 15 absent), then 16 pages of LDT. All address
//! spaces share the tables below the slot.
//!
//! The entries are writable, because the CPU sets the accessed bit of a descriptor when it
//! loads it; nothing else writes through them. That the frames hold only checked descriptors
//! is `mm`'s business (type *descriptor*).

// UNSAFETY: changes mappings.
#![allow(unsafe_code)]

use super::address_space::idle_root;
use super::gdt::{GuestKind, ReservedPages};
use super::layout::{
    PAGE_SHIFT, PAGE_SIZE, RESERVED_GDT_BYTE, VCPU_WINDOWS, WINDOW_LDT_OFFSET, WINDOW_STRIDE,
};
use super::paging::Pte;
use spin::Mutex;

/// Most windows there can be.
pub const MAX_WINDOWS: u32 = 0x1_0000;
/// Pages of a guest's GDT.
pub const GDT_PAGES: u8 = (RESERVED_GDT_BYTE >> PAGE_SHIFT) as u8;
/// Pages of a guest's LDT: 8192 descriptors.
pub const LDT_PAGES: u8 = 16;

/// Guards the making of page tables, which windows share.
static GROWING: Mutex<()> = Mutex::new(());

/// A page of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowPage {
    /// Page 0 to 13 of the GDT.
    Gdt(u8),
    /// The hypervisor's page of the GDT.
    Reserved,
    /// Page 0 to 15 of the LDT.
    Ldt(u8),
}

impl WindowPage {
    /// Its offset in the window; `None` for a page that does not exist.
    fn offset(self) -> Option<u64> {
        match self {
            Self::Gdt(page) => (page < GDT_PAGES).then_some(u64::from(page) * PAGE_SIZE),
            Self::Reserved => Some(RESERVED_GDT_BYTE),
            Self::Ldt(page) => {
                (page < LDT_PAGES).then_some(WINDOW_LDT_OFFSET + u64::from(page) * PAGE_SIZE)
            }
        }
    }
}

/// Virtual address of window `window`: the base of its GDT.
pub const fn base(window: u32) -> u64 {
    VCPU_WINDOWS + window as u64 * WINDOW_STRIDE
}

/// The window does not exist, or there was no memory for its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoWindow;

/// Makes the page tables of window `window`; `take` supplies zeroed frames (physical
/// addresses), or `None`. Tables are never given back: the next vCPU of that index has them.
///
/// # Safety
/// What `take` supplies becomes page tables for good.
pub unsafe fn create(window: u32, take: &mut dyn FnMut() -> Option<u64>) -> Result<(), NoWindow> {
    let root = idle_root().filter(|_| window < MAX_WINDOWS).ok_or(NoWindow)?;
    let _growing = GROWING.lock();
    // All that is missing is fetched first, which keeps the walk from failing half-way.
    let missing = root.missing_tables(base(window));
    let mut spare: heapless::Vec<u64, 3> = heapless::Vec::new();
    for _ in 0..missing {
        spare.push(take().ok_or(NoWindow)?).map_err(|_| NoWindow)?;
    }
    if missing > 0 {
        let mut next = || spare.pop().unwrap_or(0);
        // SAFETY: 1. The pages are zeroed and ours (caller). 2. There is one for each missing
        // table, so the zero, which is no table's address, is never taken.
        unsafe { root.prepare(base(window), &mut next) };
    }
    Ok(())
}

/// Maps the frame at physical `physical`, or nothing, at a page of a window; drops this CPU's
/// cached translation. Other CPUs have none: a window is used by the CPU that runs its vCPU,
/// and the old translation goes when the vCPU moves (CR3 is loaded).
///
/// # Safety
/// 1. The frame, for guest pages, holds checked descriptors and cannot be written by a guest;
///    for the reserved page, it is a CPU's own.
/// 2. No other CPU runs the window's vCPU.
pub unsafe fn set_page(
    window: u32,
    page: WindowPage,
    physical: Option<u64>,
) -> Result<(), NoWindow> {
    let root = idle_root().filter(|_| window < MAX_WINDOWS).ok_or(NoWindow)?;
    let address = base(window) + page.offset().ok_or(NoWindow)?;
    let (physical, rights) = match physical {
        Some(physical) => (physical, Pte::DATA),
        None => (0, Pte::empty()),
    };
    // SAFETY: the caller's duties; the address is in the window alone.
    let done = unsafe { root.set_page(address, physical, rights) };
    if done { Ok(()) } else { Err(NoWindow) }
}

/// Maps this CPU's reserved page for guests of `kind` into a window.
///
/// # Safety
/// `pages` are those of the CPU that runs, or is about to run, the window's vCPU.
pub unsafe fn set_reserved_page(
    window: u32,
    pages: &ReservedPages,
    kind: GuestKind,
) -> Result<(), NoWindow> {
    let physical = match kind {
        GuestKind::Pv32 => pages.pv32,
        GuestKind::Pv64 => pages.pv64,
    };
    // SAFETY: the caller's duty.
    unsafe { set_page(window, WindowPage::Reserved, Some(physical)) }
}

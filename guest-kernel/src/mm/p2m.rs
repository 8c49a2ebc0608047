//! From pseudo-physical frames to machine frames and back, and to the addresses they are mapped at.
#![allow(unsafe_code)] // UNSAFETY: reads the p2m list and the M2P table, which others lay out.

use super::PAGE;
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::types::{Mfn, Pfn};
use ring1::abi::StartInfo;
use ring1::calls;
use ring1::entry::VIRT_BASE;

static P2M: AtomicU32 = AtomicU32::new(0);
static PAGES: AtomicU32 = AtomicU32::new(0);
static M2P: AtomicU32 = AtomicU32::new(0);
static M2P_ENTRIES: AtomicU32 = AtomicU32::new(0);

/// Notes where the two tables are.
pub(super) fn init(start_info: &StartInfo) {
    P2M.store(start_info.mfn_list, Ordering::Relaxed);
    PAGES.store(start_info.nr_pages, Ordering::Relaxed);
    let (start, entries) = match calls::machphys_mapping() {
        Ok(mapping) => (mapping.v_start, mapping.max_mfn.saturating_add(1)),
        Err(_) => (pv_abi::x86_32::MACH2PHYS_VIRT_START, pv_abi::x86_32::MACH2PHYS_NR_ENTRIES),
    };
    M2P.store(start, Ordering::Relaxed);
    M2P_ENTRIES.store(entries, Ordering::Relaxed);
}

/// The machine frame behind a frame of ours.
pub fn mfn(pfn: Pfn) -> Mfn {
    let index = pfn.raw() as usize;
    assert!(index < PAGES.load(Ordering::Relaxed) as usize, "{pfn} is beyond the domain");
    let list: *const u32 = core::ptr::with_exposed_provenance(P2M.load(Ordering::Relaxed) as usize);
    // SAFETY: 1. The builder's list has `nr_pages` entries; it is kept mapped.
    Mfn::new(u64::from(unsafe { *list.add(index) }))
}

/// Notes which machine frame is behind a frame of ours from now on, if any.
pub(super) fn set(pfn: Pfn, machine: Option<Mfn>) {
    let index = pfn.raw() as usize;
    assert!(index < PAGES.load(Ordering::Relaxed) as usize, "{pfn} is beyond the domain");
    let list: *mut u32 =
        core::ptr::with_exposed_provenance_mut(P2M.load(Ordering::Relaxed) as usize);
    let entry = machine.map_or(u32::MAX, |mfn| mfn.raw() as u32);
    // SAFETY: 1. The builder's list has `nr_pages` entries and is mapped writable. 2. Nothing but this
    // module reaches it, and never by reference.
    unsafe { list.add(index).write_volatile(entry) }
}

/// The frame of ours in a machine frame, if it is one.
pub fn pfn(machine: Mfn) -> Option<Pfn> {
    let index = machine.raw();
    if index >= u64::from(M2P_ENTRIES.load(Ordering::Relaxed)) {
        return None;
    }
    let table: *const u32 =
        core::ptr::with_exposed_provenance(M2P.load(Ordering::Relaxed) as usize);
    // SAFETY: 1. The index is within the table. 2. Volatile: the hypervisor owns it.
    let found = unsafe { table.add(index as usize).read_volatile() };
    let candidate = Pfn::new(u64::from(found));
    // Entries of frames that are not ours hold anything.
    (found < PAGES.load(Ordering::Relaxed) && mfn(candidate) == machine).then_some(candidate)
}

/// The address of a frame in the map of all frames.
pub fn address(pfn: Pfn) -> u32 {
    VIRT_BASE + pfn.raw() as u32 * PAGE
}

/// The frame at an address in the map of all frames.
pub fn frame_at(address: u32) -> Pfn {
    Pfn::new(u64::from((address - VIRT_BASE) / PAGE))
}

/// Pointer to a frame's bytes.
pub fn pointer<T>(pfn: Pfn) -> *mut T {
    core::ptr::with_exposed_provenance_mut(address(pfn) as usize)
}

/// Lends the bytes of a frame that the caller owns.
pub fn with_bytes<R>(pfn: Pfn, f: impl FnOnce(&mut [u8; PAGE as usize]) -> R) -> R {
    // SAFETY: 1. The frame is allocated, the caller's alone, and mapped at its address.
    f(unsafe { &mut *pointer::<[u8; PAGE as usize]>(pfn) })
}

//! The hypervisor's address space, put together: image, direct map, big tables, devices, CPUs.
//!
//! The result is the idle root: what a CPU runs on when it runs no guest, and the pattern for
//! every vCPU's L4. Its lower half is empty, so a null pointer faults in Ring 0.

// UNSAFETY: decides what memory means.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use super::early::EarlyMemory;
use super::image;
use super::layout::{
    CPU_AREAS, DIRECT_MAP, DIRECT_MAP_SIZE, HYPERVISOR_SLOTS, IMAGE_VIRT, MMIO, PAGE_SIZE,
    VCPU_WINDOWS,
};
use super::paging::{Pte, Root, Table};
use crate::machine::ranges::RamRanges;

/// Physical address of the idle root; zero until [`create`].
static IDLE_ROOT: AtomicU64 = AtomicU64::new(0);
/// Bytes of the MMIO region that are given away.
static MMIO_USED: AtomicU64 = AtomicU64::new(0);

/// Builds the idle root for a machine with `ram`, but for the tables of `tables::create` and
/// the CPU areas.
///
/// # Safety
/// 1. The boot page tables are loaded. 2. `ram` is RAM. 3. Called once.
pub unsafe fn create(early: &mut EarlyMemory, ram: &RamRanges) -> Root {
    let mut page = || early.page();
    // SAFETY: 1. `early.page` yields zeroed pages that stay taken. 2. Nothing is mapped yet;
    // each mapping below is the one place that decides its range.
    let root = unsafe { Root::new(&mut page) };
    map_image(root, &mut page);
    map_ram(root, ram, &mut page);
    for address in [VCPU_WINDOWS, MMIO, CPU_AREAS] {
        // SAFETY: as above.
        unsafe { root.prepare_slot(address, Pte::empty(), &mut page) };
    }
    IDLE_ROOT.store(root.address(), Ordering::Release);
    root
}

/// The image at its link address, each part with the rights it needs.
fn map_image(root: Root, page: &mut dyn FnMut() -> u64) {
    let parts =
        [(image::text(), Pte::CODE), (image::rodata(), Pte::CONSTANT), (image::data(), Pte::DATA)];
    for (part, rights) in parts {
        let (physical, size) = (part.start - IMAGE_VIRT, part.end - part.start);
        // SAFETY: 1. As in `create`. 2. The part is where the linker and loader put it, with
        // the rights that its sections declare.
        unsafe { root.map(part.start, physical, size, rights, page) };
    }
}

/// All RAM at `DIRECT_MAP`, writable but for the image's code and constants.
fn map_ram(root: Root, ram: &RamRanges, page: &mut dyn FnMut() -> u64) {
    let image = image::physical();
    let constant_end = image::data().start - IMAGE_VIRT;
    let mut writable = ram.clone();
    writable.remove(image.start, constant_end);
    writable.remove(DIRECT_MAP_SIZE, u64::MAX);
    for range in writable.as_slice() {
        // SAFETY: 1. As in `create`. 2. RAM is plain memory; what the image's other parts are
        // is in `data`, writable anyway.
        unsafe { root.map(DIRECT_MAP + range.start, range.start, range.size(), Pte::DATA, page) };
    }
    let (start, size) = (image.start, constant_end - image.start);
    // SAFETY: as above; read-only is what both parts allow.
    unsafe { root.map(DIRECT_MAP + start, start, size, Pte::CONSTANT, page) };
}

/// Maps `size` bytes of device registers at physical `physical`, uncached; returns where.
///
/// # Safety
/// 1. Before other CPUs run, and while `early` is the one allocator.
/// 2. There are device registers there.
pub unsafe fn map_mmio(root: Root, early: &mut EarlyMemory, physical: u64, size: u64) -> u64 {
    let offset = physical % PAGE_SIZE;
    let pages = (offset + size).next_multiple_of(PAGE_SIZE);
    let address = MMIO + MMIO_USED.fetch_add(pages, Ordering::Relaxed);
    // SAFETY: 1. As in `create`. 2. The address was unused until now. 3. Device registers:
    // caller's duty.
    unsafe { root.map(address, physical - offset, pages, Pte::DEVICE, &mut || early.page()) };
    address + offset
}

/// Reserves a page of the device region, with its tables, that maps nothing yet; returns where.
///
/// # Safety
/// As for [`map_mmio`].
pub unsafe fn reserve_mmio_page(root: Root, early: &mut EarlyMemory) -> u64 {
    let address = MMIO + MMIO_USED.fetch_add(PAGE_SIZE, Ordering::Relaxed);
    // SAFETY: 1. As in `create`. 2. The address was unused until now.
    unsafe { root.prepare(address, &mut || early.page()) };
    address
}

/// The idle root, once there is one.
pub fn idle_root() -> Option<Root> {
    let address = IDLE_ROOT.load(Ordering::Acquire);
    // SAFETY: `create` stored the address of the root it made, which is never freed.
    (address != 0).then(|| unsafe { Root::at(address) })
}

/// Puts the hypervisor's slots into another L4, leaving the guest's slots alone.
///
/// What lies below the slots is shared, so later changes there show in every address space.
pub fn copy_hypervisor_slots(to: &Table) {
    let Some(root) = idle_root() else { return };
    for (slot, entry) in root.entries().iter().enumerate() {
        if HYPERVISOR_SLOTS.contains(&slot)
            && let Some(target) = to.get(slot)
        {
            target.store(entry.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

//! Memory: pseudo-physical frames, page tables that belong to the hypervisor's rules, user memory.
//!
//! # The map
//!
//! ```text
//! 0xF580_0000 .. end          hypervisor: M2P table, read-only
//! 0xC000_0000 .. 0xF580_0000  unused (L3 slot 3: its L2 is exclusive to one L3)
//! 0xB800_0000 .. 0xC000_0000  kernel stacks, each with an unmapped page below   (stacks)
//! 0xB7C0_0000 .. 0xB800_0000  registers of devices, the grant table             (window)
//! 0xB740_0000 .. 0xB7C0_0000  frames of other domains                           (foreign)
//! 0xB640_0000 .. 0xB740_0000  pages that domains share by grants                (crate::grant)
//! 0xB000_0000 .. 0xB640_0000  kernel heap                                       (window)
//! 0x8000_0000 .. 0xB000_0000  the domain's frames in order: address = 0x8000_0000 + pfn * 4096
//! 0x0000_1000 .. 0x8000_0000  the process: program, heap, mappings, stack at the top
//! ```
//!
//! The kernel's gigabyte is L3 slot 2: one L2, shared by every address space, so that a change there
//! is seen in all. An address space adds an L3, an (empty) L2 for slot 3, and L2s and L1s for what
//! the process uses.
//!
//! # The rules that page tables live by
//!
//! A table holds *machine* frames, found through the p2m list; the way back from an entry to a page
//! of ours is the M2P table ([`p2m`]). A frame that is a page table may be mapped read-only only:
//! its alias in the map above loses its write permission before it is linked into a tree, and gets
//! it back after it left. From then on entries change by `mmu_update` and `update_va_mapping`
//! alone. The upper levels of a tree are built while their pages are still plain memory and *pinned* at
//! the L3, once ([`skeleton`]); an L1 is linked below them when it is complete ([`space`]).
//!
//! # Frames
//!
//! [`frames`] knows each frame's use and reference count. The builder maps only the first few
//! MiB; the rest is mapped 2 MiB at a time when the allocator reaches it ([`direct`]), so a start
//! costs no more for a big domain than for a small one.

pub mod balloon;
pub mod direct;
pub mod fault;
pub mod foreign;
pub mod frames;
pub mod p2m;
pub mod range;
pub mod skeleton;
pub mod space;
pub mod stacks;
pub mod table;
pub mod window;

use ring1::abi::StartInfo;
use ring1::entry;

/// Bytes of a page.
pub const PAGE: u32 = 4096;

/// Takes over the domain's memory from what the builder left. First thing in the kernel.
pub fn init(start_info: &'static StartInfo) {
    p2m::init(start_info);
    table::init(start_info);
    frames::init(start_info);
    direct::protect_image();
    window::init();
    // As below all other stacks.
    table::set_va(entry::boot_stack_guard(), 0);
}

/// What the builder laid out at `address`, which stays there for good.
#[allow(unsafe_code)] // UNSAFETY: turns an address from the builder into a slice.
pub fn boot_bytes(address: u32, length: u32) -> &'static [u8] {
    // SAFETY: 1. The builder mapped `length` bytes there; `frames` keeps them as boot frames.
    // 2. Nothing writes to them.
    unsafe {
        core::slice::from_raw_parts(
            core::ptr::with_exposed_provenance(address as usize),
            length as usize,
        )
    }
}

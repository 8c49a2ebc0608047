//! The hypervisor's address space on one page.
//!
//! A 64-bit PV guest owns every virtual address except L4 slots 256 to 271, so all of the
//! hypervisor lives there, in every address space, at fixed addresses. The lower half and the
//! slots above are empty in the hypervisor's own (idle) table.
//!
//! ```text
//! slot  address                 what                                     rights
//! 256   0xffff_8000_0000_0000   M2P64: 8 bytes per frame, guest window   read-only to pv64 guests
//! 257   0xffff_8080_0000_0000   (free)
//! 258   0xffff_8100_0000_0000   VCPU_WINDOWS: GDT and LDT per vCPU       RW NX
//! 259   0xffff_8180_0000_0000   FRAME_TABLE: 16 bytes per frame          RW NX
//!       0xffff_8190_0000_0000   M2P64_RW: the writable alias             RW NX
//!       0xffff_81a0_0000_0000   M2P32_RW: the 4-byte table, writable     RW NX
//! 260   0xffff_8200_0000_0000   IMAGE_VIRT: physical 0 of the image;     text R-X, rodata R NX,
//!         + 0x10_0000             linked and loaded 1 MiB above          data RW NX
//! 261   0xffff_8280_0000_0000   MMIO: device registers, uncached         RW NX
//!       0xffff_8290_0000_0000   CPU_AREAS: stacks, idle GDT, TSS         RW NX
//! 262   0xffff_8300_0000_0000   DIRECT_MAP: all RAM, to slot 271         RW NX
//! 271   0xffff_87ff_ffff_ffff     (5 TiB of physical addresses)
//! ```
//!
//! The 4-byte M2P has a second, read-only window below 4 GiB in pv32 address spaces; `mm`
//! places it, from the same frames.
//!
//! One CPU area is 256 KiB, 128 KiB-aligned stacks first:
//!
//! ```text
//! +0x00000  guard (unmapped)
//! +0x01000  #DF stack (8 KiB)    +0x03000  NMI stack (8 KiB)
//! +0x05000  #MC stack (8 KiB)    +0x07000  #DB stack (8 KiB)
//! +0x09000  guard (unmapped)
//! +0x0a000  unmapped
//! +0x10000  the CPU's stack (64 KiB), `CpuInfo` at its very top, ending at
//! +0x20000  idle GDT window: only page 14 (+0x2e000) is mapped
//! +0x2f000  TSS
//! ```
//!
//! All stacks of a CPU lie in one aligned `STACK_SIZE` block, so masking any stack pointer
//! finds `CpuInfo`, on the NMI stack too.

/// Bytes in a page.
pub const PAGE_SIZE: u64 = 4096;
/// Bits of a byte offset in a page.
pub const PAGE_SHIFT: u32 = 12;
/// Bytes that one L4 slot covers.
pub const L4_SLOT_SIZE: u64 = 1 << 39;
/// The L4 slots that are the hypervisor's in every address space.
pub const HYPERVISOR_SLOTS: core::ops::RangeInclusive<usize> = 256..=271;

/// Guest-readable machine-to-physical table, 8 bytes per frame (`MACH2PHYS_VIRT_START`).
pub const M2P64: u64 = 0xffff_8000_0000_0000;
/// First per-vCPU window: GDT at +0, LDT at +`WINDOW_LDT_OFFSET`.
pub const VCPU_WINDOWS: u64 = 0xffff_8100_0000_0000;
/// Distance of two vCPUs' windows.
pub const WINDOW_STRIDE: u64 = 0x4_0000;
/// The LDT's place in a vCPU's window.
pub const WINDOW_LDT_OFFSET: u64 = 0x1_0000;
/// The frame table, indexed by machine frame number.
pub const FRAME_TABLE: u64 = 0xffff_8180_0000_0000;
/// Bytes per frame-table entry.
pub const FRAME_ENTRY_SIZE: u64 = 16;
/// Writable alias of the 8-byte machine-to-physical table.
pub const M2P64_RW: u64 = 0xffff_8190_0000_0000;
/// The 4-byte machine-to-physical table, writable.
pub const M2P32_RW: u64 = 0xffff_81a0_0000_0000;
/// Virtual address of physical 0 as the image is linked.
pub const IMAGE_VIRT: u64 = 0xffff_8200_0000_0000;
/// Device registers.
pub const MMIO: u64 = 0xffff_8280_0000_0000;
/// First CPU area.
pub const CPU_AREAS: u64 = 0xffff_8290_0000_0000;
/// All of RAM, at its physical address plus this.
pub const DIRECT_MAP: u64 = 0xffff_8300_0000_0000;
/// Bytes of physical address space that the direct map can hold.
pub const DIRECT_MAP_SIZE: u64 = 10 * L4_SLOT_SIZE;

/// Distance of two CPUs' areas.
pub const CPU_AREA_STRIDE: u64 = 0x4_0000;
/// Size and alignment of a CPU's block of stacks: `rsp & !(STACK_SIZE - 1)` is its start.
pub const STACK_SIZE: u64 = 0x2_0000;
/// Where the CPU's ordinary stack begins in its block; a guard page lies below.
pub const STACK_BOTTOM: u64 = 0x1_0000;
/// First mapped byte of the interrupt stacks; a guard page lies below.
pub const IST_BOTTOM: u64 = 0x1000;
/// Bytes of each interrupt stack.
pub const IST_SIZE: u64 = 0x2000;
/// Where the idle GDT window begins in a CPU area.
pub const IDLE_GDT_OFFSET: u64 = 0x2_0000;
/// Where the TSS lies in a CPU area.
pub const TSS_OFFSET: u64 = 0x2_f000;
/// First byte of the GDT that is the hypervisor's (`FIRST_RESERVED_GDT_BYTE`): page 14.
pub const RESERVED_GDT_BYTE: u64 = 0xe000;
/// Limit of every GDT: pages 0 to 14.
pub const GDT_LIMIT: u16 = 0xefff;

/// The most CPUs that are brought up.
pub const MAX_CPUS: usize = 32;

/// Lowest address of a CPU's area, which is the base of its block of stacks.
pub const fn cpu_area(cpu: usize) -> u64 {
    CPU_AREAS + cpu as u64 * CPU_AREA_STRIDE
}

const _: () = {
    assert!(CPU_AREAS.is_multiple_of(STACK_SIZE) && CPU_AREA_STRIDE.is_multiple_of(STACK_SIZE));
    assert!(IST_BOTTOM + 4 * IST_SIZE + PAGE_SIZE <= STACK_BOTTOM);
    assert!(slot(M2P64) == *HYPERVISOR_SLOTS.start());
    assert!(slot(DIRECT_MAP + DIRECT_MAP_SIZE - 1) == *HYPERVISOR_SLOTS.end());
};

/// The L4 slot of a virtual address.
pub const fn slot(address: u64) -> usize {
    ((address >> 39) & 0x1ff) as usize
}

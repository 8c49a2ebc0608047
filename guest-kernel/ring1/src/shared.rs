//! The shared info page: what hypervisor and guest tell each other without a call.
//!
//! The hypervisor writes it at any time, so every access is volatile or atomic and no reference to
//! it exists. It is mapped over a page of the image, whose address the trap stubs know.
#![allow(unsafe_code)] // UNSAFETY: memory shared with the hypervisor is reached by raw pointer.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU32};
use pv_abi::x86_32::{ArchSharedInfo, ArchVcpuInfo, SharedInfo, VcpuInfo, VcpuTimeInfo};

/// Offset of vCPU 0's `evtchn_upcall_pending` in the page.
pub const UPCALL_PENDING_OFFSET: usize =
    offset_of!(SharedInfo, vcpu_info) + offset_of!(VcpuInfo, evtchn_upcall_pending);
/// Offset of vCPU 0's `arch.cr2` in the page: the address of the last page fault. The trap stub reads
/// it (`TrapFrame::address`); later it may be another fault's.
pub const CR2_OFFSET: usize =
    offset_of!(SharedInfo, vcpu_info) + offset_of!(VcpuInfo, arch) + offset_of!(ArchVcpuInfo, cr2);
/// Offset of vCPU 0's `evtchn_upcall_mask` in the page.
pub const UPCALL_MASK_OFFSET: usize =
    offset_of!(SharedInfo, vcpu_info) + offset_of!(VcpuInfo, evtchn_upcall_mask);

/// Event channel ports that the 2-level protocol has at this width: 32 words of 32.
pub const PORTS: u32 = 1024;

/// Maps the frame at `machine_address` (`start_info.shared_info`) where this module looks.
pub(crate) fn map(machine_address: u32) {
    let pte = u64::from(machine_address) | 0x63; // accessed, dirty, writable, present
    // SAFETY: 1. The page at that address is reserved for this by the entry module and used by
    // nothing else.
    let result = unsafe {
        crate::calls::update_va_mapping(
            crate::entry::shared_info_address(),
            pte,
            pv_abi::mmu::UVMF_INVLPG,
        )
    };
    if let Err(errno) = result {
        panic!("cannot map the shared info page: {errno:?}");
    }
}

fn at<T>(offset: usize) -> *const T {
    core::ptr::with_exposed_provenance(crate::entry::shared_info_address() as usize + offset)
}

/// vCPU 0's `evtchn_upcall_pending`.
pub fn upcall_pending() -> &'static AtomicU8 {
    // SAFETY: 1. Mapped writable for good by `map` (before: a page of the image). 2. Both sides
    // access it atomically.
    unsafe { &*at(UPCALL_PENDING_OFFSET) }
}

/// vCPU 0's `evtchn_upcall_mask`.
pub fn upcall_mask() -> &'static AtomicU8 {
    // SAFETY: as in `upcall_pending`.
    unsafe { &*at(UPCALL_MASK_OFFSET) }
}

/// vCPU 0's `evtchn_pending_sel`: words of [`pending`] to look at.
pub fn pending_sel() -> &'static AtomicU32 {
    // SAFETY: as in `upcall_pending`; the field is aligned.
    unsafe { &*at(offset_of!(SharedInfo, vcpu_info) + offset_of!(VcpuInfo, evtchn_pending_sel)) }
}

/// Word `word` (0 to 31) of the pending bits: bit *b* is port `word * 32 + b`.
pub fn pending(word: usize) -> &'static AtomicU32 {
    // SAFETY: as in `upcall_pending`; the index is reduced to the array's length.
    unsafe { &*at(offset_of!(SharedInfo, evtchn_pending) + 4 * (word % 32)) }
}

/// Word `word` (0 to 31) of the mask bits.
pub fn mask(word: usize) -> &'static AtomicU32 {
    // SAFETY: as in `pending`.
    unsafe { &*at(offset_of!(SharedInfo, evtchn_mask) + 4 * (word % 32)) }
}

/// The address of the last page fault of the vCPU, whoever's it was. A handler takes
/// `TrapFrame::address` instead.
pub fn cr2() -> u32 {
    // SAFETY: 1. Mapped; aligned. 2. Volatile: the hypervisor writes it.
    unsafe { at::<u32>(CR2_OFFSET).read_volatile() }
}

/// vCPU 0's clock parameters, consistent: read again while the hypervisor was changing them.
pub fn vcpu_time() -> VcpuTimeInfo {
    let offset = offset_of!(SharedInfo, vcpu_info) + offset_of!(VcpuInfo, time);
    let version = at::<AtomicU32>(offset + offset_of!(VcpuTimeInfo, version));
    consistent(version, at::<VcpuTimeInfo>(offset))
}

/// Time of day at system time 0: seconds and nanoseconds since 1970.
pub fn wall_clock() -> (u64, u32) {
    let version = at::<AtomicU32>(offset_of!(SharedInfo, wc_version));
    // Version, seconds and nanoseconds stand side by side; the upper half of the seconds elsewhere.
    let [_, low, nanoseconds] =
        consistent(version, at::<[u32; 3]>(offset_of!(SharedInfo, wc_version)));
    let high_offset = offset_of!(SharedInfo, arch) + offset_of!(ArchSharedInfo, wc_sec_hi);
    // SAFETY: 1. Mapped; aligned. 2. Volatile.
    let high = unsafe { at::<u32>(high_offset).read_volatile() };
    ((u64::from(high) << 32) | u64::from(low), nanoseconds)
}

fn consistent<T>(version: *const AtomicU32, value: *const T) -> T {
    use core::sync::atomic::Ordering;
    loop {
        // SAFETY: 1. Both pointers come from `at` with offsets of fields: mapped and aligned.
        // 2. An odd or changed version means a torn value, which is dropped; the types read are
        // valid for any bytes.
        let (before, result, after) = unsafe {
            let before = (*version).load(Ordering::Acquire);
            let result = value.read_volatile();
            core::sync::atomic::fence(Ordering::Acquire);
            (before, result, (*version).load(Ordering::Relaxed))
        };
        if before & 1 == 0 && before == after {
            return result;
        }
        core::hint::spin_loop();
    }
}

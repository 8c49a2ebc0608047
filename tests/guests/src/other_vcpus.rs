//! vCPUs beside the first that take upcalls: their start, and what they see of their own.
#![allow(unsafe_code)] // UNSAFETY: memory shared with the hypervisor.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use guest_kernel::arch::{abi, calls, entry};
use pv_abi::types::VcpuId;
use pv_abi::vcpu::{VCPUOP_INITIALISE, VCPUOP_UP};

use crate::vcpus;

/// vCPUs beside the first that there are stacks for.
pub const OTHERS: usize = vcpus::MAX - 1;

/// Starts vCPU `vcpu` (1 to [`OTHERS`]) at `entry`, with the builder's page tables, upcalls
/// masked, and `upcall` as its event callback. It has no trap handlers.
pub fn start(vcpu: u32, entry: extern "C" fn() -> !, upcall: extern "C" fn()) -> calls::Result {
    let mut context = vcpus::context(vcpu, entry);
    context.event_callback_cs = abi::FLAT_RING1_CS.into();
    context.event_callback_eip = upcall as *const () as u32;
    context.failsafe_callback_cs = abi::FLAT_RING1_CS.into();
    context.failsafe_callback_eip = upcall as *const () as u32;
    upcall_mask(vcpu).store(1, Ordering::SeqCst);
    let id = VcpuId::new(vcpu);
    calls::vcpu_op_with(VCPUOP_INITIALISE, id, &mut context)?;
    calls::vcpu_op(VCPUOP_UP, id).map(|_| ())
}

fn at<T>(vcpu: u32, offset: usize) -> *const T {
    let info = offset_of!(abi::SharedInfo, vcpu_info) + vcpu as usize * size_of::<abi::VcpuInfo>();
    core::ptr::with_exposed_provenance(entry::shared_info_address() as usize + info + offset)
}

/// A byte of a vCPU's `vcpu_info` in the shared page.
pub fn byte(vcpu: u32, offset: usize) -> &'static AtomicU8 {
    // SAFETY: 1. The page is mapped for good; vCPUs below 32 have their place in it. 2. Both
    // sides access it atomically.
    unsafe { &*at(vcpu, offset) }
}

/// A vCPU's `evtchn_upcall_pending`.
pub fn upcall_pending(vcpu: u32) -> &'static AtomicU8 {
    byte(vcpu, offset_of!(abi::VcpuInfo, evtchn_upcall_pending))
}

/// A vCPU's `evtchn_upcall_mask`.
pub fn upcall_mask(vcpu: u32) -> &'static AtomicU8 {
    byte(vcpu, offset_of!(abi::VcpuInfo, evtchn_upcall_mask))
}

/// A vCPU's `evtchn_pending_sel`.
pub fn pending_sel(vcpu: u32) -> &'static AtomicU32 {
    // SAFETY: as in `byte`; the field is aligned.
    unsafe { &*at(vcpu, offset_of!(abi::VcpuInfo, evtchn_pending_sel)) }
}

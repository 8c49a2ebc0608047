//! vCPUs beside the first: their start, and what they see of their own.
#![allow(unsafe_code)] // UNSAFETY: stacks of other vCPUs, and memory shared with the hypervisor.

use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU32};

use guest_kernel::arch::{abi, calls, entry};
use pv_abi::types::VcpuId;
use pv_abi::vcpu::{VCPUOP_INITIALISE, VCPUOP_UP};
use zerocopy::FromZeros;

use crate::pages;

/// vCPUs beside the first that there are stacks for.
pub const OTHERS: usize = 7;
const STACK: usize = 16384;

#[repr(C, align(4096))]
struct Stacks(UnsafeCell<[[u8; STACK]; OTHERS]>);
// SAFETY: 1. Each is one vCPU's, reached by address alone.
unsafe impl Sync for Stacks {}
static STACKS: Stacks = Stacks(UnsafeCell::new([[0; STACK]; OTHERS]));

/// Starts vCPU `vcpu` (1 to [`OTHERS`]) at `entry`, with the builder's page tables, upcalls
/// masked, and `upcall` as its event callback. It has no trap handlers.
pub fn start(vcpu: u32, entry: extern "C" fn() -> !, upcall: extern "C" fn()) -> calls::Result {
    let mut context = abi::VcpuGuestContext::new_zeroed();
    let (code, data) = (abi::FLAT_RING1_CS, abi::FLAT_RING1_SS);
    let first = STACKS.0.get().expose_provenance() as u32;
    context.flags = pv_abi::traps::VGCF_IN_KERNEL;
    context.user_regs.cs = code;
    (context.user_regs.ss, context.user_regs.ds, context.user_regs.es) = (data, data, data);
    context.user_regs.eip = entry as *const () as u32;
    // As after a call: the alignment that compiled code expects.
    context.user_regs.esp = first + vcpu * STACK as u32 - 4;
    context.user_regs.eflags = 0x202;
    context.kernel_ss = data.into();
    context.kernel_sp = first + vcpu * STACK as u32;
    // Protected mode with paging, as a kernel has it.
    context.ctrlreg[0] = 0x8005_0033;
    context.ctrlreg[3] = abi::pfn_to_cr3(pages::mfn_of(pages::root()));
    context.event_callback_cs = code.into();
    context.event_callback_eip = upcall as *const () as u32;
    context.failsafe_callback_cs = code.into();
    context.failsafe_callback_eip = upcall as *const () as u32;
    let id = VcpuId::new(vcpu);
    byte(vcpu, offset_of!(abi::VcpuInfo, evtchn_upcall_mask))
        .store(1, core::sync::atomic::Ordering::SeqCst);
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

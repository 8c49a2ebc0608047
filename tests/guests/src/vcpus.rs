//! vCPUs beside the first.
//!
//! A second vCPU runs one function of the test's, in Ring 1, on the builder's page tables, on a
//! stack of its own, with upcalls masked: it polls, unless it was given a callback and unmasks. It
//! shares statics with the others, and must leave alone what belongs to vCPU 0 (console, checks,
//! counters of hypercalls, probes). A trap ends the domain, unless it was to [begin
//! anew](start_over) then.
#![allow(unsafe_code)] // UNSAFETY: hypercalls; reads of the shared info page; stacks.

use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use pv_abi::hypercall::{EVENT_CHANNEL_OP, SCHED_OP, VCPU_OP};
use pv_abi::traps::{TI_IF, VGCF_IN_KERNEL};
use pv_abi::types::{Port, VcpuId};
use pv_abi::vcpu::{VCPUOP_INITIALISE, VCPUOP_UP};
use pv_abi::x86_32::TrapInfo;
use pv_abi::{event_channel, sched};
use ring1::abi::{
    FLAT_KERNEL_CS, FLAT_KERNEL_DS, FLAT_KERNEL_SS, SchedPoll, SharedInfo, U64A4, VcpuGuestContext,
    VcpuInfo, VcpuTimeInfo, pfn_to_cr3,
};
use ring1::hypercall::rdtsc;
use ring1::{calls, entry};
use zerocopy::FromZeros;

use crate::pages::{mfn_of, root};
use crate::verdict::Outcome;

/// vCPUs that there are stacks for.
pub const MAX: usize = 8;
const STACK: usize = 16384;

// Aligned to their size: so `again` finds where the one that it is on begins.
#[repr(C, align(16384))]
struct Stacks(UnsafeCell<[[u8; STACK]; MAX]>);
// SAFETY: 1. Each stack is its vCPU's alone, and reached by its stack pointer only.
unsafe impl Sync for Stacks {}
static STACKS: Stacks = Stacks(UnsafeCell::new([[0; STACK]; MAX]));

/// What [`start`] gives vCPU `id`: it begins at `main`, and must not return from there.
pub fn context(id: u32, main: extern "C" fn() -> !) -> VcpuGuestContext {
    let stacks = STACKS.0.get().expose_provenance() as u32;
    let mut c = VcpuGuestContext::new_zeroed();
    c.flags = VGCF_IN_KERNEL;
    c.user_regs.eip = main as *const () as usize as u32;
    // As if called: the place of a return address on top.
    c.user_regs.esp = stacks + (id + 1) * STACK as u32 - 4;
    c.user_regs.cs = FLAT_KERNEL_CS;
    c.user_regs.ss = FLAT_KERNEL_SS;
    c.user_regs.ds = FLAT_KERNEL_DS;
    c.user_regs.es = FLAT_KERNEL_DS;
    c.kernel_ss = FLAT_KERNEL_SS.into();
    c.kernel_sp = c.user_regs.esp;
    c.ctrlreg[3] = pfn_to_cr3(mfn_of(root()));
    c
}

/// Initialises vCPU `id` to run `main`, and brings it up.
pub fn start(id: u32, main: extern "C" fn() -> !) -> Outcome {
    bring_up(id, &mut context(id, main))
}

fn bring_up(id: u32, context: &mut VcpuGuestContext) -> Outcome {
    let initialised = hypercall(VCPU_OP, [VCPUOP_INITIALISE, id, crate::call::address_of(context)]);
    crate::check_eq!(initialised, 0, "initialise vCPU {id}");
    crate::check_eq!(hypercall(VCPU_OP, [VCPUOP_UP, id, 0]), 0, "bring up vCPU {id}");
    Ok(())
}

/// Starts vCPU `vcpu` at `entry` with `upcall` as its event callback. It has no trap handlers.
pub fn start_with_upcall(
    vcpu: u32,
    entry: extern "C" fn() -> !,
    upcall: extern "C" fn(),
) -> calls::Result {
    let mut c = context(vcpu, entry);
    c.event_callback_cs = FLAT_KERNEL_CS.into();
    c.event_callback_eip = upcall as *const () as u32;
    c.failsafe_callback_cs = FLAT_KERNEL_CS.into();
    c.failsafe_callback_eip = upcall as *const () as u32;
    upcall_mask(vcpu).store(1, Ordering::SeqCst);
    let id = VcpuId::new(vcpu);
    calls::vcpu_op_with(VCPUOP_INITIALISE, id, &mut c)?;
    calls::vcpu_op(VCPUOP_UP, id).map(|_| ())
}

/// Where vCPUs of [`start_over`] begin anew.
static ANEW: AtomicU32 = AtomicU32::new(0);

core::arch::global_asm!(
    ".globl vcpu_again",
    "vcpu_again:",
    "mov eax, {data}",
    "mov ds, eax",
    "mov es, eax",
    // From the top of this stack, but for the place of a return address.
    "or esp, {last}",
    "and esp, -4",
    "cld",
    "jmp dword ptr [{anew}]",
    data = const FLAT_KERNEL_DS,
    last = const STACK - 1,
    anew = sym ANEW,
);

unsafe extern "C" {
    fn vcpu_again();
}

/// Initialises vCPU `id` to run `main`, and brings it up. Whenever it traps, or gets an upcall,
/// `main` begins anew, with upcalls masked and an empty stack: what it is to know then is in
/// statics. One `main` serves all vCPUs that are started so.
pub fn start_over(id: u32, main: extern "C" fn() -> !) -> Outcome {
    ANEW.store(main as *const () as usize as u32, Ordering::Relaxed);
    let again = vcpu_again as *const () as usize as u32;
    let mut c = context(id, main);
    for (vector, trap) in (0..).zip(&mut c.trap_ctxt) {
        *trap = TrapInfo { vector, flags: TI_IF, cs: FLAT_KERNEL_CS, address: again };
    }
    (c.event_callback_cs, c.event_callback_eip) = (FLAT_KERNEL_CS.into(), again);
    (c.failsafe_callback_cs, c.failsafe_callback_eip) = (FLAT_KERNEL_CS.into(), again);
    upcall_mask(id).store(1, Ordering::SeqCst);
    bring_up(id, &mut c)
}

/// Hypercall `number`, from any vCPU.
pub fn hypercall(number: u32, [a, b, c]: [u32; 3]) -> i32 {
    let result;
    // SAFETY: 1. As in `crate::hypercall`: the callers' rule. 2. The slot preserves registers.
    unsafe {
        core::arch::asm!("call {slot}", slot = in(reg) entry::hypercall_page_address() + number * 32,
            inlateout("ebx") a => _, inlateout("ecx") b => _, inlateout("edx") c => _,
            lateout("eax") result);
    }
    result
}

/// `SCHEDOP_yield`, from any vCPU.
pub fn yield_now() {
    hypercall(SCHED_OP, [sched::SCHEDOP_YIELD, 0, 0]);
}

/// `SCHEDOP_poll` of one port (0: none) until `deadline_ns` (0: for ever), from any vCPU.
pub fn poll(port: u32, deadline_ns: u64) -> i32 {
    let mut port = port;
    let ports = crate::call::address_of(&mut port);
    let nr_ports = u32::from(port != 0);
    let mut poll = SchedPoll { ports, nr_ports, _pad: [], timeout: U64A4::new(deadline_ns) };
    hypercall(SCHED_OP, [sched::SCHEDOP_POLL, crate::call::address_of(&mut poll), 0])
}

/// `EVTCHNOP_send`, from any vCPU.
pub fn send(port: u32) -> i32 {
    let mut send = event_channel::EvtchnSend { port: Port::new(port) };
    let at = crate::call::address_of(&mut send);
    hypercall(EVENT_CHANNEL_OP, [event_channel::EVTCHNOP_SEND, at, 0])
}

/// `vcpu_op` without an argument, from any vCPU.
pub fn vcpu_op(command: u32, id: VcpuId) -> i32 {
    hypercall(VCPU_OP, [command, id.raw(), 0])
}

/// System time by the clock of vCPU `id`, which must be the one that asks.
pub fn now(id: u32) -> u64 {
    let at = entry::shared_info_address() as usize
        + id as usize * size_of::<VcpuInfo>()
        + offset_of!(VcpuInfo, time);
    let (version, time): (*const AtomicU32, *const VcpuTimeInfo) =
        (core::ptr::with_exposed_provenance(at), core::ptr::with_exposed_provenance(at));
    loop {
        // SAFETY: 1. The shared info page is mapped for good, and the clocks lie in it.
        //         2. A torn value is dropped.
        let (before, time, after) = unsafe {
            let before = (*version).load(Ordering::Acquire);
            let time = time.read_volatile();
            core::sync::atomic::fence(Ordering::Acquire);
            (before, time, (*version).load(Ordering::Relaxed))
        };
        if before & 1 == 0 && before == after {
            return crate::clock::scale(&time, rdtsc());
        }
    }
}

/// The clock's parameters as vCPU `id` has them: TSC stamp, and whether the hypervisor has written them.
pub fn has_clock(id: u32) -> bool {
    let at = entry::shared_info_address()
        + id * size_of::<VcpuInfo>() as u32
        + offset_of!(VcpuInfo, time) as u32;
    crate::pages::read32(at) != 0
}

fn at<T>(vcpu: u32, offset: usize) -> *const T {
    let info = offset_of!(SharedInfo, vcpu_info) + vcpu as usize * size_of::<VcpuInfo>();
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
    byte(vcpu, offset_of!(VcpuInfo, evtchn_upcall_pending))
}

/// A vCPU's `evtchn_upcall_mask`.
pub fn upcall_mask(vcpu: u32) -> &'static AtomicU8 {
    byte(vcpu, offset_of!(VcpuInfo, evtchn_upcall_mask))
}

/// A vCPU's `evtchn_pending_sel`.
pub fn pending_sel(vcpu: u32) -> &'static AtomicU32 {
    // SAFETY: as in `byte`; the field is aligned.
    unsafe { &*at(vcpu, offset_of!(VcpuInfo, evtchn_pending_sel)) }
}

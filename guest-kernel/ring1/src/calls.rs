//! The hypercalls that programs use, as functions with typed arguments.
//!
//! Thin: a wrapper fills the argument structure, makes the call and turns a negative result into an
//! [`Errno`]. The ones that change mappings are `unsafe`: what Rust knows about memory rests on
//! them.
#![allow(unsafe_code)] // UNSAFETY: hypercalls read and write memory through their arguments.

use crate::abi::{
    FLAT_RING1_CS, FLAT_RING1_SS, MachphysMapping, MemoryReservation, MmuextOp, MulticallEntry,
    SchedPoll, TrapInfo, U64A4, VcpuSetSingleshotTimer,
};
use crate::hypercall::raw;
use pv_abi::errno::Errno;
use pv_abi::types::{DOMID_SELF, DomId, Port, VcpuId};
use pv_abi::{console, event_channel, hypercall, memory, mmu, physdev, sched, vcpu, version};

/// The result of a hypercall: eax when not negative.
pub type Result<T = ()> = core::result::Result<T, Errno>;

/// A result register as a result.
pub fn outcome(eax: i32) -> Result<u32> {
    match u32::try_from(eax) {
        Ok(value) => Ok(value),
        Err(_) => Err(Errno::from_ret(i64::from(eax)).unwrap_or(Errno::EINVAL)),
    }
}

fn address<T>(of: *const T) -> u32 {
    of.expose_provenance() as u32
}

/// Makes a hypercall with up to three plain arguments that changes no memory of this program.
macro_rules! plain {
    ($number:expr $(, $argument:expr)*) => {{
        let mut arguments = [0u32; 5];
        let given: &[u32] = &[$($argument),*];
        arguments[..given.len()].copy_from_slice(given);
        let [a, b, c, d, e] = arguments;
        // SAFETY: 1. The call reads its structure, if any, and writes only into structures that
        // the wrapper borrows or owns.
        outcome(unsafe { raw($number, a, b, c, d, e) })
    }};
}

/// `set_trap_table`: the table ends with an entry of address 0.
pub fn set_trap_table(table: &[TrapInfo]) -> Result {
    plain!(hypercall::SET_TRAP_TABLE, address(table.as_ptr())).map(|_| ())
}

/// `set_callbacks`: entry points of the event and the failsafe callback, in the flat Ring 1 segment.
pub fn set_callbacks(event: u32, failsafe: u32) -> Result {
    let cs = u32::from(FLAT_RING1_CS);
    // SAFETY: 1. No memory is involved.
    outcome(unsafe { raw(hypercall::SET_CALLBACKS, cs, event, cs, failsafe, 0) }).map(|_| ())
}

/// `stack_switch`: where traps from Ring 3 push their frames, downwards from `top`.
pub fn stack_switch(top: u32) -> Result {
    plain!(hypercall::STACK_SWITCH, u32::from(FLAT_RING1_SS), top).map(|_| ())
}

/// `fpu_taskswitch`: sets or clears the virtual CR0.TS.
pub fn fpu_taskswitch(set: u32) -> Result {
    plain!(hypercall::FPU_TASKSWITCH, set).map(|_| ())
}

/// `update_descriptor`: writes a GDT or LDT entry at a machine address.
pub fn update_descriptor(machine_address: u64, descriptor: u64) -> Result {
    let (at, value) = (U64A4::new(machine_address), U64A4::new(descriptor));
    plain!(hypercall::UPDATE_DESCRIPTOR, at.lo, at.hi, value.lo, value.hi).map(|_| ())
}

/// `set_gdt`: machine frames of the GDT, and its number of entries.
pub fn set_gdt(frames: &[u32], entries: u32) -> Result {
    plain!(hypercall::SET_GDT, address(frames.as_ptr()), entries).map(|_| ())
}

/// `vm_assist`.
pub fn vm_assist(command: u32, kind: u32) -> Result {
    plain!(hypercall::VM_ASSIST, command, kind).map(|_| ())
}

/// `mmu_update` on this domain's tables; how many were done.
///
/// # Safety
/// No mapping that Rust relies on may change.
pub unsafe fn mmu_update(updates: &[mmu::MmuUpdate]) -> Result<u32> {
    let mut done = 0u32;
    // SAFETY: 1. The caller's promise. 2. `done` outlives the call.
    let eax = unsafe {
        raw(
            hypercall::MMU_UPDATE,
            address(updates.as_ptr()),
            updates.len() as u32,
            address(&raw mut done),
            u32::from(DOMID_SELF),
            0,
        )
    };
    outcome(eax).map(|_| done)
}

/// `mmu_update` with entries that name frames of `owner`, another domain; all were done.
///
/// # Safety
/// No mapping that Rust relies on may change.
pub unsafe fn mmu_update_of(owner: DomId, updates: &[mmu::MmuUpdate]) -> Result {
    let (from, count) = (address(updates.as_ptr()), updates.len() as u32);
    // SAFETY: 1. The caller's promise.
    outcome(unsafe { raw(hypercall::MMU_UPDATE, from, count, 0, u32::from(owner.raw()), 0) })
        .map(|_| ())
}

/// `update_va_mapping`: the L1 entry that maps `va` becomes `entry`. `flags`: `UVMF_*`.
///
/// # Safety
/// No mapping that Rust relies on may change.
pub unsafe fn update_va_mapping(va: u32, entry: u64, flags: u64) -> Result {
    let entry = U64A4::new(entry);
    // SAFETY: 1. The caller's promise.
    let eax = unsafe { raw(hypercall::UPDATE_VA_MAPPING, va, entry.lo, entry.hi, flags as u32, 0) };
    outcome(eax).map(|_| ())
}

/// `mmuext_op` on this domain; how many were done.
///
/// # Safety
/// No mapping that Rust relies on may change.
pub unsafe fn mmuext_op(operations: &[MmuextOp]) -> Result<u32> {
    let mut done = 0u32;
    // SAFETY: 1. The caller's promise. 2. `done` outlives the call.
    let eax = unsafe {
        raw(
            hypercall::MMUEXT_OP,
            address(operations.as_ptr()),
            operations.len() as u32,
            address(&raw mut done),
            u32::from(DOMID_SELF),
            0,
        )
    };
    outcome(eax).map(|_| done)
}

/// `mmuext_op` on the tables of `owner`, another domain; all were done. Mappings of this domain do
/// not change.
pub fn mmuext_op_of(owner: DomId, operations: &[MmuextOp]) -> Result {
    let (from, count) = (address(operations.as_ptr()), operations.len() as u32);
    plain!(hypercall::MMUEXT_OP, from, count, 0, u32::from(owner.raw())).map(|_| ())
}

/// One operation for [`mmuext_op`].
pub fn mmuext(cmd: u32, arg1: u32, arg2: u32) -> MmuextOp {
    MmuextOp { cmd, _pad: [], arg1, arg2 }
}

/// `multicall`: each entry's `result` says how it went.
///
/// # Safety
/// The safety conditions of each call in it.
pub unsafe fn multicall(calls: &mut [MulticallEntry]) -> Result {
    // SAFETY: 1. The caller's promise. 2. The results are written into the borrowed slice.
    let eax = unsafe {
        raw(hypercall::MULTICALL, address(calls.as_mut_ptr()), calls.len() as u32, 0, 0, 0)
    };
    outcome(eax).map(|_| ())
}

/// One entry for [`multicall`].
pub fn call(op: u32, arguments: &[u32]) -> MulticallEntry {
    let mut args = [0; 6];
    for (slot, argument) in args.iter_mut().zip(arguments) {
        *slot = *argument;
    }
    MulticallEntry { op, result: 0, args }
}

/// `xen_version(XENVER_version)`: major in bits 31..16, minor in bits 15..0.
pub fn xen_version() -> Result<u32> {
    plain!(hypercall::XEN_VERSION, version::XENVER_VERSION, 0)
}

/// A text of `xen_version` (`XENVER_extraversion`, `XENVER_capabilities`, …) up to its NUL.
pub fn xen_version_text(command: u32, buffer: &mut [u8; 1024]) -> Result<&str> {
    plain!(hypercall::XEN_VERSION, command, address(buffer.as_mut_ptr()))?;
    let text = buffer.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(core::str::from_utf8(text).unwrap_or("?"))
}

/// `xen_version` with any command, into any plain structure.
pub fn xen_version_into<T: zerocopy::FromBytes + zerocopy::IntoBytes>(
    command: u32,
    into: &mut T,
) -> Result<u32> {
    plain!(hypercall::XEN_VERSION, command, address(core::ptr::from_mut(into)))
}

/// Where the M2P table is.
pub fn machphys_mapping() -> Result<MachphysMapping> {
    let mut mapping = MachphysMapping { v_start: 0, v_end: 0, max_mfn: 0 };
    plain!(hypercall::MEMORY_OP, memory::XENMEM_MACHPHYS_MAPPING, address(&raw mut mapping))?;
    Ok(mapping)
}

/// `memory_op(XENMEM_populate_physmap)`: gives `domain` extents of 2^`order` frames, for it to use
/// from the pseudo-physical numbers on that stand in `extents`; the machine frames replace them.
/// `flags`: `XENMEMF_*`. How many extents it got: the first ones.
pub fn populate_physmap(domain: DomId, extents: &mut [u32], order: u32, flags: u32) -> Result<u32> {
    reservation(memory::XENMEM_POPULATE_PHYSMAP, domain, extents, order, flags)
}

/// `memory_op(XENMEM_decrease_reservation)`: gives machine frames of this domain back. How many it
/// gave: the first ones.
pub fn decrease_reservation(frames: &mut [u32]) -> Result<u32> {
    let own = DomId::new(DOMID_SELF);
    reservation(memory::XENMEM_DECREASE_RESERVATION, own, frames, 0, 0)
}

fn reservation(
    command: u32,
    domid: DomId,
    extents: &mut [u32],
    extent_order: u32,
    mem_flags: u32,
) -> Result<u32> {
    let argument = MemoryReservation {
        extent_start: address(extents.as_mut_ptr()),
        nr_extents: extents.len() as u32,
        extent_order,
        mem_flags,
        domid,
        _pad: [0; 2],
    };
    plain!(hypercall::MEMORY_OP, command, address(&raw const argument))
}

/// `console_io`: writes to the hypervisor's console.
pub fn console_write(bytes: &[u8]) -> Result {
    let (count, from) = (bytes.len() as u32, address(bytes.as_ptr()));
    plain!(hypercall::CONSOLE_IO, console::CONSOLEIO_WRITE, count, from).map(|_| ())
}

/// `console_io`: reads what was typed; how many bytes.
pub fn console_read(buffer: &mut [u8]) -> Result<usize> {
    let (room, to) = (buffer.len() as u32, address(buffer.as_mut_ptr()));
    plain!(hypercall::CONSOLE_IO, console::CONSOLEIO_READ, room, to).map(|count| count as usize)
}

/// `sched_op(SCHEDOP_yield)`.
pub fn yield_now() {
    let _ = plain!(hypercall::SCHED_OP, sched::SCHEDOP_YIELD, 0);
}

/// `sched_op(SCHEDOP_block)`: unmasks upcalls and sleeps until an event.
pub fn block() {
    let _ = plain!(hypercall::SCHED_OP, sched::SCHEDOP_BLOCK, 0);
}

/// `sched_op(SCHEDOP_poll)`: sleeps until one of the ports is pending, or until `deadline_ns` of
/// system time (0: for ever).
pub fn poll(ports: &[Port], deadline_ns: u64) -> Result {
    let argument = SchedPoll {
        ports: address(ports.as_ptr()),
        nr_ports: ports.len() as u32,
        _pad: [],
        timeout: U64A4::new(deadline_ns),
    };
    plain!(hypercall::SCHED_OP, sched::SCHEDOP_POLL, address(&raw const argument)).map(|_| ())
}

/// `sched_op(SCHEDOP_shutdown)` with a `SHUTDOWN_*` reason.
pub fn shutdown(reason: u32) -> ! {
    let argument = sched::SchedShutdown { reason };
    loop {
        let _ = plain!(hypercall::SCHED_OP, sched::SCHEDOP_SHUTDOWN, address(&raw const argument));
    }
}

/// Shutdown with reason "poweroff".
pub fn poweroff() -> ! {
    shutdown(sched::SHUTDOWN_POWEROFF)
}

/// `set_timer_op`: an event on the port of `VIRQ_TIMER` at `deadline_ns` of system time; 0: none.
pub fn set_timer(deadline_ns: u64) -> Result {
    let deadline = U64A4::new(deadline_ns);
    plain!(hypercall::SET_TIMER_OP, deadline.lo, deadline.hi).map(|_| ())
}

/// `vcpu_op` with a command that takes no structure.
pub fn vcpu_op(command: u32, id: VcpuId) -> Result<u32> {
    plain!(hypercall::VCPU_OP, command, id.raw(), 0)
}

/// `vcpu_op` with a structure that the hypervisor reads or writes.
pub fn vcpu_op_with<T: zerocopy::FromBytes + zerocopy::IntoBytes>(
    command: u32,
    id: VcpuId,
    argument: &mut T,
) -> Result<u32> {
    plain!(hypercall::VCPU_OP, command, id.raw(), address(core::ptr::from_mut(argument)))
}

/// `VCPUOP_set_singleshot_timer` of vCPU 0.
pub fn set_singleshot_timer(deadline_ns: u64, flags: u32) -> Result {
    let argument =
        VcpuSetSingleshotTimer { timeout_abs_ns: U64A4::new(deadline_ns), flags, _pad: [] };
    let command = vcpu::VCPUOP_SET_SINGLESHOT_TIMER;
    plain!(hypercall::VCPU_OP, command, 0, address(&raw const argument)).map(|_| ())
}

fn event_channel_op<T>(command: u32, argument: &mut T) -> Result<u32> {
    plain!(hypercall::EVENT_CHANNEL_OP, command, address(core::ptr::from_mut(argument)))
}

/// `EVTCHNOP_bind_virq` for vCPU 0.
pub fn evtchn_bind_virq(virq: u32) -> Result<Port> {
    let mut argument =
        event_channel::EvtchnBindVirq { virq, vcpu: VcpuId::new(0), port: Port::new(0) };
    event_channel_op(event_channel::EVTCHNOP_BIND_VIRQ, &mut argument)?;
    Ok(argument.port)
}

/// `EVTCHNOP_bind_pirq`.
pub fn evtchn_bind_pirq(pirq: u32) -> Result<Port> {
    let mut argument = event_channel::EvtchnBindPirq { pirq, flags: 0, port: Port::new(0) };
    event_channel_op(event_channel::EVTCHNOP_BIND_PIRQ, &mut argument)?;
    Ok(argument.port)
}

/// `EVTCHNOP_bind_ipi` for a vCPU.
pub fn evtchn_bind_ipi(vcpu: VcpuId) -> Result<Port> {
    let mut argument = event_channel::EvtchnBindIpi { vcpu, port: Port::new(0) };
    event_channel_op(event_channel::EVTCHNOP_BIND_IPI, &mut argument)?;
    Ok(argument.port)
}

/// `EVTCHNOP_alloc_unbound`: a new port of `owner`, which `remote` may bind to.
pub fn evtchn_alloc_unbound(owner: DomId, remote: DomId) -> Result<Port> {
    let mut argument =
        event_channel::EvtchnAllocUnbound { dom: owner, remote_dom: remote, port: Port::new(0) };
    event_channel_op(event_channel::EVTCHNOP_ALLOC_UNBOUND, &mut argument)?;
    Ok(argument.port)
}

/// `EVTCHNOP_bind_interdomain`: a port of this domain's, joined to one of `remote`'s. It is pending
/// at once.
pub fn evtchn_bind_interdomain(remote: DomId, port: Port) -> Result<Port> {
    let mut argument = event_channel::EvtchnBindInterdomain {
        remote_dom: remote,
        _pad: [0; 2],
        remote_port: port,
        local_port: Port::new(0),
    };
    event_channel_op(event_channel::EVTCHNOP_BIND_INTERDOMAIN, &mut argument)?;
    Ok(argument.local_port)
}

/// `EVTCHNOP_status` of a port of this domain's: one of `EVTCHNSTAT_*`.
pub fn evtchn_status(port: Port) -> Result<u32> {
    let mut argument = event_channel::EvtchnStatus {
        dom: DomId::new(DOMID_SELF),
        _pad: [0; 2],
        port,
        status: 0,
        vcpu: VcpuId::new(0),
        u: event_channel::EvtchnStatusInterdomain {
            dom: DomId::new(0),
            irq_hi: 0,
            port: Port::new(0),
        },
    };
    event_channel_op(event_channel::EVTCHNOP_STATUS, &mut argument)?;
    Ok(argument.status)
}

/// `EVTCHNOP_send`.
pub fn evtchn_send(port: Port) -> Result {
    let mut argument = event_channel::EvtchnSend { port };
    event_channel_op(event_channel::EVTCHNOP_SEND, &mut argument).map(|_| ())
}

/// `EVTCHNOP_unmask`.
pub fn evtchn_unmask(port: Port) -> Result {
    let mut argument = event_channel::EvtchnUnmask { port };
    event_channel_op(event_channel::EVTCHNOP_UNMASK, &mut argument).map(|_| ())
}

/// `EVTCHNOP_close`.
pub fn evtchn_close(port: Port) -> Result {
    let mut argument = event_channel::EvtchnClose { port };
    event_channel_op(event_channel::EVTCHNOP_CLOSE, &mut argument).map(|_| ())
}

/// `physdev_op` with a structure that the hypervisor reads or writes.
pub fn physdev_op<T>(command: u32, argument: &mut T) -> Result {
    plain!(hypercall::PHYSDEV_OP, command, address(core::ptr::from_mut(argument))).map(|_| ())
}

/// `PHYSDEVOP_set_iopl`.
pub fn set_iopl(iopl: u32) -> Result {
    physdev_op(physdev::PHYSDEVOP_SET_IOPL, &mut physdev::PhysdevSetIopl { iopl })
}

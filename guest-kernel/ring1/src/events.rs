//! Event delivery of vCPU 0: masking, and running what ports call for.
//!
//! The upcall mask is to this program what the interrupt flag is to a native kernel: a flag in
//! shared memory that costs one store. Clearing it must be followed by a look at the pending flag,
//! since the hypervisor delivers only when it happens to return to the guest: [`unmask`] makes an
//! empty hypercall then. Port handlers run with the mask set.

use crate::shared;
use core::sync::atomic::Ordering;
use pv_abi::types::Port;

/// Upcalls stay masked while this lives; dropping it restores what was before.
#[must_use = "upcalls are masked only while the guard lives"]
pub struct Masked {
    was_masked: bool,
}

impl Masked {
    /// Masks upcalls.
    pub fn new() -> Self {
        Self { was_masked: shared::upcall_mask().swap(1, Ordering::Relaxed) != 0 }
    }
}

impl Default for Masked {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Masked {
    fn drop(&mut self) {
        if !self.was_masked {
            unmask();
        }
    }
}

/// Whether upcalls are masked.
pub fn is_masked() -> bool {
    shared::upcall_mask().load(Ordering::Relaxed) != 0
}

/// Masks upcalls.
pub fn mask() {
    shared::upcall_mask().store(1, Ordering::Relaxed);
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// Unmasks upcalls and has a pending one delivered.
pub fn unmask() {
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
    shared::upcall_mask().store(0, Ordering::Relaxed);
    // The store must be seen before the look: events that the hypervisor marks between the two find
    // the mask clear. One vCPU: program order is enough, a compiler fence keeps it.
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
    if shared::upcall_pending().load(Ordering::Relaxed) != 0 {
        deliver_pending();
    }
}

/// Enters the hypervisor for nothing, so that a pending upcall is delivered on the way back.
pub extern "C" fn deliver_pending() {
    let _ = crate::calls::xen_version();
}

/// Takes every pending, unmasked port and calls `handler` with it, until none is left. For the
/// upcall handler: expects upcalls masked, and leaves them so.
pub fn dispatch(mut handler: impl FnMut(Port)) {
    // The pending flag first, the selector next, the bits last: the hypervisor sets them in the
    // opposite order, so that what is missed here raises the flag again.
    while shared::upcall_pending().swap(0, Ordering::SeqCst) != 0 {
        let mut words = shared::pending_sel().swap(0, Ordering::SeqCst);
        while words != 0 {
            let word = words.trailing_zeros();
            words &= words - 1;
            loop {
                let bits = shared::pending(word as usize).load(Ordering::SeqCst)
                    & !shared::mask(word as usize).load(Ordering::SeqCst);
                if bits == 0 {
                    break;
                }
                let bit = bits.trailing_zeros();
                shared::pending(word as usize).fetch_and(!(1 << bit), Ordering::SeqCst);
                handler(Port::new(word * 32 + bit));
            }
        }
    }
}

/// Masks a port: its pending bit is set, but raises no upcall.
pub fn mask_port(port: Port) {
    let raw = port.raw();
    shared::mask((raw / 32) as usize).fetch_or(1 << (raw % 32), Ordering::SeqCst);
}

/// Unmasks a port; an event that came meanwhile raises its upcall now. Does without
/// `EVTCHNOP_unmask`: the port is delivered to this vCPU, which can do to its own flags what the
/// hypervisor would.
pub fn unmask_port(port: Port) {
    let (word, bit) = (port.raw() / 32, 1 << (port.raw() % 32));
    shared::mask(word as usize).fetch_and(!bit, Ordering::SeqCst);
    if shared::pending(word as usize).load(Ordering::SeqCst) & bit != 0 {
        raise_port(port);
    }
}

/// Makes an unmasked port pending, as an event would, and has its upcall delivered.
pub fn raise_port(port: Port) {
    let (word, bit) = (port.raw() / 32, 1 << (port.raw() % 32));
    shared::pending(word as usize).fetch_or(bit, Ordering::SeqCst);
    shared::pending_sel().fetch_or(1 << word, Ordering::SeqCst);
    shared::upcall_pending().store(1, Ordering::SeqCst);
    if !is_masked() {
        deliver_pending();
    }
}

/// Whether a port's pending bit is set.
pub fn is_pending(port: Port) -> bool {
    shared::pending((port.raw() / 32) as usize).load(Ordering::SeqCst) & (1 << (port.raw() % 32))
        != 0
}

/// Clears a port's pending bit.
pub fn clear_port(port: Port) {
    let raw = port.raw();
    shared::pending((raw / 32) as usize).fetch_and(!(1 << (raw % 32)), Ordering::SeqCst);
}

//! How an event reaches the guest: the two-level bit arrays of `event_channel.h`.
//!
//! Level 0 is a byte of the vCPU, "look here"; level 1 a word of the vCPU, one bit for
//! each word of level 2; level 2 a bit per port in the shared page, and beside it a bit
//! per port that mutes it. The hypervisor sets from the bottom up, the guest clears from
//! the top down and then looks:
//!
//! ```text
//! set pending[port]            (A)      | clear upcall_pending                 (a)
//! if not mask[port]:           (B)      | sel = swap(selector, 0)              (b)
//!   set selector[port / bits]  (C)      | for each bit of sel:
//!     set upcall_pending       (D)      |   look at pending and not mask       (c)
//! ```
//!
//! In this order an event that the guest missed at (c) finds the selector clear at (C),
//! and one that it missed at (b) finds the byte clear at (D): the upcall comes again.
//! Whoever finds his bit set already leaves the rest to the one who set it.
//!
//! Bits are numbered through little-endian words, so a 32-bit view serves both widths;
//! only places and the bits in a word differ.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering};

use pv_abi::types::{Port, VcpuId};
use pv_abi::{x86_32, x86_64};

use crate::domain::Domain;
use crate::domain::vcpu::Vcpu;
use crate::platform::{FrameAccess, Platform};
use crate::sched;
use crate::system::System;
use crate::width::Width;

/// Where things are, in 32-bit words.
struct Layout {
    /// In the shared page: a bit per port.
    pending: usize,
    /// In the shared page: a bit per port.
    mask: usize,
    /// In the `vcpu_info`: a bit per word of `pending`.
    selector: usize,
    /// Two to this power bits make a word of `pending`, in the guest's eyes.
    word_shift: u32,
}

const PV32: Layout = Layout {
    pending: offset_of!(x86_32::SharedInfo, evtchn_pending) / 4,
    mask: offset_of!(x86_32::SharedInfo, evtchn_mask) / 4,
    selector: offset_of!(x86_32::VcpuInfo, evtchn_pending_sel) / 4,
    word_shift: 5,
};

const PV64: Layout = Layout {
    pending: offset_of!(x86_64::SharedInfo, evtchn_pending) / 4,
    mask: offset_of!(x86_64::SharedInfo, evtchn_mask) / 4,
    selector: offset_of!(x86_64::VcpuInfo, evtchn_pending_sel) / 4,
    word_shift: 6,
};

#[inline(always)]
const fn layout(width: Width) -> &'static Layout {
    match width {
        Width::Pv32 => &PV32,
        Width::Pv64 => &PV64,
    }
}

/// A bit of an array that starts at word `array` of a frame, or lies at a machine address.
struct Bit<'a> {
    word: &'a AtomicU32,
    bit: u32,
}

impl<'a> Bit<'a> {
    /// A port's bit in an array of the shared page. Ports past the array have none.
    #[inline(always)]
    fn of_port(
        access: &'a impl FrameAccess,
        domain: &Domain,
        array: usize,
        port: Port,
    ) -> Option<Bit<'a>> {
        let index = array.wrapping_add((port.raw() >> 5) as usize);
        let word = access.half_words(domain.shared_info).get(index)?;
        Some(Bit { word, bit: 1 << (port.raw() & 31) })
    }

    /// A port's bit in a vCPU's selector.
    #[inline(always)]
    fn of_selector(
        access: &'a impl FrameAccess,
        vcpu: &Vcpu,
        layout: &Layout,
        port: Port,
    ) -> Option<Bit<'a>> {
        let number = port.raw() >> layout.word_shift;
        // The structure starts on a word and does not cross its frame's end.
        let at = layout.selector as u64 + u64::from(number >> 5);
        let word = access.half_word_at(vcpu.info_address() + at * 4);
        Some(Bit { word, bit: 1 << (number & 31) })
    }

    // Sequentially consistent, all of them: on x86 any locked instruction is, and the
    // protocol above (and sleeping, see `sched::run`) rests on one order for all CPUs.

    /// Sets the bit; returns whether it was set.
    #[inline(always)]
    fn set(&self) -> bool {
        self.word.fetch_or(self.bit, Ordering::SeqCst) & self.bit != 0
    }

    /// Clears the bit; returns whether it was set.
    #[inline(always)]
    fn clear(&self) -> bool {
        self.word.fetch_and(!self.bit, Ordering::SeqCst) & self.bit != 0
    }

    #[inline(always)]
    fn is_set(&self) -> bool {
        self.word.load(Ordering::SeqCst) & self.bit != 0
    }
}

/// Makes `port` of `domain` pending, and tells vCPU `notify` if it is not masked.
#[inline(always)]
pub fn set_pending<P: Platform>(sys: &System<P>, domain: &Domain, notify: VcpuId, port: Port) {
    // Once with the constants of each width.
    match domain.width {
        Width::Pv32 => set_pending_by(sys, domain, &PV32, notify, port),
        Width::Pv64 => set_pending_by(sys, domain, &PV64, notify, port),
    }
}

#[inline(always)]
fn set_pending_by<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    layout: &Layout,
    notify: VcpuId,
    port: Port,
) {
    let access = &sys.platform;
    let Some(pending) = Bit::of_port(access, domain, layout.pending, port) else { return };
    // (A) Before everything else: who is told must find it.
    if pending.set() {
        return;
    }
    tell(sys, domain, layout, notify, port);
    // Pollers announce themselves, then look at pending bits; we did it the other way
    // round, so one of us sees the other.
    if domain.events.pollers.load(Ordering::SeqCst) != 0 {
        sched::wake_pollers(sys, domain, port);
    }
}

/// Tells vCPU `notify` of a pending port, unless that is masked.
#[inline(always)]
fn tell<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    layout: &Layout,
    notify: VcpuId,
    port: Port,
) {
    let access = &sys.platform;
    // (B) The guest unmasks, then looks at pending: it does our part from here on if
    // we see its mask still set.
    if Bit::of_port(access, domain, layout.mask, port).is_none_or(|mask| mask.is_set()) {
        return;
    }
    let Some(vcpu) = domain.vcpu(notify) else { return };
    // (C) Before the byte: the guest clears the byte first, so it finds this bit or us
    // the byte clear.
    if Bit::of_selector(access, vcpu, layout, port).is_none_or(|selector| selector.set()) {
        return;
    }
    mark_upcall(sys, domain, vcpu);
}

/// (D) Makes an upcall pending, and makes the vCPU notice.
#[inline(always)]
pub fn mark_upcall<P: Platform>(sys: &System<P>, domain: &Domain, vcpu: &Vcpu) {
    // Before looking whether it sleeps: it falls asleep first and then looks at the byte.
    if !vcpu.set_upcall_pending(&sys.platform) {
        sched::wake::notice(sys, domain, vcpu);
    }
}

/// Unmasks `port`; if it is pending, its vCPU is told.
pub fn unmask<P: Platform>(sys: &System<P>, domain: &Domain, notify: VcpuId, port: Port) {
    let layout = layout(domain.width);
    let access = &sys.platform;
    let was_masked =
        Bit::of_port(access, domain, layout.mask, port).is_some_and(|mask| mask.clear());
    if was_masked && is_pending(sys, domain, port) {
        tell(sys, domain, layout, notify, port);
    }
}

/// Clears `port`'s pending bit.
pub fn clear_pending<P: Platform>(sys: &System<P>, domain: &Domain, port: Port) {
    if let Some(bit) = Bit::of_port(&sys.platform, domain, layout(domain.width).pending, port) {
        bit.clear();
    }
}

/// Whether `port` is pending.
pub fn is_pending<P: Platform>(sys: &System<P>, domain: &Domain, port: Port) -> bool {
    Bit::of_port(&sys.platform, domain, layout(domain.width).pending, port)
        .is_some_and(|bit| bit.is_set())
}

/// Whether `port` is masked.
pub fn is_masked<P: Platform>(sys: &System<P>, domain: &Domain, port: Port) -> bool {
    Bit::of_port(&sys.platform, domain, layout(domain.width).mask, port)
        .is_none_or(|bit| bit.is_set())
}

/// Makes everything of `vcpu` look pending, after its `vcpu_info` moved: an event too many
/// costs the guest a look, one too few costs it its life.
pub fn mark_all<P: Platform>(sys: &System<P>, domain: &Domain, vcpu: &Vcpu) {
    let layout = layout(domain.width);
    for word in 0..1u32 << (layout.word_shift - 5) {
        // The first port of each 32-bit part of the selector.
        let port = Port::new(word << (layout.word_shift + 5));
        if let Some(selector) = Bit::of_selector(&sys.platform, vcpu, layout, port) {
            selector.word.store(u32::MAX, Ordering::SeqCst);
        }
    }
    mark_upcall(sys, domain, vcpu);
}

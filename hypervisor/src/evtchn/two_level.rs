//! The two-level ABI: bit arrays in `shared_info`, a selector in each `vcpu_info`.
//!
//! [`super::bits`] tells how they are used; this is where they lie. Bits are numbered
//! through little-endian words, so a 32-bit view serves both widths; only places and the
//! bits in a word differ.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering};

use pv_abi::types::{Port, VcpuId};
use pv_abi::{x86_32, x86_64};

use super::bits::{self, Places};
use super::delivery::mark_upcall;
use crate::cell::Bit;
use crate::domain::Domain;
use crate::domain::vcpu::Vcpu;
use crate::platform::Platform;
use crate::system::System;
use crate::width::Width;

/// Where things are, in 32-bit words.
struct Layout {
    /// Bits in each array of the shared page.
    ports: u32,
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
    ports: x86_32::EVTCHN_2L_NR_CHANNELS,
    pending: offset_of!(x86_32::SharedInfo, evtchn_pending) / 4,
    mask: offset_of!(x86_32::SharedInfo, evtchn_mask) / 4,
    selector: offset_of!(x86_32::VcpuInfo, evtchn_pending_sel) / 4,
    word_shift: 5,
};

const PV64: Layout = Layout {
    ports: x86_64::EVTCHN_2L_NR_CHANNELS,
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

/// The number of ports that a guest can have.
pub const fn ports(width: Width) -> u32 {
    layout(width).ports
}

/// A port of a domain's, and the vCPU that is told of it.
pub(super) struct At<'a, P: Platform> {
    sys: &'a System<P>,
    domain: &'a Domain,
    layout: &'static Layout,
    notify: VcpuId,
    port: Port,
}

impl<'a, P: Platform> At<'a, P> {
    /// In a domain whose width is known to be `width`.
    #[inline(always)]
    pub(super) fn new(
        sys: &'a System<P>,
        domain: &'a Domain,
        width: Width,
        notify: VcpuId,
        port: Port,
    ) -> At<'a, P> {
        At { sys, domain, layout: layout(width), notify, port }
    }

    /// The port's bit in an array of the shared page. Ports past the array have none.
    #[inline(always)]
    fn shared(&self, array: usize) -> Option<Bit<'a, AtomicU32>> {
        let port = self.port.raw();
        if port >= self.layout.ports {
            return None;
        }
        let words = self.sys.platform.half_words(self.domain.shared_info);
        Some(Bit::new(words.get(array + (port >> 5) as usize)?, port & 31))
    }

    /// Whether it is pending.
    pub(super) fn is_pending(&self) -> bool {
        self.pending().is_some_and(|bit| bit.is_set())
    }

    /// Whether it is masked.
    pub(super) fn is_masked(&self) -> bool {
        self.mask().is_none_or(|bit| bit.is_set())
    }

    /// Makes it not pending.
    pub(super) fn clear_pending(&self) {
        if let Some(bit) = self.pending() {
            bit.clear();
        }
    }

    /// Unmasks it; if it is pending, its vCPU is told.
    pub(super) fn unmask(&self) {
        bits::unmask(self);
    }
}

impl<'a, P: Platform> Places for At<'a, P> {
    type Word = AtomicU32;
    type Vcpu = &'a Vcpu;

    #[inline(always)]
    fn pending(&self) -> Option<Bit<'_, AtomicU32>> {
        self.shared(self.layout.pending)
    }

    #[inline(always)]
    fn mask(&self) -> Option<Bit<'_, AtomicU32>> {
        self.shared(self.layout.mask)
    }

    #[inline(always)]
    fn vcpu(&self) -> Option<&'a Vcpu> {
        self.domain.vcpu(self.notify)
    }

    #[inline(always)]
    fn selector(&self, vcpu: &'a Vcpu) -> Option<Bit<'_, AtomicU32>> {
        let number = self.port.raw() >> self.layout.word_shift;
        // The structure starts on a word and does not cross its frame's end.
        let at = self.layout.selector as u64 + u64::from(number >> 5);
        let word = self.sys.platform.half_word_at(vcpu.info_address() + at * 4);
        Some(Bit::new(word, number & 31))
    }

    #[inline(always)]
    fn mark_upcall(&self, vcpu: &'a Vcpu) {
        mark_upcall(self.sys, self.domain, vcpu);
    }
}

/// Makes everything of `vcpu` look pending, after its `vcpu_info` moved: an event too many
/// costs the guest a look, one too few costs it its life.
pub fn mark_all<P: Platform>(sys: &System<P>, domain: &Domain, vcpu: &Vcpu) {
    let layout = layout(domain.width());
    // In 32-bit parts of the selector, which is a word of the guest's.
    for part in 0..1u64 << (layout.word_shift - 5) {
        let at = vcpu.info_address() + (layout.selector as u64 + part) * 4;
        sys.platform.half_word_at(at).store(u32::MAX, Ordering::SeqCst);
    }
    mark_upcall(sys, domain, vcpu);
}

/// Takes all pending bits, for a change to another ABI.
pub(super) fn take_pending<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    mut each: impl FnMut(Port),
) {
    let layout = layout(domain.width());
    let words = sys.platform.half_words(domain.shared_info).iter().skip(layout.pending);
    for (base, word) in (0..layout.ports).step_by(32).zip(words) {
        let mut bits = word.swap(0, Ordering::SeqCst);
        while bits != 0 {
            each(Port::new(base + bits.trailing_zeros()));
            bits &= bits.wrapping_sub(1);
        }
    }
}

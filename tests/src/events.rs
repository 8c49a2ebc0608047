//! What a guest sees of its event channels in shared memory, and what a CPU does between
//! two stretches of guest code.
//!
//! The places of the bits are stated here anew, so that a mistake in the hypervisor's own
//! table is found.

use std::sync::atomic::{AtomicU32, Ordering};

use hypervisor::exit::{self, Next};
use hypervisor::platform::{Cpus, FrameAccess, Mmu};
use hypervisor::sched;
use hypervisor::width::Width;
use pv_abi::types::{Mfn, VcpuId};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::guest::Guest;

/// Byte offset of `evtchn_pending` in `shared_info`, of either width: 32 `vcpu_info` of 64 bytes.
const PENDING: usize = 32 * 64;

impl Guest {
    /// Makes a hypercall with a command and a structure; returns its result and the
    /// structure as it was left.
    pub fn op<T: FromBytes + IntoBytes + Immutable>(
        &mut self,
        number: u32,
        cmd: u32,
        arg: &T,
    ) -> (i64, T) {
        let at = self.arg(arg);
        let result = self.call(number, &[cmd.into(), at]);
        (result, self.read(at))
    }

    /// `vcpu_op` on vCPU `vcpu` with a structure.
    pub fn vcpu_op<T: IntoBytes + Immutable>(&mut self, cmd: u32, vcpu: u32, arg: &T) -> i64 {
        let at = self.arg(arg);
        self.call(pv_abi::hypercall::VCPU_OP, &[cmd.into(), vcpu.into(), at])
    }

    fn port_bit(&self, array: usize, port: u32) -> (&AtomicU32, u32) {
        let words = self.machine().half_words(self.domain().shared_info);
        (&words[array / 4 + port as usize / 32], 1 << (port % 32))
    }

    fn mask_array(&self) -> usize {
        match self.domain().width() {
            Width::Pv32 => PENDING + 1024 / 8,
            Width::Pv64 => PENDING + 4096 / 8,
        }
    }

    /// Whether a port is pending.
    pub fn pending(&self, port: u32) -> bool {
        let (word, bit) = self.port_bit(PENDING, port);
        word.load(Ordering::SeqCst) & bit != 0
    }

    /// Clears a port's pending bit.
    pub fn clear_pending(&self, port: u32) {
        let (word, bit) = self.port_bit(PENDING, port);
        word.fetch_and(!bit, Ordering::SeqCst);
    }

    /// Masks or unmasks a port behind the hypervisor's back.
    pub fn set_masked(&self, port: u32, masked: bool) {
        let (word, bit) = self.port_bit(self.mask_array(), port);
        if masked {
            word.fetch_or(bit, Ordering::SeqCst);
        } else {
            word.fetch_and(!bit, Ordering::SeqCst);
        }
    }

    /// Whether a port is masked.
    pub fn masked(&self, port: u32) -> bool {
        let (word, bit) = self.port_bit(self.mask_array(), port);
        word.load(Ordering::SeqCst) & bit != 0
    }

    /// The 32-bit words of a vCPU's `vcpu_info`, wherever it is.
    pub fn info_words(&self, vcpu: u32) -> &[AtomicU32] {
        let vcpu = self.domain().vcpu(VcpuId::new(vcpu)).expect("the vCPU exists");
        let at = vcpu.info_address();
        let start = (at & 0xfff) as usize / 4;
        &self.machine().half_words(Mfn::new(at >> 12))[start..start + 16]
    }

    /// A vCPU's selector.
    pub fn selector(&self, vcpu: u32) -> u64 {
        let words = self.info_words(vcpu);
        let word = |n: usize| u64::from(words[n].load(Ordering::SeqCst));
        match self.domain().width() {
            Width::Pv32 => word(1),
            Width::Pv64 => word(2) | word(3) << 32,
        }
    }

    /// Whether an upcall is pending for a vCPU.
    pub fn upcall_pending(&self, vcpu: u32) -> bool {
        self.info_words(vcpu)[0].load(Ordering::SeqCst) & 0xff != 0
    }

    /// What a handler does first: it clears the byte and takes the selector.
    pub fn take_selector(&self, vcpu: u32) {
        let words = self.info_words(vcpu);
        words[0].fetch_and(!0xff, Ordering::SeqCst);
        for word in &words[1..4] {
            word.store(0, Ordering::SeqCst);
        }
    }

    /// Forgets all events of a vCPU: what its handler does, in one stroke.
    pub fn forget_events(&self, vcpu: u32) {
        self.take_selector(vcpu);
        for port in 0..1024 {
            self.clear_pending(port);
        }
    }

    /// Has the CPU whose code runs pick who is to run: domain and vCPU.
    pub fn pick(&self) -> Option<(u16, u32)> {
        let (domain, vcpu) = sched::next(&self.sys, self.machine().this_cpu())?;
        Some((domain.id.raw(), vcpu.id.raw()))
    }

    /// What the CPU does on its way back to the guest; if it is to do something else, the
    /// vCPU is stopped.
    pub fn leave(&mut self) -> Next {
        self.enter(|ctx| {
            let next = exit::prepare(ctx);
            if next == Next::Switch {
                sched::stopped_running(ctx);
            }
            next
        })
    }

    /// Loads the guest's address space on the CPU whose code runs.
    pub fn load(&self) {
        self.machine().load_root(self.vcpu().state.lock().l4);
    }
}

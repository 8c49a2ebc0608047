//! A guest's half of the FIFO ABI, as Linux has it: where its words are, and draining.

use std::sync::atomic::{AtomicU32, Ordering};

use hypervisor::platform::FrameAccess;
use pv_abi::event_channel::*;
use pv_abi::types::Mfn;

use crate::channels::{expand_array, init_control};
use crate::guest::Guest;

/// Event words in a page.
pub const WORDS: u32 = 1024;

/// The bit of each flag of an event word.
pub const PENDING: u32 = 1 << EVTCHN_FIFO_PENDING;
/// As above.
pub const MASKED: u32 = 1 << EVTCHN_FIFO_MASKED;
/// As above.
pub const LINKED: u32 = 1 << EVTCHN_FIFO_LINKED;
/// As above.
pub const BUSY: u32 = 1 << EVTCHN_FIFO_BUSY;

/// What a guest has given the hypervisor, and how far it has drained its queues.
#[derive(Clone, Default)]
pub struct Fifo {
    /// Machine addresses of the control blocks, by vCPU.
    pub blocks: Vec<u64>,
    /// Frames of event words.
    pub pages: Vec<Mfn>,
    heads: Vec<[u32; EVTCHN_FIFO_MAX_QUEUES]>,
}

impl Fifo {
    /// Changes a guest to the FIFO ABI: control blocks for all its vCPUs in one page, and
    /// one page of words.
    pub fn new(guest: &mut Guest) -> Fifo {
        let mut fifo = Fifo::default();
        let page = guest.page();
        for vcpu in 0..guest.domain().vcpus().count() as u32 {
            fifo.add_vcpu(guest, page.mfn, vcpu * 128);
        }
        fifo.add_page(guest);
        fifo
    }

    /// Gives the next vCPU's control block.
    pub fn add_vcpu(&mut self, guest: &mut Guest, mfn: Mfn, offset: u32) {
        let vcpu = self.blocks.len() as u32;
        assert_eq!(init_control(guest, vcpu, mfn, offset), Ok(EVTCHN_FIFO_LINK_BITS as u8));
        self.blocks.push(mfn.raw() << 12 | u64::from(offset));
        self.heads.push([0; EVTCHN_FIFO_MAX_QUEUES]);
    }

    /// Gives the next page of words.
    pub fn add_page(&mut self, guest: &mut Guest) {
        let page = guest.page();
        assert_eq!(expand_array(guest, page.mfn), 0);
        self.pages.push(page.mfn);
    }

    /// A port's word.
    pub fn word<'a>(&self, guest: &'a Guest, port: u32) -> &'a AtomicU32 {
        let page = self.pages[(port / WORDS) as usize];
        &guest.machine().half_words(page)[(port % WORDS) as usize]
    }

    /// Whether a port's word has all of `flags`.
    pub fn has(&self, guest: &Guest, port: u32, flags: u32) -> bool {
        self.word(guest, port).load(Ordering::SeqCst) & flags == flags
    }

    /// Masks a port, or unmasks it behind the hypervisor's back.
    pub fn set_masked(&self, guest: &Guest, port: u32, masked: bool) {
        if masked {
            self.word(guest, port).fetch_or(MASKED, Ordering::SeqCst);
        } else {
            self.word(guest, port).fetch_and(!MASKED, Ordering::SeqCst);
        }
    }

    /// A word of a control block: 0 the ready bits, 2 on the heads.
    pub fn block<'a>(&self, guest: &'a Guest, vcpu: usize, word: u64) -> &'a AtomicU32 {
        guest.machine().half_word_at(self.blocks[vcpu] + word * 4)
    }

    /// The ready bits of a vCPU.
    pub fn ready(&self, guest: &Guest, vcpu: usize) -> u32 {
        self.block(guest, vcpu, 0).load(Ordering::SeqCst)
    }

    /// Runs the upcall handler of a vCPU: every event it handles, in order.
    pub fn drain(&mut self, guest: &Guest, vcpu: usize) -> Vec<u32> {
        let handled = self.drain_some(guest, vcpu, 1_000_000);
        assert_eq!(self.ready(guest, vcpu), 0, "the queue of vCPU {vcpu} has no end");
        handled
    }

    /// The same, for at most `steps` events: others may keep sending.
    pub fn drain_some(&mut self, guest: &Guest, vcpu: usize, steps: u32) -> Vec<u32> {
        guest.info_words(vcpu as u32)[0].fetch_and(!0xff, Ordering::SeqCst);
        let mut handled = Vec::new();
        let mut ready = self.block(guest, vcpu, 0).swap(0, Ordering::SeqCst);
        for _ in 0..steps {
            if ready == 0 {
                break;
            }
            let priority = ready.trailing_zeros();
            self.take_one(guest, vcpu, priority, &mut ready, &mut handled);
            ready |= self.block(guest, vcpu, 0).swap(0, Ordering::SeqCst);
        }
        // What was not drained is ready still.
        self.block(guest, vcpu, 0).fetch_or(ready, Ordering::SeqCst);
        handled
    }

    fn take_one(
        &mut self,
        guest: &Guest,
        vcpu: usize,
        priority: u32,
        ready: &mut u32,
        handled: &mut Vec<u32>,
    ) {
        let mut port = self.heads[vcpu][priority as usize];
        if port == 0 {
            port = self.block(guest, vcpu, 2 + u64::from(priority)).load(Ordering::SeqCst);
        }
        let word = self.word(guest, port);
        let unlinked = |w| Some(w & !(LINKED | EVTCHN_FIFO_LINK_MASK));
        let was = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, unlinked).unwrap_or(0);
        let next = was & EVTCHN_FIFO_LINK_MASK;
        if next == 0 {
            *ready &= !(1 << priority);
        }
        self.heads[vcpu][priority as usize] = next;
        if word.load(Ordering::SeqCst) & (PENDING | MASKED) == PENDING {
            word.fetch_and(!PENDING, Ordering::SeqCst);
            handled.push(port);
        }
    }
}

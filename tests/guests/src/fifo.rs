//! A guest's half of the FIFO ABI of event channels.
//!
//! `xen/include/public/event_channel.h`; draining is as in Linux (`events_fifo.c`). Words and
//! control blocks lie in spare pages; each vCPU drains its own queues.
#![allow(unsafe_code)] // UNSAFETY: memory shared with the hypervisor is reached by address.

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use pv_abi::event_channel::*;
use pv_abi::hypercall::EVENT_CHANNEL_OP;
use pv_abi::types::{Port, VcpuId};
use ring1::entry;

use crate::call::{address_of, hypercall};
use crate::pages::Page;

/// Flag of an event word.
pub const PENDING: u32 = 1 << EVTCHN_FIFO_PENDING;
/// Flag of an event word.
pub const MASKED: u32 = 1 << EVTCHN_FIFO_MASKED;
/// Flag of an event word.
pub const LINKED: u32 = 1 << EVTCHN_FIFO_LINKED;

/// Bytes of a `vcpu_info`.
const VCPU_INFO: u32 = 64;

fn op<T>(command: u32, argument: &mut T) -> i32 {
    hypercall(EVENT_CHANNEL_OP, &[command, address_of(argument)])
}

/// `EVTCHNOP_init_control`.
pub fn init_control(vcpu: u32, page: Page, offset: u32) -> i32 {
    let vcpu = VcpuId::new(vcpu);
    let control_gfn = page.mfn.into();
    op(
        EVTCHNOP_INIT_CONTROL,
        &mut EvtchnInitControl { control_gfn, offset, vcpu, link_bits: 0, _pad: [0; 7] },
    )
}

/// `EVTCHNOP_expand_array`.
pub fn expand_array(page: Page) -> i32 {
    op(EVTCHNOP_EXPAND_ARRAY, &mut EvtchnExpandArray { array_gfn: page.mfn.into() })
}

/// `EVTCHNOP_set_priority`.
pub fn set_priority(port: Port, priority: u32) -> i32 {
    op(EVTCHNOP_SET_PRIORITY, &mut EvtchnSetPriority { port, priority })
}

/// `EVTCHNOP_reset` of this domain.
pub fn reset() -> i32 {
    op(EVTCHNOP_RESET, &mut EvtchnReset { dom: pv_abi::types::DomId::SELF })
}

fn at(address: u32) -> &'static AtomicU32 {
    // SAFETY: 1. The address is of a word of a spare page, which stays mapped writable.
    //         2. Both sides use it atomically.
    unsafe { &*core::ptr::with_exposed_provenance(address as usize) }
}

/// A port's word in the first page of words.
pub fn word(words: Page, port: Port) -> &'static AtomicU32 {
    at(words.va + port.raw() % 1024 * 4)
}

/// The queues of a vCPU.
pub struct Queues {
    vcpu: u32,
    words: Page,
    block: u32,
    heads: [u32; EVTCHN_FIFO_MAX_QUEUES],
}

impl Queues {
    /// Of a vCPU whose control block is at `offset` of `page`.
    pub const fn new(vcpu: u32, words: Page, page: Page, offset: u32) -> Queues {
        let block = page.va + offset;
        Queues { vcpu, words, block, heads: [0; EVTCHN_FIFO_MAX_QUEUES] }
    }

    /// Handles every event, the highest priority first.
    pub fn drain(&mut self, mut handle: impl FnMut(Port)) {
        let info = entry::shared_info_address() + self.vcpu * VCPU_INFO;
        // SAFETY: 1. The shared info page is mapped for good; its first byte is the flag.
        let upcall: &AtomicU8 = unsafe { &*core::ptr::with_exposed_provenance(info as usize) };
        upcall.store(0, Ordering::SeqCst);
        let mut ready = at(self.block).swap(0, Ordering::SeqCst);
        while ready != 0 {
            let priority = ready.trailing_zeros();
            let Some(head) = self.heads.get_mut(priority as usize) else { return };
            if *head == 0 {
                *head = at(self.block + 8 + priority * 4).load(Ordering::SeqCst);
            }
            let port = Port::new(*head);
            let word = word(self.words, port);
            let was = word.fetch_and(!(LINKED | EVTCHN_FIFO_LINK_MASK), Ordering::SeqCst);
            *head = was & EVTCHN_FIFO_LINK_MASK;
            if *head == 0 {
                ready &= !(1 << priority);
            }
            if word.load(Ordering::SeqCst) & (PENDING | MASKED) == PENDING {
                word.fetch_and(!PENDING, Ordering::SeqCst);
                handle(port);
            }
            ready |= at(self.block).swap(0, Ordering::SeqCst);
        }
    }
}

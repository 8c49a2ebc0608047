//! The FIFO ABI: queues of ports by priority, in memory of the guest's.
//!
//! A guest gives us a *control block* for each vCPU (`EVTCHNOP_init_control`) and pages of
//! *event words*, one word a port (`EVTCHNOP_expand_array`). [`queue`] tells how events are
//! queued in them; [`control`] how they are given and taken back; this is the state between.
//!
//! # Memory
//!
//! Pages of the guest's are held by a *writable* reference each, so they stay its own and
//! never become page tables while we write to them. What we remember of them ([`Fifo`])
//! takes one frame, from the first control block until the reset; the table of ports grows
//! to 2^17 at most (256 frames), and not past the domain's limit.
//!
//! # One lock
//!
//! [`Events::fifo`] guards all queues of a domain: tails, pages and the fact that there are
//! any. It is held for one event at a time, some tens of instructions, also by senders
//! from other domains; nobody waits for anything under it. That makes what Xen orders by
//! barriers (a control block before its heads, XSA-358; pages before their number, XSA-359;
//! a reset against a send or an expansion, XSA-343 and XSA-505) orders of a lock.
//!
//! [`Events::fifo`]: super::table::Events::fifo

pub mod control;
pub mod queue;

use core::sync::atomic::AtomicU32;

use pv_abi::event_channel::{EVTCHN_FIFO_MAX_QUEUES, EVTCHN_FIFO_NR_CHANNELS};
use pv_abi::types::{Mfn, Port, VcpuId};

use super::delivery::mark_upcall;
use super::port::{Delivery, Queue};
use crate::domain::{Domain, MAX_VCPUS};
use crate::platform::{FrameAccess, Platform};
use crate::sched;
use crate::system::System;
use queue::{Raised, Tails, Target};

/// Event words in a page.
const WORDS: u32 = 1024;
/// Pages that hold all words.
const PAGES: usize = (EVTCHN_FIFO_NR_CHANNELS / WORDS) as usize;
const _: () = assert!(WORDS as usize * size_of::<u32>() == 4096);

/// Offset of the heads in a control block; the ready bits are its first word.
const HEADS: u64 = 8;

/// What we know of a guest's queues.
pub struct Fifo {
    /// Frames of event words.
    pages: heapless::Vec<Mfn, PAGES>,
    /// By vCPU.
    vcpus: [PerVcpu; MAX_VCPUS],
}

#[derive(Clone, Copy)]
struct PerVcpu {
    /// Machine address of the control block; 0: none.
    block: u64,
    /// The last port of each queue; 0: none.
    tails: [u32; EVTCHN_FIFO_MAX_QUEUES],
}

impl Fifo {
    /// No pages.
    fn new() -> Fifo {
        let none = PerVcpu { block: 0, tails: [0; EVTCHN_FIFO_MAX_QUEUES] };
        Fifo { pages: heapless::Vec::new(), vcpus: [none; MAX_VCPUS] }
    }

    /// A port's word, if its page is there.
    #[inline(always)]
    fn word<'a>(&self, access: &'a impl FrameAccess, port: u32) -> Option<&'a AtomicU32> {
        word_in(&self.pages, access, port)
    }

    /// Frames of the guest's that are held.
    fn frames(&self) -> impl Iterator<Item = Mfn> {
        let blocks = self.vcpus.iter().filter(|v| v.block != 0).map(|v| Mfn::new(v.block >> 12));
        self.pages.iter().copied().chain(blocks)
    }
}

#[inline(always)]
fn word_in<'a>(pages: &[Mfn], access: &'a impl FrameAccess, port: u32) -> Option<&'a AtomicU32> {
    let page = *pages.get((port / WORDS) as usize)?;
    access.half_words(page).get((port % WORDS) as usize)
}

/// Two queues of a domain's.
struct Two<'a> {
    vcpus: &'a mut [PerVcpu; MAX_VCPUS],
    previous: Queue,
    next: Queue,
}

impl Two<'_> {
    #[inline(always)]
    fn tail(&mut self, queue: Queue) -> Option<&mut u32> {
        let vcpu = self.vcpus.get_mut(queue.vcpu.raw() as usize)?;
        vcpu.tails.get_mut(usize::from(queue.priority))
    }
}

impl Tails for Two<'_> {
    #[inline(always)]
    fn forget(&mut self, port: u32) {
        if let Some(tail) = self.tail(self.previous)
            && *tail == port
        {
            *tail = 0;
        }
    }

    #[inline(always)]
    fn replace(&mut self, port: u32) -> u32 {
        self.tail(self.next).map_or(0, |tail| core::mem::replace(tail, port))
    }
}

/// Makes `port` of `domain` pending and queues it at vCPU `notify`, if it is not masked.
#[inline(never)]
pub(super) fn set_pending<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    notify: VcpuId,
    port: Port,
) {
    let raised = match &mut *domain.events.fifo.lock() {
        Some(fifo) => raise(sys, domain, fifo.get_mut(), notify, port),
        // The domain has reset its channels since: this one is closed.
        None => None,
    };
    if let Some(raised) = raised {
        tell(sys, domain, notify, port, raised);
    }
}

/// Queues an event. `None`: it waits for its page, or nobody is there to take it.
fn raise<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    fifo: &mut Fifo,
    notify: VcpuId,
    port: Port,
) -> Option<Raised> {
    let (access, events) = (&sys.platform, &domain.events);
    let Some(word) = fifo.word(access, port.raw()) else {
        events.deliver_by(access, port, |delivery| Delivery { waiting: true, ..delivery });
        return None;
    };
    let block = fifo.vcpus.get(notify.raw() as usize)?.block;
    if block == 0 {
        // A vCPU that takes no events yet (XSA-107). Its guest knows that they are lost.
        return None;
    }
    let delivery = events.delivery(access, port)?;
    let next = Queue { vcpu: notify, priority: delivery.priority };
    let target = Target {
        head: access.half_word_at(block + HEADS + u64::from(next.priority) * 4),
        ready: access.half_word_at(block),
        ready_bit: 1 << next.priority,
    };
    let pages = &fifo.pages;
    let mut tails = Two { vcpus: &mut fifo.vcpus, previous: delivery.last, next };
    let word_of = |port| word_in(pages, access, port);
    let raised = queue::set_pending(port.raw(), word, &mut tails, &target, word_of);
    if raised.queued && next != delivery.last {
        events.deliver_by(access, port, |delivery| Delivery { last: next, ..delivery });
    }
    Some(raised)
}

/// Tells the vCPU and whoever polls the port.
#[inline(always)]
fn tell<P: Platform>(sys: &System<P>, domain: &Domain, notify: VcpuId, port: Port, raised: Raised) {
    if raised.upcall
        && let Some(vcpu) = domain.vcpu(notify)
    {
        mark_upcall(sys, domain, vcpu);
    }
    if raised.newly && domain.events.pollers() != 0 {
        sched::wake_pollers(sys, domain, port);
    }
}

/// Unmasks `port`; if it is pending, it is queued.
pub(super) fn unmask<P: Platform>(sys: &System<P>, domain: &Domain, notify: VcpuId, port: Port) {
    if with_word(sys, domain, port, queue::unmask) == Some(true) {
        set_pending(sys, domain, notify, port);
    }
}

/// Clears `port`'s pending bit. It stays in its queue: the guest takes it out and finds
/// nothing.
pub(super) fn clear_pending<P: Platform>(sys: &System<P>, domain: &Domain, port: Port) {
    with_word(sys, domain, port, |word| crate::cell::Cell::fetch_and(word, !queue::PENDING));
}

/// `port`'s word, if its page is there.
pub(super) fn word<P: Platform>(sys: &System<P>, domain: &Domain, port: Port) -> Option<u32> {
    with_word(sys, domain, port, crate::cell::Cell::load)
}

fn with_word<P: Platform, T>(
    sys: &System<P>,
    domain: &Domain,
    port: Port,
    f: impl FnOnce(&AtomicU32) -> T,
) -> Option<T> {
    let fifo = domain.events.fifo.lock();
    Some(f(fifo.as_ref()?.word(&sys.platform, port.raw())?))
}

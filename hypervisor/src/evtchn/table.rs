//! A domain's ports.
//!
//! The table grows a frame at a time, as ports are allocated: two frames at most for a
//! 32-bit guest with the two-level ABI, eight for a 64-bit one, 256 with the FIFO ABI, and
//! never past what [`Events::set_max_port`] allows. That bound is the charge: no other call
//! makes the table grow, and it does not shrink while the domain lives. A port that exists
//! goes on existing (XSA-338), also if its number is past what the ABI can deliver after a
//! reset; it is closed then, and is not given out.
//!
//! Ports come into existence 64 at a time, as in Xen, where it decides between `EINVAL`
//! and "closed" for a port that was never used.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use pv_abi::errno::Errno;
use pv_abi::event_channel::EVTCHN_FIFO_NR_CHANNELS;
use pv_abi::types::{Mfn, Port, VcpuId};
use pv_abi::virq::NR_VIRQS;

use super::fifo::Fifo;
use super::port::{ABSENT, Channel, Delivery, State};
use super::{delivery, two_level};
use crate::domain::{Domain, MAX_VCPUS};
use crate::error::Stop;
use crate::irq::NR_PIRQS;
use crate::lock::{self, Guard, Lock, Rank};
use crate::mm::frame::Owner;
use crate::mm::frame_box::FrameBox;
use crate::mm::memory::Memory;
use crate::platform::{FrameAccess, Platform};
use crate::system::System;
use crate::width::Width;

/// Ports in a frame.
const BUCKET: u32 = 512;
/// Buckets of the largest table.
const BUCKETS: usize = (EVTCHN_FIFO_NR_CHANNELS / BUCKET) as usize;
/// Ports that come into existence together (`EVTCHNS_PER_BUCKET` in Xen).
const GROUP: u32 = 64;
/// Ports that one search for a free one looks at before it is preempted.
const SEARCH: u32 = 4096;

/// The port each virtual interrupt of a vCPU rings; 0: none.
type Virqs = [AtomicU32; NR_VIRQS as usize];

/// How a domain's events are delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Abi {
    /// Bits in `shared_info`, a 32-bit guest's.
    TwoLevel32,
    /// Bits in `shared_info`, a 64-bit guest's.
    TwoLevel64,
    /// Queues of event words.
    Fifo,
}

/// In [`Events::watch`]: the domain changed to the FIFO ABI. Below it a bit per vCPU.
const CHANGED: u64 = 1 << MAX_VCPUS;

/// A domain's ports, and who polls them.
pub struct Events {
    /// An [`Abi`].
    abi: AtomicU8,
    /// What senders have to look at after they set bits of the two-level ABI: bit per vCPU
    /// that sleeps in `SCHEDOP_poll`, and [`CHANGED`].
    watch: AtomicU64,
    /// Frame numbers of buckets; 0: none.
    buckets: [AtomicU64; BUCKETS],
    virqs: [Virqs; MAX_VCPUS],
    /// The port each physical interrupt rings; 0: none.
    pirqs: [AtomicU32; NR_PIRQS as usize],
    /// The highest port that the domain may have.
    max_port: AtomicU32,
    changes: Lock<Changes>,
    /// The queues, while the ABI is FIFO.
    pub(super) fifo: Lock<Option<FrameBox<Fifo>>>,
}

/// The right to change ports.
pub struct Changes {
    /// No port below is free.
    lowest_free: u32,
    /// Where a preempted search for a free port goes on; 0: none is under way.
    search: u32,
    /// Ports that are in use.
    pub(super) used: u32,
    /// Where a reset goes on; 0: none is under way.
    pub(super) reset: u32,
    /// The domain is being taken apart: no port is given out.
    pub(super) ended: bool,
}

/// Takes the locks of two domains, the one with the lower number first.
pub(super) fn changes_of_both<'a>(
    lower: &'a Events,
    higher: &'a Events,
) -> (Guard<'a, Changes>, Guard<'a, Changes>) {
    lock::pair(&lower.changes, &higher.changes)
}

impl Events {
    /// No ports, for a guest of width `width`.
    pub const fn new(width: Width) -> Events {
        Events {
            abi: AtomicU8::new(two_level_abi(width) as u8),
            watch: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            virqs: [const { [const { AtomicU32::new(0) }; NR_VIRQS as usize] }; MAX_VCPUS],
            pirqs: [const { AtomicU32::new(0) }; NR_PIRQS as usize],
            max_port: AtomicU32::new(u32::MAX),
            changes: Lock::new(
                Rank::Sharing,
                Changes { lowest_free: 1, search: 0, used: 0, reset: 0, ended: false },
            ),
            fifo: Lock::new(Rank::Fifo, None),
        }
    }

    /// Takes the lock under which ports change.
    pub fn changes(&self) -> Guard<'_, Changes> {
        self.changes.lock()
    }

    /// How events are delivered.
    #[inline(always)]
    pub fn abi(&self) -> Abi {
        match self.abi.load(Ordering::Acquire) {
            0 => Abi::TwoLevel32,
            1 => Abi::TwoLevel64,
            _ => Abi::Fifo,
        }
    }

    /// Changes to the FIFO ABI. Whoever still sets bits of the other afterwards sees it.
    pub(super) fn begin_fifo(&self, _: &mut Changes) {
        self.abi.store(Abi::Fifo as u8, Ordering::SeqCst);
        self.watch.fetch_or(CHANGED, Ordering::SeqCst);
    }

    /// Changes back.
    pub(crate) fn end_fifo(&self, _: &mut Changes, width: Width) {
        self.abi.store(two_level_abi(width) as u8, Ordering::SeqCst);
        self.watch.fetch_and(!CHANGED, Ordering::SeqCst);
    }

    /// Whether a sender who has just set a bit of the two-level ABI has more to do.
    #[inline(always)]
    pub(super) fn watched(&self) -> bool {
        self.watch.load(Ordering::SeqCst) != 0
    }

    /// A bit per vCPU that polls.
    #[inline(always)]
    pub fn pollers(&self) -> u32 {
        self.watch.load(Ordering::SeqCst) as u32
    }

    /// Adds a vCPU's bit to the pollers. What becomes pending from now on is told it.
    pub(crate) fn add_poller(&self, bit: u32) {
        self.watch.fetch_or(u64::from(bit), Ordering::SeqCst);
    }

    /// Removes a vCPU's bit from the pollers.
    pub(crate) fn remove_poller(&self, bit: u32) {
        self.watch.fetch_and(!u64::from(bit), Ordering::SeqCst);
    }

    /// Sets the highest port that the domain may have; ports in use past it stay.
    ///
    /// A domain without such a limit has as many as its ABI gives.
    pub fn set_max_port(&self, port: u32) {
        self.max_port.store(port, Ordering::Relaxed);
    }

    /// The number of ports that the domain can have now.
    pub fn limit(&self) -> u32 {
        let ports = match self.abi() {
            Abi::TwoLevel32 => two_level::ports(Width::Pv32),
            Abi::TwoLevel64 => two_level::ports(Width::Pv64),
            Abi::Fifo => EVTCHN_FIFO_NR_CHANNELS,
        };
        ports.min(self.max_port.load(Ordering::Relaxed).saturating_add(1))
    }

    #[inline(always)]
    fn slot<'a>(&self, access: &'a impl FrameAccess, port: Port) -> Option<&'a AtomicU64> {
        let mfn = self.buckets.get((port.raw() / BUCKET) as usize)?.load(Ordering::Acquire);
        if mfn == 0 {
            return None;
        }
        access.words(Mfn::new(mfn)).get((port.raw() % BUCKET) as usize)
    }

    /// The port as it is now; `None` if it does not exist.
    #[inline(always)]
    pub fn get(&self, access: &impl FrameAccess, port: Port) -> Option<Channel> {
        match self.slot(access, port) {
            Some(slot) => Channel::from_word(slot.load(Ordering::Acquire)),
            None => before_the_first(port),
        }
    }

    /// The vCPU that `port` tells, if it is bound to exactly `state`.
    #[inline(always)]
    pub(super) fn notify_if(
        &self,
        access: &impl FrameAccess,
        port: Port,
        state: State,
    ) -> Option<VcpuId> {
        Channel::notify_if(self.slot(access, port)?.load(Ordering::Acquire), state)
    }

    /// How the port's events are delivered.
    pub(super) fn delivery(&self, access: &impl FrameAccess, port: Port) -> Option<Delivery> {
        Some(Delivery::from_word(self.slot(access, port)?.load(Ordering::Acquire)))
    }

    /// Changes that. Returns what it was.
    pub(super) fn deliver_by(
        &self,
        access: &impl FrameAccess,
        port: Port,
        f: impl Fn(Delivery) -> Delivery,
    ) -> Option<Delivery> {
        let change = |word| Some(f(Delivery::from_word(word)).in_word(word));
        let slot = self.slot(access, port)?;
        let was = slot.fetch_update(Ordering::AcqRel, Ordering::Acquire, change).ok()?;
        Some(Delivery::from_word(was))
    }

    /// Changes a port that exists.
    pub fn set(
        &self,
        changes: &mut Changes,
        access: &impl FrameAccess,
        port: Port,
        channel: Channel,
    ) {
        let Some(slot) = self.slot(access, port) else { return };
        // Delivery changes its part at any time.
        let change = |word| Some(channel.in_word(word));
        let was = slot.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        let was_used = was.ok().and_then(Channel::from_word).is_some_and(Channel::is_usable);
        let number = port.raw();
        match (was_used, channel.is_usable()) {
            (false, true) => changes.used = changes.used.saturating_add(1),
            (true, false) => changes.used = changes.used.saturating_sub(1),
            _ => {}
        }
        if channel.state == State::Free {
            changes.lowest_free = changes.lowest_free.min(number);
        } else if changes.lowest_free == number {
            changes.lowest_free = number.saturating_add(1);
        }
    }

    /// The port that `virq` of `vcpu` rings.
    #[inline(always)]
    pub fn virq_port(&self, vcpu: VcpuId, virq: u32) -> Option<Port> {
        let port = self.virq_slot(vcpu, virq)?.load(Ordering::Acquire);
        (port != 0).then(|| Port::new(port))
    }

    /// Sets or clears it.
    pub fn set_virq_port(&self, _: &mut Changes, vcpu: VcpuId, virq: u32, port: Option<Port>) {
        if let Some(slot) = self.virq_slot(vcpu, virq) {
            slot.store(port.map_or(0, Port::raw), Ordering::Release);
        }
    }

    fn virq_slot(&self, vcpu: VcpuId, virq: u32) -> Option<&AtomicU32> {
        self.virqs.get(vcpu.raw() as usize)?.get(virq as usize)
    }

    /// The port that the domain's physical interrupt `pirq` rings.
    #[inline(always)]
    pub fn pirq_port(&self, pirq: u32) -> Option<Port> {
        let port = self.pirqs.get(pirq as usize)?.load(Ordering::Acquire);
        (port != 0).then(|| Port::new(port))
    }

    /// Sets or clears it.
    pub fn set_pirq_port(&self, _: &mut Changes, pirq: u32, port: Option<Port>) {
        if let Some(slot) = self.pirqs.get(pirq as usize) {
            slot.store(port.map_or(0, Port::raw), Ordering::Release);
        }
    }

    /// Every port in use, for listings and for closing them.
    pub fn in_use(&self, access: &impl FrameAccess) -> impl Iterator<Item = (Port, Channel)> {
        (1..EVTCHN_FIFO_NR_CHANNELS).map(Port::new).filter_map(move |port| {
            let channel = self.get(access, port).filter(|c| c.is_usable())?;
            Some((port, channel))
        })
    }

    /// Whether the port exists.
    pub(super) fn exists(&self, access: &impl FrameAccess, port: Port) -> bool {
        self.get(access, port).is_some()
    }

    /// Frames of the table.
    pub fn frames(&self) -> usize {
        self.buckets.iter().filter(|mfn| mfn.load(Ordering::Relaxed) != 0).count()
    }

    /// Gives the table's frames back, at the domain's very end: nobody can look into it.
    pub fn free_table(&self, memory: &Memory) {
        for bucket in &self.buckets {
            let mfn = bucket.swap(0, Ordering::AcqRel);
            if mfn != 0 {
                memory.release(Mfn::new(mfn), 0);
            }
        }
    }
}

/// Finds a free port and makes it `channel`.
///
/// As [`find_free`].
pub(super) fn allocate<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    changes: &mut Changes,
    channel: Channel,
) -> Result<Port, Stop> {
    let port = find_free(sys, domain, changes)?;
    domain.events.set(changes, &sys.platform, port, channel);
    Ok(port)
}

/// The lowest free port of `domain`; the table is grown if need be.
///
/// `ENOSPC` if the domain has used up its ports, `ENOMEM` without a frame for the table,
/// `EINVAL` if it is being taken apart; `Preempted`: ask again.
pub(super) fn find_free<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    changes: &mut Changes,
) -> Result<Port, Stop> {
    let events = &domain.events;
    if changes.ended {
        return Err(Errno::EINVAL.into());
    }
    let limit = events.limit();
    let first = changes.lowest_free.max(core::mem::take(&mut changes.search));
    for number in first..limit {
        if number - first == SEARCH {
            changes.search = number;
            return Err(Stop::Preempted);
        }
        let port = Port::new(number);
        let slot = events.slot(&sys.platform, port);
        let word = slot.map_or(ABSENT, |slot| slot.load(Ordering::Relaxed));
        match Channel::from_word(word) {
            // A guest that has not drained its queue can keep its own free ports from itself.
            Some(Channel { state: State::Free, .. }) if !delivery::is_busy(sys, domain, port) => {
                return Ok(port);
            }
            Some(Channel { state: State::Free, .. }) => {}
            Some(_) if changes.lowest_free == number => {
                changes.lowest_free = number.saturating_add(1);
            }
            Some(_) => {}
            None => {
                grow(sys, events, number)?;
                return Ok(port);
            }
        }
    }
    Err(Errno::ENOSPC.into())
}

/// Brings the group of `number` into existence.
fn grow<P: Platform>(sys: &System<P>, events: &Events, number: u32) -> Result<(), Errno> {
    let bucket = events.buckets.get((number / BUCKET) as usize).ok_or(Errno::ENOSPC)?;
    if bucket.load(Ordering::Relaxed) == 0 {
        let mfn = sys.memory.allocate(Owner::Hypervisor, 0)?;
        sys.platform.zero(mfn);
        // Only now, that it is zero, may others see it (XSA-47, XSA-340).
        bucket.store(mfn.raw(), Ordering::Release);
    }
    let first = number / GROUP * GROUP;
    for port in first..first.saturating_add(GROUP) {
        let state = if port == 0 { State::Reserved } else { State::Free };
        if let Some(slot) = events.slot(&sys.platform, Port::new(port)) {
            slot.store(Channel::new(state).first_word(), Ordering::Release);
        }
    }
    Ok(())
}

/// The first group exists from the start, without a frame.
#[cold]
fn before_the_first(port: Port) -> Option<Channel> {
    match port.raw() {
        0 => Some(Channel::new(State::Reserved)),
        1..GROUP => Some(Channel::new(State::Free)),
        _ => None,
    }
}

const fn two_level_abi(width: Width) -> Abi {
    match width {
        Width::Pv32 => Abi::TwoLevel32,
        Width::Pv64 => Abi::TwoLevel64,
    }
}

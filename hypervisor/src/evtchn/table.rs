//! A domain's ports.
//!
//! The table grows a frame at a time, as ports are allocated: two frames at most for a
//! 32-bit guest, eight for a 64-bit one. That bound is the charge: no other call makes
//! the table grow, and it never shrinks while the domain lives.
//!
//! Ports come into existence 64 at a time, as in Xen, where it decides between `EINVAL`
//! and "closed" for a port that was never used.

use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use pv_abi::errno::Errno;
use pv_abi::types::{Port, VcpuId};
use pv_abi::virq::NR_VIRQS;
use pv_abi::{x86_32, x86_64};
use spin::{Mutex, MutexGuard, Once};

use super::port::{ABSENT, Channel, State};
use crate::domain::MAX_VCPUS;
use crate::irq::NR_PIRQS;
use crate::mm::frame_box::FrameBox;
use crate::mm::memory::Memory;
use crate::platform::FrameAccess;
use crate::width::Width;

/// Ports in a frame.
const BUCKET: u32 = 512;
/// Buckets of the largest table.
const BUCKETS: usize = (x86_64::EVTCHN_2L_NR_CHANNELS / BUCKET) as usize;
/// Ports that come into existence together (`EVTCHNS_PER_BUCKET` in Xen).
const GROUP: u32 = 64;

type Bucket = [AtomicU64; BUCKET as usize];

/// The port each virtual interrupt of a vCPU rings; 0: none.
type Virqs = [AtomicU16; NR_VIRQS as usize];

/// A domain's ports, and who polls them.
pub struct Events {
    buckets: [Once<FrameBox<Bucket>>; BUCKETS],
    virqs: [Virqs; MAX_VCPUS],
    /// The port each physical interrupt rings; 0: none.
    pirqs: [AtomicU16; NR_PIRQS as usize],
    /// Bit per vCPU: it sleeps in `SCHEDOP_poll`.
    pub(crate) pollers: AtomicU32,
    changes: Mutex<Changes>,
}

/// The right to change ports.
pub struct Changes {
    /// No port below is free.
    lowest_free: u32,
}

/// The number of ports a guest can have.
pub const fn limit(width: Width) -> u32 {
    match width {
        Width::Pv32 => x86_32::EVTCHN_2L_NR_CHANNELS,
        Width::Pv64 => x86_64::EVTCHN_2L_NR_CHANNELS,
    }
}

impl Events {
    /// No ports.
    pub const fn new() -> Events {
        Events {
            buckets: [const { Once::new() }; BUCKETS],
            virqs: [const { [const { AtomicU16::new(0) }; NR_VIRQS as usize] }; MAX_VCPUS],
            pirqs: [const { AtomicU16::new(0) }; NR_PIRQS as usize],
            pollers: AtomicU32::new(0),
            changes: Mutex::new(Changes { lowest_free: 1 }),
        }
    }

    /// Takes the lock under which ports change. It is below `Domain::paging`; of two
    /// domains' the lower number's comes first.
    pub fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock()
    }

    fn slot(&self, port: Port) -> Option<&AtomicU64> {
        let bucket = self.buckets.get((port.raw() / BUCKET) as usize)?.get()?;
        bucket.get((port.raw() % BUCKET) as usize)
    }

    /// The port as it is now; `None` if it does not exist.
    #[inline(always)]
    pub fn get(&self, port: Port) -> Option<Channel> {
        match self.slot(port) {
            Some(slot) => Channel::from_word(slot.load(Ordering::Acquire)),
            None => before_the_first(port),
        }
    }

    /// Changes a port that exists.
    pub fn set(&self, changes: &mut Changes, port: Port, channel: Channel) {
        if let Some(slot) = self.slot(port) {
            slot.store(channel.to_word(), Ordering::Release);
        }
        let number = port.raw();
        if channel.state == State::Free {
            changes.lowest_free = changes.lowest_free.min(number);
        } else if changes.lowest_free == number {
            changes.lowest_free = number.saturating_add(1);
        }
    }

    /// Finds the lowest free port, and makes it `channel`.
    ///
    /// `ENOSPC` if the domain has used up its ports, `ENOMEM` without a frame for the table.
    pub fn allocate(
        &self,
        changes: &mut Changes,
        memory: &Memory,
        access: &impl FrameAccess,
        width: Width,
        channel: Channel,
    ) -> Result<Port, Errno> {
        let port = self.find_free(changes, memory, access, width)?;
        self.set(changes, port, channel);
        Ok(port)
    }

    /// The lowest free port; the table is grown if need be.
    pub fn find_free(
        &self,
        changes: &mut Changes,
        memory: &Memory,
        access: &impl FrameAccess,
        width: Width,
    ) -> Result<Port, Errno> {
        for number in changes.lowest_free..limit(width) {
            let port = Port::new(number);
            let word = self.slot(port).map_or(ABSENT, |slot| slot.load(Ordering::Relaxed));
            match Channel::from_word(word) {
                Some(Channel { state: State::Free, .. }) => return Ok(port),
                Some(_) => changes.lowest_free = number.saturating_add(1),
                None => {
                    self.grow(memory, access, number)?;
                    return Ok(port);
                }
            }
        }
        Err(Errno::ENOSPC)
    }

    /// Brings the group of `number` into existence.
    fn grow(&self, memory: &Memory, access: &impl FrameAccess, number: u32) -> Result<(), Errno> {
        let once = self.buckets.get((number / BUCKET) as usize).ok_or(Errno::ENOSPC)?;
        once.try_call_once(|| {
            FrameBox::new(memory, access, || [const { AtomicU64::new(ABSENT) }; BUCKET as usize])
        })?;
        let first = number / GROUP * GROUP;
        for port in first..first.saturating_add(GROUP) {
            let state = if port == 0 { State::Reserved } else { State::Free };
            if let Some(slot) = self.slot(Port::new(port)) {
                slot.store(Channel::new(state).to_word(), Ordering::Release);
            }
        }
        Ok(())
    }

    /// The port that `virq` of `vcpu` rings.
    #[inline(always)]
    pub fn virq_port(&self, vcpu: VcpuId, virq: u32) -> Option<Port> {
        let port = self.virq_slot(vcpu, virq)?.load(Ordering::Acquire);
        (port != 0).then(|| Port::new(u32::from(port)))
    }

    /// Sets or clears it.
    pub fn set_virq_port(&self, _: &mut Changes, vcpu: VcpuId, virq: u32, port: Option<Port>) {
        if let Some(slot) = self.virq_slot(vcpu, virq) {
            // Ports are below 4096.
            slot.store(port.map_or(0, |p| p.raw() as u16), Ordering::Release);
        }
    }

    fn virq_slot(&self, vcpu: VcpuId, virq: u32) -> Option<&AtomicU16> {
        self.virqs.get(vcpu.raw() as usize)?.get(virq as usize)
    }

    /// The port that the domain's physical interrupt `pirq` rings.
    #[inline(always)]
    pub fn pirq_port(&self, pirq: u32) -> Option<Port> {
        let port = self.pirqs.get(pirq as usize)?.load(Ordering::Acquire);
        (port != 0).then(|| Port::new(u32::from(port)))
    }

    /// Sets or clears it.
    pub fn set_pirq_port(&self, _: &mut Changes, pirq: u32, port: Option<Port>) {
        if let Some(slot) = self.pirqs.get(pirq as usize) {
            // Ports are below 4096.
            slot.store(port.map_or(0, |p| p.raw() as u16), Ordering::Release);
        }
    }

    /// Every port in use, for listings.
    pub fn in_use(&self) -> impl Iterator<Item = (Port, Channel)> {
        (1..limit(Width::Pv64)).map(Port::new).filter_map(|port| {
            let channel = self.get(port).filter(|c| c.is_usable())?;
            Some((port, channel))
        })
    }

    /// A bit per vCPU that polls.
    pub fn pollers(&self) -> u32 {
        self.pollers.load(Ordering::Relaxed)
    }

    /// Frames of the table.
    pub fn frames(&self) -> usize {
        self.buckets.iter().filter(|b| b.is_completed()).count()
    }
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

impl Default for Events {
    fn default() -> Self {
        Events::new()
    }
}

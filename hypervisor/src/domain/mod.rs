//! Domains: guests with their memory, vCPUs and channels.

pub mod assists;
pub mod context;
mod create;
pub mod permissions;
pub mod port_latches;
pub mod vcpu;

use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use pv_abi::types::{DomId, Mfn, VcpuId};
use spin::{Mutex, Once};

use crate::evtchn::Events;
use crate::mm::frame_box::FrameBox;
use crate::mm::paging::Paging;
use crate::mm::tlb::Loaded;
use crate::width::Width;
use permissions::IoPermissions;
use port_latches::PortLatches;
use vcpu::Vcpu;

/// vCPUs of one domain: as many as `shared_info` has room for.
pub const MAX_VCPUS: usize = 32;

/// Domains of the machine.
pub const MAX_DOMAINS: usize = 64;

/// "Not shut down" in [`Domain::shutdown_reason`].
const RUNNING: u16 = u16::MAX;

/// A domain.
pub struct Domain {
    /// Its number.
    pub id: DomId,
    /// The kind of its kernel.
    pub width: Width,
    /// Whether it may act on the machine and on other domains: domain 0.
    pub privileged: bool,
    /// Serialises changes of page-table types among its frames.
    pub paging: Mutex<Paging>,
    /// Where translations of its memory may be cached.
    pub loaded: Loaded,
    /// Frames it has.
    pub pages: AtomicU32,
    /// Frames it may have.
    pub max_pages: AtomicU32,
    /// The frame of its `shared_info`; the hypervisor gave it, and it is not the domain's to free.
    pub shared_info: Mfn,
    /// Its event channels.
    pub events: Events,
    /// pv32: where the hypervisor's window at the top of its address space begins.
    pub hv_start: u64,
    /// What of the machine it may touch.
    pub permissions: IoPermissions,
    /// What it wrote to index ports.
    pub port_latches: PortLatches,
    /// `vm_assist` bits that are on.
    pub vm_assist: AtomicU64,
    /// `SHUTDOWN_*`, or [`RUNNING`].
    shutdown: AtomicU16,
    vcpus: [Once<FrameBox<Vcpu>>; MAX_VCPUS],
}

impl Domain {
    /// A domain without vCPUs and memory.
    pub fn new(
        id: DomId,
        width: Width,
        privileged: bool,
        shared_info: Mfn,
        hv_start: u64,
    ) -> Domain {
        Domain {
            id,
            width,
            privileged,
            paging: Mutex::new(Paging::new()),
            loaded: Loaded::new(),
            pages: AtomicU32::new(0),
            max_pages: AtomicU32::new(0),
            shared_info,
            events: Events::new(width),
            hv_start,
            permissions: IoPermissions::new(),
            port_latches: PortLatches::new(),
            vm_assist: AtomicU64::new(0),
            shutdown: AtomicU16::new(RUNNING),
            vcpus: [const { Once::new() }; MAX_VCPUS],
        }
    }

    /// The vCPU with number `id`, if the domain has it.
    #[inline(always)]
    pub fn vcpu(&self, id: VcpuId) -> Option<&Vcpu> {
        Some(&**self.vcpus.get(id.raw() as usize)?.get()?)
    }

    /// All vCPUs.
    pub fn vcpus(&self) -> impl Iterator<Item = &Vcpu> {
        self.vcpus.iter().filter_map(|v| v.get().map(|b| &**b))
    }

    /// Adds the vCPU whose number is its `id`. One that is there already stays.
    pub fn add_vcpu(&self, vcpu: FrameBox<Vcpu>) {
        if let Some(slot) = self.vcpus.get(vcpu.id.raw() as usize) {
            slot.call_once(|| vcpu);
        }
    }

    /// Why the domain shut down, once it has.
    pub fn shutdown_reason(&self) -> Option<u8> {
        u8::try_from(self.shutdown.load(Ordering::Acquire)).ok()
    }

    /// Records why the domain shuts down; the first reason stays. Returns whether it is this one.
    pub fn set_shutdown(&self, reason: u8) -> bool {
        let reason = u16::from(reason);
        self.shutdown.compare_exchange(RUNNING, reason, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether `vm_assist` type `bit` is on.
    pub fn assists(&self, bit: u32) -> bool {
        self.vm_assist.load(Ordering::Relaxed) >> bit & 1 != 0
    }
}

/// All domains, by number.
pub struct Domains {
    slots: [Once<FrameBox<Domain>>; MAX_DOMAINS],
}

impl Domains {
    /// No domains.
    pub const fn new() -> Domains {
        Domains { slots: [const { Once::new() }; MAX_DOMAINS] }
    }

    /// The domain with number `id`.
    pub fn get(&self, id: DomId) -> Option<&Domain> {
        Some(&**self.slots.get(usize::from(id.raw()))?.get()?)
    }

    /// Adds a domain whose number is its `id`, and returns it. One that is there already stays.
    pub fn add(&self, domain: FrameBox<Domain>) -> Option<&Domain> {
        let slot = self.slots.get(usize::from(domain.id.raw()))?;
        Some(&**slot.call_once(|| domain))
    }

    /// All domains.
    pub fn iter(&self) -> impl Iterator<Item = &Domain> {
        self.slots.iter().filter_map(|s| s.get().map(|b| &**b))
    }
}

impl Default for Domains {
    fn default() -> Self {
        Domains::new()
    }
}

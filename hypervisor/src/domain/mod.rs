//! Domains: guests with their memory, vCPUs and channels.
//!
//! | file | is |
//! |---|---|
//! | [`vcpu`] | a virtual CPU |
//! | [`table`] | all domains by number |
//! | [`mod@create`], [`destroy`] | their beginning and their end |
//! | [`context`], [`assists`] | all of a vCPU's state at once; what a domain can opt into |
//! | [`pause`] | keeping a domain from running for a while |
//! | [`limits`] | what a domain may have at most |
//! | [`grace`] | until nobody holds a reference any more |
//! | [`permissions`], [`port_latches`] | I/O ports, memory and interrupts that it may use |
//! | [`windows`] | who has which descriptor-table window |

pub mod assists;
pub mod context;
pub mod create;
pub mod destroy;
pub mod grace;
pub mod limits;
pub mod pause;
pub mod permissions;
pub mod port_latches;
pub mod special_registers;
pub mod table;
pub mod vcpu;
pub mod windows;

use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU32, AtomicU64, Ordering};

use pv_abi::types::{DomId, Mfn, VcpuId};
use spin::Once;

use crate::evtchn::Events;
use crate::grant::Grants;
use crate::irq::Pirqs;
use crate::lock::{Lock, Rank};
use crate::mm::footprint::Footprint;
use crate::mm::frame_box::FrameBox;
use crate::mm::memory_op::E820;
use crate::mm::paging::Paging;
use crate::mm::tlb::Loaded;
use crate::sched::DomainRun;
use crate::trace::counters::Counters;
use crate::width::Width;
use destroy::End;
use limits::Limits;
use pause::Pauses;
use permissions::IoPermissions;
use port_latches::PortLatches;
pub use table::Domains;
use vcpu::Vcpu;

/// vCPUs of one domain: as many as `shared_info` has room for.
pub const MAX_VCPUS: usize = 32;

/// Domains of the machine.
pub const MAX_DOMAINS: usize = 512;

/// "Not shut down" in [`Domain::shutdown_reason`].
const RUNNING: u16 = u16::MAX;

/// What a toolstack said of a domain's time stamps, to be told again.
#[derive(Debug, Default)]
pub struct TscSetting {
    /// One of `TSC_MODE_*`.
    pub mode: AtomicU32,
    /// How often the domain has moved.
    pub incarnation: AtomicU32,
}

/// A domain.
pub struct Domain {
    /// Its number.
    pub id: DomId,
    /// Whether its kernel is 64 bits wide.
    pv64: AtomicBool,
    /// Whether it may act on the machine and on other domains: domain 0.
    pub privileged: bool,
    /// Serialises changes of page-table types among its frames.
    pub paging: Lock<Paging>,
    /// Where translations of its memory may be cached.
    pub loaded: Loaded,
    /// Frames it has.
    pub pages: AtomicU32,
    /// Frames it may have.
    pub max_pages: AtomicU32,
    /// Where its frames lie.
    pub footprint: Footprint,
    /// Frames that the hypervisor lent it: they do not count among `pages`.
    pub lent: AtomicU32,
    /// The frame of its `shared_info`; lent.
    pub shared_info: Mfn,
    /// What it may have at most.
    pub limits: Limits,
    /// The memory map that a toolstack gave it.
    pub memory_map: Lock<Option<FrameBox<E820>>>,
    /// Seconds that its wall clock is ahead of the machine's.
    pub time_offset_s: AtomicI64,
    /// How it reads time stamps, as a toolstack said.
    pub tsc: TscSetting,
    /// The handle by which toolstacks know it.
    pub handle: Lock<[u8; 16]>,
    /// Its share of the CPUs.
    pub run: DomainRun,
    /// Its event channels.
    pub events: Events,
    /// What it grants to others, and what it has mapped of theirs.
    pub grants: Grants,
    /// pv32: where the hypervisor's window at the top of its address space begins.
    pub hv_start: u64,
    /// What of the machine it may touch.
    pub permissions: IoPermissions,
    /// What it wrote to index ports.
    pub port_latches: PortLatches,
    /// Its numbers for interrupts of the machine.
    pub pirqs: Pirqs,
    /// `vm_assist` bits that are on.
    pub vm_assist: AtomicU64,
    /// Whether it is kept from running.
    pub pauses: Pauses,
    /// What happened to it, if that is counted.
    pub counters: Counters,
    /// How far its end has come.
    pub end: End,
    /// `SHUTDOWN_*`, or [`RUNNING`].
    shutdown: AtomicU16,
    vcpus: [Once<FrameBox<Vcpu>>; MAX_VCPUS],
}

impl Domain {
    /// A domain without vCPUs and memory; where it gets that from is the caller's to say.
    pub fn new(
        id: DomId,
        width: Width,
        privileged: bool,
        shared_info: Mfn,
        hv_start: u64,
    ) -> Domain {
        Domain {
            id,
            pv64: AtomicBool::new(width == Width::Pv64),
            privileged,
            paging: Lock::new(Rank::Paging, Paging::new()),
            loaded: Loaded::new(),
            pages: AtomicU32::new(0),
            max_pages: AtomicU32::new(0),
            footprint: Footprint::anywhere(),
            lent: AtomicU32::new(0),
            shared_info,
            limits: Limits::default(),
            memory_map: Lock::new(Rank::Leaf, None),
            time_offset_s: AtomicI64::new(0),
            tsc: TscSetting::default(),
            handle: Lock::new(Rank::Leaf, [0; 16]),
            events: Events::new(width),
            grants: Grants::new(),
            run: DomainRun::new(),
            hv_start,
            permissions: IoPermissions::new(),
            port_latches: PortLatches::new(),
            pirqs: Pirqs::new(),
            vm_assist: AtomicU64::new(0),
            pauses: Pauses::new(),
            counters: Counters::new(),
            end: End::new(),
            shutdown: AtomicU16::new(RUNNING),
            vcpus: [const { Once::new() }; MAX_VCPUS],
        }
    }

    /// The kind of its kernel.
    #[inline(always)]
    pub fn width(&self) -> Width {
        if self.pv64.load(Ordering::Relaxed) { Width::Pv64 } else { Width::Pv32 }
    }

    /// Changes the kind of its kernel: while it has no memory, so that nothing was done by the
    /// old one.
    pub fn set_width(&self, width: Width) {
        self.events.end_fifo(&mut self.events.changes(), width);
        self.pv64.store(width == Width::Pv64, Ordering::Relaxed);
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

    /// Forgets that the domain shut down; returns whether it had.
    pub fn clear_shutdown(&self) -> bool {
        self.shutdown.swap(RUNNING, Ordering::AcqRel) != RUNNING
    }

    /// Whether `vm_assist` type `bit` is on.
    pub fn assists(&self, bit: u32) -> bool {
        self.vm_assist.load(Ordering::Relaxed) >> bit & 1 != 0
    }
}

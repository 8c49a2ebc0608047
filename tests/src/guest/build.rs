//! Makes a domain by hand: frames, a small address space, vCPUs.
//!
//! It is independent of the hypervisor's own builder, so that a mistake there does not make
//! every test fail.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hypervisor::domain::Domain;
use hypervisor::mm::frame::{Owner, Type};
use hypervisor::mm::frame_box::FrameBox;
use hypervisor::mm::m2p_window::HV_START_PV32;
use hypervisor::platform::{FrameAccess, Mmu};
use hypervisor::sched;
use hypervisor::system::System;
use hypervisor::width::Width;
use pv_abi::types::{DomId, Mfn, VcpuId};

use super::{Guest, SCRATCH_PAGES, Spec};
use crate::machine::{FakeMachine, HYPERVISOR_MARK};

/// Present, writable, for Ring 3 as well, accessed, dirty.
const TABLE: u64 = 0x67;
/// Present, accessed.
const PAE_ROOT_ENTRY: u64 = 0x1;
/// Present, writable, accessed, dirty.
const PAGE: u64 = 0x63;
const WRITABLE: u64 = 0x2;

impl Guest {
    /// Adds a guest to a machine, and starts its first vCPU.
    pub fn on(sys: Arc<System<FakeMachine>>, spec: Spec) -> Guest {
        let mut guest = Guest::idle_on(sys, spec);
        guest.start_vcpu(0);
        guest
    }

    /// Adds a guest to a machine; all its vCPUs are down.
    pub fn idle_on(sys: Arc<System<FakeMachine>>, spec: Spec) -> Guest {
        let id = DomId::new(spec.id);
        let owner = Owner::Domain(id);
        let shared_info =
            sys.memory.allocate(Owner::Hypervisor, 0).expect("memory for shared_info");
        sys.platform.zero(shared_info);
        let domain = FrameBox::new(&sys.memory, &sys.platform, || {
            let mut domain =
                Domain::new(id, spec.width, spec.privileged, shared_info, HV_START_PV32);
            domain.limits = spec.limits;
            domain
        })
        .expect("memory for a domain");
        let domain = sys.domains.add(domain).ok().expect("a number for the domain");
        if spec.privileged {
            domain.permissions.give_hardware(&sys).expect("room for the ranges");
        }
        domain.max_pages.store(spec.pages as u32, Ordering::Relaxed);
        domain.pages.store(spec.pages as u32, Ordering::Relaxed);

        let frames: Vec<Mfn> = (0..spec.pages)
            .map(|pfn| {
                let mfn = sys.memory.allocate(owner, 0).expect("memory for the guest");
                sys.platform.zero(mfn);
                sys.memory.set_m2p(mfn, pfn);
                mfn
            })
            .collect();
        let (root, tables) = Tables::build(&sys, &spec, &frames);

        sys.lend(domain, shared_info);
        let root_type = Type::root_of(spec.width);
        sys.page_types(domain).pin(root, root_type).expect("the tables are valid");
        for number in 0..spec.vcpus {
            sys.create_vcpu(domain, VcpuId::new(number)).expect("memory for a vCPU");
        }
        Guest {
            regs: Guest::start_registers(spec.width),
            id,
            vcpu: VcpuId::new(0),
            continuations: 0,
            base: spec.base,
            frames,
            root,
            tables,
            next_page: SCRATCH_PAGES,
            scratch: 0,
            sys,
        }
    }

    /// Gives a vCPU that is down the guest's first page tables.
    pub fn prepare_vcpu(&mut self, number: u32) {
        let sys = Arc::clone(&self.sys);
        let domain = sys.domain(self.id).expect("the guest's domain exists");
        let vcpu = domain.vcpu(VcpuId::new(number)).expect("the guest has the vCPU");
        let root_type = Type::root_of(domain.width());
        sys.page_types(domain).get(self.root, root_type).expect("one more reference");
        {
            let mut state = vcpu.state.lock();
            state.root = self.root;
            state.regs = Guest::start_registers(domain.width());
            match domain.width() {
                Width::Pv32 => {
                    let slot = &sys.platform.words(state.l4)[0];
                    slot.store(self.root.raw() << 12 | TABLE, Ordering::Relaxed);
                }
                Width::Pv64 => {
                    // Nothing fills in the hypervisor's half of a guest's own L4 yet.
                    state.l4 = self.root;
                    sys.platform.words(self.root)[256].store(HYPERVISOR_MARK, Ordering::Relaxed);
                }
            }
        }
    }

    /// Starts a vCPU with the guest's first page tables, and lets its CPU run it.
    pub fn start_vcpu(&mut self, number: u32) {
        self.prepare_vcpu(number);
        let sys = Arc::clone(&self.sys);
        let domain = sys.domain(self.id).expect("the guest's domain exists");
        let vcpu = domain.vcpu(VcpuId::new(number)).expect("the guest has the vCPU");
        assert!(!vcpu.run.is_up(), "the vCPU was down");
        sched::start(&sys, domain, vcpu);
        let cpu = vcpu.run.cpu().expect("it is settled");
        self.run_as(number);
        sys.loading(domain, vcpu);
        sys.platform.load_root(vcpu.state.lock().l4);
        sched::next(&sys, cpu).expect("its CPU finds it");
    }
}

/// The page tables in the making. They are taken from the end of the guest's frames.
struct Tables<'a> {
    machine: &'a FakeMachine,
    levels: u32,
    frames: &'a [Mfn],
    used: Vec<Mfn>,
}

impl Tables<'_> {
    /// Maps all of `frames` from the base on; returns the root and all tables.
    fn build(sys: &System<FakeMachine>, spec: &Spec, frames: &[Mfn]) -> (Mfn, Vec<Mfn>) {
        assert!(spec.base.is_multiple_of(1 << 21), "the base is a multiple of 2 MiB");
        let levels = match spec.width {
            Width::Pv32 => 3,
            Width::Pv64 => 4,
        };
        let mut tables = Tables { machine: &sys.platform, levels, frames, used: Vec::new() };
        let root = tables.take();
        if spec.width == Width::Pv32 {
            // Slot 3 has a table in any case.
            tables.table(root, 0xc000_0000, 2);
        }
        for (pfn, mfn) in frames.iter().enumerate() {
            let va = spec.base + 4096 * pfn as u64;
            let table = tables.table(root, va, 1);
            tables.set(table, va, 1, mfn.raw() << 12 | PAGE);
        }
        for table in tables.used.clone() {
            let pfn = frames.iter().position(|f| *f == table).unwrap_or_default();
            let va = spec.base + 4096 * pfn as u64;
            let level1 = tables.table(root, va, 1);
            tables.set(level1, va, 1, table.raw() << 12 | PAGE & !WRITABLE);
        }
        (root, tables.used)
    }

    fn take(&mut self) -> Mfn {
        let mfn = self.frames[self.frames.len() - 1 - self.used.len()];
        self.used.push(mfn);
        mfn
    }

    /// The table of level `level` that translates `va`, made if it is not there.
    fn table(&mut self, root: Mfn, va: u64, level: u32) -> Mfn {
        let mut table = root;
        for above in (level + 1..=self.levels).rev() {
            let index = (va >> (12 + 9 * (above - 1)) & 0x1ff) as usize;
            let entry = self.machine.words(table)[index].load(Ordering::Relaxed);
            table = if entry & 1 == 0 {
                let next = self.take();
                let flags = if self.levels == 3 && above == 3 { PAE_ROOT_ENTRY } else { TABLE };
                self.set(table, va, above, next.raw() << 12 | flags);
                next
            } else {
                Mfn::new(entry >> 12 & 0xff_ffff_ffff)
            };
        }
        table
    }

    fn set(&self, table: Mfn, va: u64, level: u32, entry: u64) {
        let index = (va >> (12 + 9 * (level - 1)) & 0x1ff) as usize;
        self.machine.words(table)[index].store(entry, Ordering::Relaxed);
    }
}

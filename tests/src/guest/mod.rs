//! A domain on the simulated machine, and the code that runs in it.
//!
//! A [`Guest`] makes hypercalls as a kernel does (registers in, registers out, the same call
//! again after a continuation) and reads and writes its memory at virtual addresses, through
//! the same page walk as everybody.
//!
//! Its memory: pseudo-physical frame n is mapped at `base + n * 4096`, all writable but its
//! page tables, which are its last frames. The first [`SCRATCH_PAGES`] serve as the place for
//! arguments of hypercalls; the others are handed out by [`Guest::page`].

mod build;
pub mod descriptors;
pub mod grants;
mod memory;
pub mod mmu;
pub mod traps;

use std::sync::Arc;

use hypervisor::domain::Domain;
use hypervisor::domain::limits::Limits;
use hypervisor::domain::vcpu::Vcpu;
use hypervisor::guest::Ctx;
use hypervisor::guest::regs::UserRegs;
use hypervisor::hypercall;
use hypervisor::platform::Cpus;
use hypervisor::sched;
use hypervisor::system::System;
use hypervisor::width::Width;
use pv_abi::types::{DomId, Mfn, VcpuId};
use pv_abi::x86_32;

use crate::boot;
use crate::machine::FakeMachine;

pub use memory::Page;

/// Pages at the start of a guest's memory where [`Guest::arg`] puts arguments.
pub const SCRATCH_PAGES: u64 = 8;
/// Where the guest's hypercall instruction is.
pub(crate) const HYPERCALL_AT: u64 = 0x1000;
/// Continuations after which a hypercall is taken to go on for ever.
const MAX_CONTINUATIONS: u64 = 1_000_000;

/// What a test's guest is to be.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The kind of its kernel.
    pub width: Width,
    /// Its number.
    pub id: u16,
    /// Whether it is privileged.
    pub privileged: bool,
    /// Its frames.
    pub pages: u64,
    /// Where pseudo-physical frame 0 is mapped; a multiple of 2 MiB.
    pub base: u64,
    /// Its vCPUs. The first is started; [`Guest::start_vcpu`] starts others.
    pub vcpus: u32,
    /// What else it may have.
    pub limits: Limits,
}

impl Default for Spec {
    fn default() -> Spec {
        Spec {
            width: Width::Pv32,
            id: 0,
            privileged: true,
            pages: 256,
            base: 0xc000_0000,
            vcpus: 1,
            limits: Limits::default(),
        }
    }
}

/// A domain and the code that runs on one of its vCPUs.
pub struct Guest {
    /// The machine it is on.
    pub sys: Arc<System<FakeMachine>>,
    /// Its number.
    pub id: DomId,
    /// The vCPU that the code runs on.
    pub vcpu: VcpuId,
    /// Its registers.
    pub regs: UserRegs,
    /// How often a hypercall was interrupted and made again.
    pub continuations: u64,
    /// Where pseudo-physical frame 0 is mapped.
    pub base: u64,
    /// The frames it was given, by pseudo-physical number.
    pub frames: Vec<Mfn>,
    /// Its root page table.
    pub root: Mfn,
    /// All page tables it started with, in no order, the root among them.
    pub tables: Vec<Mfn>,
    next_page: u64,
    scratch: u64,
}

impl Guest {
    /// A privileged pv32 guest, kernel at 3 GiB, alone on a machine with one CPU.
    pub fn pv32() -> Guest {
        Guest::with(Spec::default())
    }

    /// A guest alone on a machine with as many CPUs as it has vCPUs.
    pub fn with(spec: Spec) -> Guest {
        let sys = boot::system(boot::FRAMES.max(2 * spec.pages as usize), spec.vcpus as usize);
        Guest::on(sys, spec)
    }

    /// Its domain.
    pub fn domain(&self) -> &Domain {
        self.sys.domain(self.id).expect("the guest's domain exists")
    }

    /// The vCPU that the code runs on.
    pub fn vcpu(&self) -> &Vcpu {
        self.domain().vcpu(self.vcpu).expect("the guest's vCPU exists")
    }

    /// The machine.
    pub fn machine(&self) -> &FakeMachine {
        &self.sys.platform
    }

    /// Goes on as vCPU `vcpu`, on its CPU.
    pub fn run_as(&mut self, vcpu: u32) {
        self.vcpu = VcpuId::new(vcpu);
        if let Some(cpu) = self.vcpu().run.cpu() {
            self.machine().run_on(cpu);
        }
    }

    /// Runs hypervisor code for the guest's vCPU, as after an entry from it.
    pub fn enter<T>(&mut self, f: impl FnOnce(&mut Ctx<'_, FakeMachine>) -> T) -> T {
        let sys = Arc::clone(&self.sys);
        let domain = sys.domain(self.id).expect("the guest's domain exists");
        let vcpu = domain.vcpu(self.vcpu).expect("the guest's vCPU exists");
        let mut state = vcpu.state.try_lock().expect("nobody holds the vCPU's state");
        let mut ctx = Ctx {
            sys: &sys,
            domain,
            width: domain.width(),
            vcpu,
            state: &mut state,
            regs: &mut self.regs,
        };
        f(&mut ctx)
    }

    /// Makes a hypercall and returns its result, negative for an errno. Missing arguments are
    /// junk, as in a real kernel's registers.
    pub fn call(&mut self, number: u32, args: &[u64]) -> i64 {
        self.set_call(number, args);
        let before = self.continuations;
        loop {
            if let Some(result) = self.step() {
                return result;
            }
            assert!(
                self.continuations - before < MAX_CONTINUATIONS,
                "hypercall {number} does not come to an end"
            );
        }
    }

    /// Executes the hypercall instruction once, with the registers as they are. `None`: it is to
    /// be executed again.
    pub fn step(&mut self) -> Option<i64> {
        let result = self.step_alone();
        if result.is_none() {
            self.others_take_kicks();
        }
        result
    }

    /// The same on this CPU alone: the others do nothing meanwhile.
    pub fn step_alone(&mut self) -> Option<i64> {
        self.regs.rip = HYPERCALL_AT + 2;
        self.enter(hypercall::enter);
        if self.regs.rip == HYPERCALL_AT {
            self.continuations += 1;
            return None;
        }
        Some(match self.domain().width() {
            Width::Pv32 => i64::from(self.regs.rax as u32 as i32),
            Width::Pv64 => self.regs.rax as i64,
        })
    }

    /// Meanwhile the other CPUs take the interrupts that they were sent, and leave vCPUs that may
    /// not run on.
    fn others_take_kicks(&self) {
        let (sys, machine) = (&*self.sys, self.machine());
        let here = machine.this_cpu();
        for cpu in (0..machine.count()).filter(|cpu| *cpu != here) {
            let kicks = {
                let mut cpu = machine.cpu(cpu);
                let sent = cpu.kicks;
                std::mem::replace(&mut cpu.kicks_taken, sent) != sent
            };
            if !kicks {
                continue;
            }
            machine.run_on(cpu);
            sched::kicked(sys, cpu);
            let current = sys.scheduler.glance(cpu).and_then(|glance| glance.current);
            if let Some((domain, vcpu)) = current.and_then(|vcpu| vcpu.resolve(&sys.domains))
                && !vcpu.run.may_run_on()
            {
                let (mut state, mut regs) = (vcpu.state.lock(), UserRegs::default());
                let ctx = Ctx {
                    sys,
                    domain,
                    width: domain.width(),
                    vcpu,
                    state: &mut state,
                    regs: &mut regs,
                };
                sched::stopped_running(&ctx);
                drop(state);
                sched::next(sys, cpu);
            }
        }
        machine.run_on(here);
    }

    /// Fills in the registers for a hypercall.
    pub fn set_call(&mut self, number: u32, args: &[u64]) {
        const JUNK: u64 = 0xdead_beef;
        let mut words = [JUNK; 6];
        for (word, arg) in words.iter_mut().zip(args) {
            *word = *arg;
        }
        let [a, b, c, d, e, f] = words;
        let r = &mut self.regs;
        r.rax = u64::from(number);
        match self.sys.domain(self.id).map(|d| d.width()) {
            Some(Width::Pv64) => (r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9) = (a, b, c, d, e, f),
            _ => (r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp) = (a, b, c, d, e, f),
        }
    }

    /// What the guest's kernel starts with in its registers: interrupts on, flat segments.
    pub(crate) fn start_registers(width: Width) -> UserRegs {
        let mut regs = UserRegs { rflags: 0x202, rip: HYPERCALL_AT, ..UserRegs::default() };
        match width {
            Width::Pv32 => {
                regs.cs = x86_32::FLAT_RING1_CS;
                regs.ss = x86_32::FLAT_RING1_SS;
            }
            Width::Pv64 => {
                regs.cs = pv_abi::x86_64::FLAT_KERNEL_CS;
                regs.ss = pv_abi::x86_64::FLAT_KERNEL_SS;
            }
        }
        regs
    }
}

//! All CPUs of a simulated machine at work: what the loop in `arch` does, in virtual time.
//!
//! vCPUs have no code here: each computes for ever, until a test makes it sleep. Time goes from
//! one interrupt to the next.

use std::sync::Arc;

use hypervisor::domain::Domain;
use hypervisor::domain::vcpu::Vcpu;
use hypervisor::guest::Ctx;
use hypervisor::guest::regs::UserRegs;
use hypervisor::platform::{Clock, Cpus as _};
use hypervisor::sched;
use hypervisor::sched::vcpu_ref::VcpuRef;
use hypervisor::system::System;
use hypervisor::time;

use crate::machine::FakeMachine;

/// The CPUs of a machine.
pub struct Cpus {
    /// The machine.
    pub sys: Arc<System<FakeMachine>>,
    /// Kicks that each has seen.
    kicks: Vec<u64>,
    /// Whose state is in its registers.
    loaded: Vec<Option<VcpuRef>>,
}

impl Cpus {
    /// All idle, or running what `next` has made them run.
    pub fn new(sys: &Arc<System<FakeMachine>>) -> Cpus {
        let count = sys.platform.count();
        let loaded = (0..count).map(|cpu| sys.scheduler.glance(cpu).unwrap().current).collect();
        let mut cpus = Cpus { sys: Arc::clone(sys), kicks: vec![0; count as usize], loaded };
        for cpu in 0..count {
            if let Some((_, vcpu)) = cpus.current(cpu) {
                vcpu.run.set_loaded_on(Some(cpu));
            }
            cpus.attend(cpu);
        }
        cpus
    }

    /// Who runs on `cpu`.
    pub fn current(&self, cpu: u32) -> Option<(&Domain, &Vcpu)> {
        self.sys.scheduler.glance(cpu)?.current?.resolve(&self.sys.domains)
    }

    /// Lets `ns` pass.
    pub fn run_for(&mut self, ns: u64) {
        let end_ns = self.sys.platform.now_ns() + ns;
        loop {
            self.settle();
            let now_ns = self.sys.platform.now_ns();
            let deadline = |cpu| self.sys.platform.cpu(cpu).deadline_ns;
            let cpus = 0..self.sys.platform.count();
            let next_ns = cpus.filter_map(deadline).min().unwrap_or(u64::MAX);
            if next_ns >= end_ns {
                self.sys.platform.advance_ns(end_ns - now_ns);
                return;
            }
            self.sys.platform.advance_ns(next_ns.saturating_sub(now_ns));
            self.timers();
        }
    }

    /// Timer interrupts that are due.
    fn timers(&mut self) {
        let now_ns = self.sys.platform.now_ns();
        for cpu in 0..self.sys.platform.count() {
            let due = self.sys.platform.cpu(cpu).deadline_ns.is_some_and(|at| at <= now_ns);
            if due {
                self.sys.platform.run_on(cpu);
                self.sys.platform.cpu(cpu).deadline_ns = None;
                time::expired(&self.sys, cpu);
                self.attend(cpu);
            }
        }
    }

    /// Lets every CPU do what it has been kicked for, until nothing is left to do.
    ///
    /// The one that the test's own calls were made on needs no kick: it was in the hypervisor.
    pub fn settle(&mut self) {
        self.attend(self.sys.platform.this_cpu());
        for _ in 0..1000 {
            let mut quiet = true;
            for cpu in 0..self.sys.platform.count() {
                let kicks = self.sys.platform.cpu(cpu).kicks;
                if std::mem::replace(&mut self.kicks[cpu as usize], kicks) != kicks {
                    quiet = false;
                    self.sys.platform.run_on(cpu);
                    sched::kicked(&self.sys, cpu);
                    self.attend(cpu);
                }
            }
            if quiet {
                return;
            }
        }
        panic!("the CPUs kick each other for ever");
    }

    /// The way out of the hypervisor on `cpu`: what runs there goes on, or something else does.
    pub fn attend(&mut self, cpu: u32) {
        let sys = Arc::clone(&self.sys);
        sys.platform.run_on(cpu);
        if let Some((domain, vcpu)) = self.current(cpu) {
            if vcpu.run.may_run_on() {
                return;
            }
            self.stop(domain, vcpu);
        }
        let next = sched::next(&sys, cpu).map(|(_, vcpu)| vcpu);
        let slot = self.loaded[cpu as usize];
        let old = slot.and_then(|old| old.resolve(&sys.domains)).map(|(_, vcpu)| vcpu);
        if let Some(old) = old {
            let stays = match next {
                Some(next) => std::ptr::eq(old, next),
                None => old.run.may_stay_loaded(cpu),
            };
            if stays {
                return;
            }
            old.run.set_loaded_on(None);
        }
        self.loaded[cpu as usize] = next.map(VcpuRef::of);
        if let Some(next) = next {
            // On the real machine the CPU waits for the other one here.
            if let Some(other) = next.run.loaded_on() {
                assert_ne!(other, cpu);
                assert!(self.current(other).is_none(), "it is in use there");
                self.loaded[other as usize] = None;
            }
            next.run.set_loaded_on(Some(cpu));
        }
    }

    fn stop(&self, domain: &Domain, vcpu: &Vcpu) {
        let mut state = vcpu.state.try_lock().expect("nobody holds the vCPU's state");
        let mut regs = UserRegs::default();
        let sys = &*self.sys;
        sched::stopped_running(&Ctx {
            sys,
            domain,
            width: domain.width(),
            vcpu,
            state: &mut state,
            regs: &mut regs,
        });
    }
}

//! Random sequences of what happens to vCPUs, on one to four CPUs: none is lost, none is at two
//! places, and no CPU idles while somebody waits that it may run.

use std::sync::Arc;

use hypervisor::domain::vcpu::Vcpu;
use hypervisor::platform::Cpus as _;
use hypervisor::sched::affinity::set_affinity;
use hypervisor::sched::domain::set_cap;
use hypervisor::sched::vcpu_ref::VcpuRef;
use hypervisor::sched::{self, State, hold};
use proptest::prelude::*;
use pv_abi::hypercall::SCHED_OP;
use pv_abi::sched::{SCHEDOP_BLOCK, SCHEDOP_YIELD};
use pv_abi::types::VcpuId;
use pv_tests::boot;
use pv_tests::cpus::Cpus;
use pv_tests::guest::{Guest, Spec};
use std::cell::RefCell;

const DOMAINS: usize = 3;
const VCPUS: u32 = 3;

/// Something that happens.
#[derive(Clone, Copy, Debug)]
enum Op {
    Start(usize, u32),
    Down(usize, u32),
    Wake(usize, u32),
    Hold(usize),
    Release(usize),
    Block(u32),
    Yield(u32),
    Affinity(usize, u32, u32),
    Weight(usize, u32),
    Cap(usize, u32),
    Run(u64),
    /// The vCPU goes for good; it may be started no more.
    Forget(usize, u32),
}

fn op() -> impl Strategy<Value = Op> {
    let (d, v) = (0..DOMAINS, 0..VCPUS);
    prop_oneof![
        4 => (d.clone(), v.clone()).prop_map(|(d, v)| Op::Start(d, v)),
        2 => (d.clone(), v.clone()).prop_map(|(d, v)| Op::Down(d, v)),
        4 => (d.clone(), v.clone()).prop_map(|(d, v)| Op::Wake(d, v)),
        1 => d.clone().prop_map(Op::Hold),
        2 => d.clone().prop_map(Op::Release),
        4 => (0..4u32).prop_map(Op::Block),
        3 => (0..4u32).prop_map(Op::Yield),
        2 => (d.clone(), v.clone(), 0..16u32).prop_map(|(d, v, m)| Op::Affinity(d, v, m)),
        1 => (d.clone(), 1..2000u32).prop_map(|(d, w)| Op::Weight(d, w)),
        1 => (d.clone(), 0..120u32).prop_map(|(d, c)| Op::Cap(d, c)),
        3 => (0..40_000_000u64).prop_map(Op::Run),
        1 => (d, v).prop_map(|(d, v)| Op::Forget(d, v)),
    ]
}

struct World {
    cpus: Cpus,
    guests: Vec<Guest>,
    gone: Vec<VcpuRef>,
}

impl World {
    fn new(count: usize) -> World {
        let sys = boot::system(6000, count);
        let mut guests = Vec::new();
        for id in 0..DOMAINS as u16 {
            let spec = Spec { id, pages: 64, vcpus: VCPUS, ..Spec::default() };
            let mut guest = Guest::idle_on(Arc::clone(&sys), spec);
            (0..VCPUS).for_each(|vcpu| guest.prepare_vcpu(vcpu));
            guests.push(guest);
        }
        World { cpus: Cpus::new(&sys), guests, gone: Vec::new() }
    }

    fn vcpu(&self, domain: usize, id: u32) -> &Vcpu {
        self.guests[domain].domain().vcpu(VcpuId::new(id)).unwrap()
    }

    /// The one that runs on `cpu` makes a `sched_op`.
    fn call(&mut self, cpu: u32, cmd: u32) {
        let Some((domain, vcpu)) = self.cpus.current(cpu) else { return };
        let (domain, vcpu) = (usize::from(domain.id.raw()), vcpu.id);
        self.cpus.sys.platform.run_on(cpu);
        let guest = &mut self.guests[domain];
        guest.vcpu = vcpu;
        assert_eq!(guest.call(SCHED_OP, &[cmd.into(), 0]), 0);
    }

    fn apply(&mut self, op: Op) {
        let sys = Arc::clone(&self.cpus.sys);
        match op {
            Op::Start(d, v) => {
                let vcpu = self.vcpu(d, v);
                if !self.gone.contains(&VcpuRef::of(vcpu)) {
                    sched::start(&sys, self.guests[d].domain(), vcpu);
                }
            }
            Op::Down(d, v) => sched::down(&sys, self.vcpu(d, v)),
            Op::Wake(d, v) => sched::wake(&sys, self.guests[d].domain(), self.vcpu(d, v)),
            Op::Hold(d) => hold::hold(&sys, self.guests[d].domain()),
            Op::Release(d) => hold::release(&sys, self.guests[d].domain()),
            Op::Block(cpu) => self.call(cpu, SCHEDOP_BLOCK),
            Op::Yield(cpu) => self.call(cpu, SCHEDOP_YIELD),
            Op::Affinity(d, v, mask) => {
                let _ = set_affinity(&sys, self.vcpu(d, v), mask);
            }
            Op::Weight(d, weight) => self.guests[d].domain().run.set_weight(weight).unwrap(),
            Op::Cap(d, percent) => set_cap(&sys, self.guests[d].domain(), percent),
            Op::Run(ns) => self.cpus.run_for(ns),
            Op::Forget(d, v) => {
                let vcpu = self.vcpu(d, v);
                sched::down(&sys, vcpu);
                self.cpus.settle();
                let vcpu = self.vcpu(d, v);
                assert_eq!(hold::forget(&sys, vcpu), Ok(()));
                self.gone.push(VcpuRef::of(vcpu));
            }
        }
        self.cpus.settle();
    }

    fn check(&self) {
        let sys = &self.cpus.sys;
        let count = sys.platform.count();
        let waiting: Vec<Vec<VcpuRef>> = (0..count)
            .map(|cpu| {
                let found = RefCell::new(Vec::new());
                let see = |vcpu: &Vcpu| found.borrow_mut().push(VcpuRef::of(vcpu));
                sys.scheduler.for_each_waiting(&sys.domains, cpu, see);
                found.into_inner()
            })
            .collect();
        for vcpu in self.guests.iter().flat_map(|guest| guest.domain().vcpus()) {
            let name = VcpuRef::of(vcpu);
            let runs_on: Vec<u32> = (0..count)
                .filter(|cpu| self.cpus.current(*cpu).is_some_and(|(_, on)| std::ptr::eq(on, vcpu)))
                .collect();
            let waits_for: Vec<u32> = (0..count)
                .flat_map(|cpu| waiting[cpu as usize].iter().map(move |who| (cpu, *who)))
                .filter_map(|(cpu, who)| (who == name).then_some(cpu))
                .collect();
            assert!(runs_on.len() + waits_for.len() <= 1, "{name}: {runs_on:?} {waits_for:?}");
            assert_eq!(vcpu.run.is_on_cpu(), runs_on.len() == 1, "{name}");
            assert_eq!(vcpu.run.is_queued(), waits_for.len() == 1, "{name}");
            match vcpu.run.state() {
                State::Running => assert_eq!(runs_on.len(), 1, "{name}"),
                State::Runnable if vcpu.run.can_run() => {
                    assert_eq!(waits_for.len(), 1, "{name} is forgotten");
                }
                State::Runnable => assert!(runs_on.is_empty(), "{name} is held"),
                State::Blocked | State::Offline => assert!(runs_on.is_empty(), "{name}"),
            }
            for cpu in runs_on.iter().chain(&waits_for) {
                assert_eq!(vcpu.run.cpu(), Some(*cpu), "{name}");
                assert!(vcpu.run.allowed() & 1 << cpu != 0, "{name} must not be on CPU {cpu}");
            }
            // No CPU idles that might run it.
            if vcpu.run.state() == State::Runnable && vcpu.run.can_run() {
                for cpu in (0..count).filter(|cpu| vcpu.run.allowed() & 1 << cpu != 0) {
                    assert!(self.cpus.current(cpu).is_some(), "CPU {cpu} idles, {name} waits");
                }
            }
            if self.gone.contains(&name) {
                assert_eq!((vcpu.run.cpu(), vcpu.run.loaded_on()), (None, None), "{name} is gone");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn vcpus_are_where_they_belong(
        count in 1..=4usize,
        ops in proptest::collection::vec(op(), 1..120),
    ) {
        let mut world = World::new(count);
        for op in ops {
            world.apply(op);
            world.check();
        }
    }
}

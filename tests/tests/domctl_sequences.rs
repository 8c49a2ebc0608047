//! Random lives of domains: whatever a toolstack asks for in whatever order, the rules of memory
//! hold after each step, and when all domains are destroyed nothing is left of them.

use std::collections::BTreeMap;

use hypervisor::sched;
use proptest::prelude::*;
use pv_abi::domctl::*;
use pv_abi::memory::XENMEM_DECREASE_RESERVATION;
use pv_abi::types::{DomId, Mfn};
use pv_tests::check;
use pv_tests::guest::Guest;
use pv_tests::toolstack::Made;

/// One thing that a toolstack does. Domains are named by small numbers, taken from those that
/// there are.
#[derive(Clone, Debug)]
enum Op {
    /// With so many pages, or bare.
    Create(Option<u8>),
    Populate(u8, u8),
    Decrease(u8, u8),
    Context(u8),
    Pause(u8),
    Unpause(u8),
    Width(u8, u32),
    Vcpus(u8),
    Shutdown(u8),
    Resume(u8),
    /// Makes the call so many times, without waiting for its end.
    Destroy(u8, u8),
    /// Refers to a frame as a foreign mapping would.
    Use(u8, u8),
    /// Ends that.
    Let,
}

fn op() -> impl Strategy<Value = Op> {
    let d = 0..4_u8;
    prop_oneof![
        3 => prop::option::weighted(0.7, 8..24_u8).prop_map(Op::Create),
        2 => (d.clone(), 1..6_u8).prop_map(|(d, n)| Op::Populate(d, n)),
        2 => (d.clone(), 0..30_u8).prop_map(|(d, n)| Op::Decrease(d, n)),
        1 => d.clone().prop_map(Op::Context),
        2 => d.clone().prop_map(Op::Pause),
        3 => d.clone().prop_map(Op::Unpause),
        1 => (d.clone(), prop::sample::select(vec![32, 64])).prop_map(|(d, s)| Op::Width(d, s)),
        1 => d.clone().prop_map(Op::Vcpus),
        1 => d.clone().prop_map(Op::Shutdown),
        1 => d.clone().prop_map(Op::Resume),
        4 => (d.clone(), 1..8_u8).prop_map(|(d, n)| Op::Destroy(d, n)),
        2 => (d, 0..30_u8).prop_map(|(d, n)| Op::Use(d, n)),
        1 => Just(Op::Let),
    ]
}

/// A toolstack and what it has made.
struct World {
    guest: Guest,
    made: BTreeMap<u16, Made>,
    /// Frames that are referred to.
    used: Vec<Mfn>,
}

impl World {
    fn pick(&self, number: u8) -> Option<Made> {
        self.made.values().nth(usize::from(number) % self.made.len().max(1)).cloned()
    }

    fn create(&mut self, pages: Option<u8>) {
        if self.made.len() >= 4 {
            return;
        }
        let made = match pages {
            Some(pages) => self.guest.build_domain(pages.into()),
            None => {
                let config = Guest::config(2);
                let none = DomId::new(0);
                let (result, id, _) = self.guest.domctl(XEN_DOMCTL_CREATEDOMAIN, none, &config);
                assert_eq!(result, 0);
                Made { id, frames: Vec::new() }
            }
        };
        self.made.insert(made.id.raw(), made);
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Create(pages) => return self.create(pages),
            Op::Let => {
                if let Some(mfn) = self.used.pop() {
                    self.guest.sys.put_page(mfn);
                }
                return;
            }
            _ => {}
        }
        let (Op::Populate(d, _)
        | Op::Decrease(d, _)
        | Op::Context(d)
        | Op::Pause(d)
        | Op::Unpause(d)
        | Op::Width(d, _)
        | Op::Vcpus(d)
        | Op::Shutdown(d)
        | Op::Resume(d)
        | Op::Destroy(d, _)
        | Op::Use(d, _)) = *op
        else {
            return;
        };
        let Some(made) = self.pick(d) else { return };
        let (g, id) = (&mut self.guest, made.id);
        match *op {
            Op::Populate(_, n) => drop(g.populate(id, 100, n.into())),
            Op::Decrease(_, n) => {
                if let Some(mfn) = made.frames.get(usize::from(n)) {
                    let list = [mfn.raw() as u32];
                    let _ = g.reservation(XENMEM_DECREASE_RESERVATION, &list, 0, id);
                }
            }
            Op::Context(_) if made.frames.len() > 8 => {
                let _ = g.set_context(&made, 0);
            }
            Op::Pause(_) => drop(g.command(XEN_DOMCTL_PAUSEDOMAIN, id)),
            Op::Unpause(_) => drop(g.command(XEN_DOMCTL_UNPAUSEDOMAIN, id)),
            Op::Width(_, size) => {
                let _ = g.domctl(XEN_DOMCTL_SET_ADDRESS_SIZE, id, &AddressSize { size });
            }
            Op::Vcpus(_) => drop(g.domctl(XEN_DOMCTL_MAX_VCPUS, id, &MaxVcpus { max: 2 })),
            Op::Shutdown(_) => {
                let sys = g.sys.clone();
                if let Some(domain) = sys.domain(id) {
                    sched::shutdown::shutdown(&sys, domain, 3);
                }
            }
            Op::Resume(_) => drop(g.command(XEN_DOMCTL_RESUMEDOMAIN, id)),
            Op::Destroy(_, steps) => self.destroy_for(id, steps),
            Op::Use(_, n) => {
                if let Some(mfn) = made.frames.get(usize::from(n))
                    && g.sys.memory.get_page(*mfn, id).is_ok()
                {
                    self.used.push(*mfn);
                }
            }
            _ => {}
        }
        self.made.retain(|_, made| self.guest.sys.domain(made.id).is_some());
    }

    /// Begins to destroy, or goes on, and leaves it at that.
    fn destroy_for(&mut self, id: DomId, steps: u8) {
        let op = Domctl {
            cmd: XEN_DOMCTL_DESTROYDOMAIN,
            interface_version: XEN_DOMCTL_INTERFACE_VERSION,
            domain: id,
            _pad: [0; 3],
            u: [0; 128],
        };
        let at = self.guest.arg(&op);
        self.guest.set_call(pv_abi::hypercall::DOMCTL, &[at]);
        for _ in 0..steps {
            if self.guest.step().is_some() {
                break;
            }
        }
    }

    /// Ends everything; the machine is as it was.
    fn end(&mut self) {
        while let Some(mfn) = self.used.pop() {
            self.guest.sys.put_page(mfn);
        }
        for id in self.made.keys().copied().collect::<Vec<_>>() {
            let result = self.guest.command(XEN_DOMCTL_DESTROYDOMAIN, DomId::new(id));
            assert!(result == 0 || result == -3, "{id}: {result}");
        }
        for _ in 0..20 {
            // Any domctl frees what can be freed by now; a call that is interrupted lets the
            // other CPU pass.
            let _ = self.guest.command(XEN_DOMCTL_PAUSEDOMAIN, DomId::new(400));
            let made = self.guest.build_domain(8);
            assert_eq!(self.guest.command(XEN_DOMCTL_DESTROYDOMAIN, made.id), 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_left_of_domains(cpus in 1..3_u32, ops in prop::collection::vec(op(), 1..40)) {
        let mut guest = Guest::toolstack(cpus);
        let first = guest.build_domain(8);
        assert_eq!(guest.command(XEN_DOMCTL_DESTROYDOMAIN, first.id), 0);
        let (free, windows) = (guest.sys.memory.free_and_total(), guest.sys.windows.taken());
        let mut world = World { guest, made: BTreeMap::new(), used: Vec::new() };
        for op in &ops {
            world.apply(op);
            // References that only this test knows of would be missed.
            if world.used.is_empty() {
                check::invariants(&world.guest.sys);
            }
        }
        world.end();
        check::invariants(&world.guest.sys);
        prop_assert_eq!(world.guest.sys.memory.free_and_total(), free);
        prop_assert_eq!(world.guest.sys.windows.taken(), windows);
    }
}

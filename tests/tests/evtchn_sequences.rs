//! Random sequences of event channel operations by two domains, against a model of a few
//! lines: every result, every port's status and every pending bit has to agree.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use pv_abi::errno::Errno;
use pv_abi::event_channel::*;
use pv_abi::hypercall::EVENT_CHANNEL_OP;
use pv_abi::types::{DomId, Port, VcpuId};
use pv_abi::virq::NR_VIRQS;
use pv_tests::check;
use pv_tests::guest::{Guest, Spec};
use zerocopy::FromZeros;

const VCPUS: u32 = 2;
/// Ports that exist from the start; sequences are too short to need more.
const PORTS: usize = 64;

/// What a domain does.
#[derive(Clone, Debug)]
enum Op {
    AllocUnbound {
        dom: u16,
        remote: u16,
    },
    BindInterdomain {
        remote: u16,
        port: u32,
    },
    BindVirq {
        virq: u32,
        vcpu: u32,
    },
    BindIpi {
        vcpu: u32,
    },
    BindVcpu {
        port: u32,
        vcpu: u32,
    },
    Close {
        port: u32,
    },
    Send {
        port: u32,
    },
    Unmask {
        port: u32,
    },
    /// The guest masks a port.
    Mask {
        port: u32,
    },
    /// The guest's handler takes an event.
    Take {
        port: u32,
    },
}

fn op() -> impl Strategy<Value = (usize, Op)> {
    let dom = prop_oneof![0..3u16, Just(DomId::SELF.raw())];
    let port = 0..8u32;
    let vcpu = 0..=VCPUS;
    let virq = prop_oneof![Just(0u32), Just(1), Just(2), Just(16), Just(NR_VIRQS)];
    let op = prop_oneof![
        4 => (dom.clone(), dom.clone()).prop_map(|(dom, remote)| Op::AllocUnbound { dom, remote }),
        6 => (dom, port.clone()).prop_map(|(remote, port)| Op::BindInterdomain { remote, port }),
        2 => (virq, vcpu.clone()).prop_map(|(virq, vcpu)| Op::BindVirq { virq, vcpu }),
        2 => vcpu.clone().prop_map(|vcpu| Op::BindIpi { vcpu }),
        2 => (port.clone(), vcpu).prop_map(|(port, vcpu)| Op::BindVcpu { port, vcpu }),
        4 => port.clone().prop_map(|port| Op::Close { port }),
        6 => port.clone().prop_map(|port| Op::Send { port }),
        2 => port.clone().prop_map(|port| Op::Unmask { port }),
        2 => port.clone().prop_map(|port| Op::Mask { port }),
        2 => port.prop_map(|port| Op::Take { port }),
    ];
    (0..2usize, op)
}

// ---- the model --------------------------------------------------------------------------

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Closed,
    Unbound(u16),
    To(u16, u32),
    Virq(u32),
    Ipi,
}

#[derive(Clone)]
struct Domain {
    /// State and vCPU by port.
    ports: Vec<(State, u32)>,
    pending: BTreeSet<u32>,
    masked: BTreeSet<u32>,
}

#[derive(Clone)]
struct Model([Domain; 2]);

type Outcome = Result<Option<u32>, Errno>;

impl Model {
    fn new() -> Model {
        let domain = Domain {
            ports: vec![(State::Closed, 0); PORTS],
            pending: BTreeSet::new(),
            masked: BTreeSet::new(),
        };
        Model([domain.clone(), domain])
    }

    fn named(&self, caller: usize, dom: u16) -> Result<usize, Errno> {
        match dom {
            0 | 1 => Ok(dom.into()),
            d if d == DomId::SELF.raw() => Ok(caller),
            _ => Err(Errno::ESRCH),
        }
    }

    fn allocate(&mut self, domain: usize, state: State, vcpu: u32) -> u32 {
        let ports = &mut self.0[domain].ports;
        let port = (1..PORTS).find(|p| ports[*p].0 == State::Closed).expect("a free port");
        ports[port] = (state, vcpu);
        port as u32
    }

    /// What `caller` gets for `op`.
    fn apply(&mut self, caller: usize, op: &Op) -> Outcome {
        let me = caller as u16;
        match *op {
            Op::AllocUnbound { dom, remote } => {
                let domain = self.named(caller, dom)?;
                if caller != 0 && domain != caller {
                    return Err(Errno::EPERM);
                }
                let remote = if remote == DomId::SELF.raw() { me } else { remote };
                Ok(Some(self.allocate(domain, State::Unbound(remote), 0)))
            }
            Op::BindInterdomain { remote, port } => {
                let domain = self.named(caller, remote)?;
                let (state, vcpu) = self.0[domain].ports[port as usize];
                if state != State::Unbound(me) {
                    return Err(Errno::EINVAL);
                }
                let local = self.allocate(caller, State::To(domain as u16, port), 0);
                self.0[domain].ports[port as usize] = (State::To(me, local), vcpu);
                self.0[caller].pending.insert(local);
                Ok(Some(local))
            }
            Op::BindVirq { virq, vcpu } => {
                let global = !matches!(virq, 0 | 1 | 7 | 13);
                if virq >= NR_VIRQS || global && vcpu != 0 {
                    return Err(Errno::EINVAL);
                }
                if vcpu >= VCPUS {
                    return Err(Errno::ENOENT);
                }
                let taken = |(state, at): &(State, u32)| {
                    *state == State::Virq(virq) && (global || *at == vcpu)
                };
                if self.0[caller].ports.iter().any(taken) {
                    return Err(Errno::EEXIST);
                }
                Ok(Some(self.allocate(caller, State::Virq(virq), vcpu)))
            }
            Op::BindIpi { vcpu } if vcpu >= VCPUS => Err(Errno::ENOENT),
            Op::BindIpi { vcpu } => Ok(Some(self.allocate(caller, State::Ipi, vcpu))),
            Op::BindVcpu { vcpu, .. } if vcpu >= VCPUS => Err(Errno::ENOENT),
            Op::BindVcpu { port, vcpu } => {
                let (state, at) = &mut self.0[caller].ports[port as usize];
                match state {
                    State::Closed | State::Ipi | State::Virq(0 | 1) => return Err(Errno::EINVAL),
                    _ => *at = vcpu,
                }
                Ok(None)
            }
            Op::Close { port } => {
                let (state, _) = self.0[caller].ports[port as usize];
                match state {
                    State::Closed => return Err(Errno::EINVAL),
                    State::To(dom, far) => {
                        self.0[usize::from(dom)].ports[far as usize].0 = State::Unbound(me);
                    }
                    _ => {}
                }
                self.0[caller].ports[port as usize] = (State::Closed, 0);
                self.0[caller].pending.remove(&port);
                Ok(None)
            }
            Op::Send { port } => {
                match self.0[caller].ports[port as usize].0 {
                    State::Closed | State::Virq(_) => return Err(Errno::EINVAL),
                    State::Unbound(_) => {}
                    State::Ipi => drop(self.0[caller].pending.insert(port)),
                    State::To(dom, far) => drop(self.0[usize::from(dom)].pending.insert(far)),
                }
                Ok(None)
            }
            Op::Unmask { port } => {
                if self.0[caller].ports[port as usize].0 != State::Closed {
                    self.0[caller].masked.remove(&port);
                }
                Ok(None)
            }
            Op::Mask { port } => {
                self.0[caller].masked.insert(port);
                Ok(None)
            }
            Op::Take { port } => {
                self.0[caller].pending.remove(&port);
                Ok(None)
            }
        }
    }
}

// ---- the real thing ---------------------------------------------------------------------

fn perform(guest: &mut Guest, op: &Op) -> Outcome {
    guest.load();
    fn outcome(result: i64, port: Option<Port>) -> Outcome {
        match Errno::from_ret(result) {
            Some(errno) => Err(errno),
            None => Ok(port.map(Port::raw)),
        }
    }
    let port_op =
        |guest: &mut Guest, cmd, port: u32| outcome(guest.op(EVENT_CHANNEL_OP, cmd, &port).0, None);
    let nr = EVENT_CHANNEL_OP;
    let none = Port::new(0);
    match *op {
        Op::AllocUnbound { dom, remote } => {
            let (dom, remote_dom) = (DomId::new(dom), DomId::new(remote));
            let arg = EvtchnAllocUnbound { dom, remote_dom, port: none };
            let (result, out) = guest.op(nr, EVTCHNOP_ALLOC_UNBOUND, &arg);
            outcome(result, Some(out.port))
        }
        Op::BindInterdomain { remote, port } => {
            let arg = EvtchnBindInterdomain {
                remote_dom: DomId::new(remote),
                remote_port: Port::new(port),
                ..EvtchnBindInterdomain::new_zeroed()
            };
            let (result, out) = guest.op(nr, EVTCHNOP_BIND_INTERDOMAIN, &arg);
            outcome(result, Some(out.local_port))
        }
        Op::BindVirq { virq, vcpu } => {
            let arg = EvtchnBindVirq { virq, vcpu: VcpuId::new(vcpu), port: none };
            let (result, out) = guest.op(nr, EVTCHNOP_BIND_VIRQ, &arg);
            outcome(result, Some(out.port))
        }
        Op::BindIpi { vcpu } => {
            let arg = EvtchnBindIpi { vcpu: VcpuId::new(vcpu), port: none };
            let (result, out) = guest.op(nr, EVTCHNOP_BIND_IPI, &arg);
            outcome(result, Some(out.port))
        }
        Op::BindVcpu { port, vcpu } => {
            let arg = EvtchnBindVcpu { port: Port::new(port), vcpu: VcpuId::new(vcpu) };
            outcome(guest.op(nr, EVTCHNOP_BIND_VCPU, &arg).0, None)
        }
        Op::Close { port } => port_op(guest, EVTCHNOP_CLOSE, port),
        Op::Send { port } => port_op(guest, EVTCHNOP_SEND, port),
        Op::Unmask { port } => port_op(guest, EVTCHNOP_UNMASK, port),
        Op::Mask { port } => {
            guest.set_masked(port, true);
            Ok(None)
        }
        Op::Take { port } => {
            guest.clear_pending(port);
            Ok(None)
        }
    }
}

fn agrees(guest: &mut Guest, model: &Domain) {
    guest.load();
    for port in 0..12u32 {
        let (state, vcpu) = model.ports[port as usize];
        let arg =
            EvtchnStatus { dom: DomId::SELF, port: Port::new(port), ..EvtchnStatus::new_zeroed() };
        let (result, out) = guest.op(EVENT_CHANNEL_OP, EVTCHNOP_STATUS, &arg);
        assert_eq!(result, 0);
        let found = match out.status {
            EVTCHNSTAT_CLOSED => State::Closed,
            EVTCHNSTAT_UNBOUND => State::Unbound(out.u.dom.raw()),
            EVTCHNSTAT_INTERDOMAIN => State::To(out.u.dom.raw(), out.u.port.raw()),
            EVTCHNSTAT_VIRQ => State::Virq(out.u.irq()),
            EVTCHNSTAT_IPI => State::Ipi,
            other => panic!("status {other}"),
        };
        assert_eq!((found, out.vcpu.raw()), (state, vcpu), "port {port}");
        assert_eq!(guest.pending(port), model.pending.contains(&port), "pending {port}");
        assert_eq!(guest.masked(port), model.masked.contains(&port), "masked {port}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn two_domains_and_the_model_agree(ops in proptest::collection::vec(op(), 1..40)) {
        let zero = Guest::with(Spec { vcpus: VCPUS, ..Spec::default() });
        let spec = Spec { id: 1, privileged: false, vcpus: VCPUS, ..Spec::default() };
        let one = Guest::on(Arc::clone(&zero.sys), spec);
        let (mut guests, mut model) = ([zero, one], Model::new());
        for (caller, op) in &ops {
            let expected = model.apply(*caller, op);
            prop_assert_eq!(perform(&mut guests[*caller], op), expected, "{:?} by {}", op, caller);
            for (guest, domain) in guests.iter_mut().zip(&model.0) {
                agrees(guest, domain);
            }
        }
        check::invariants(&guests[0].sys);
    }
}

//! Random sequences of event channel operations by two domains, against a model of a few
//! lines: every result, every port's status, every pending bit and the order in which a queue
//! is drained have to agree, whichever ABI a domain has changed to.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hypervisor::width::Width;
use proptest::prelude::*;
use pv_abi::errno::Errno;
use pv_abi::event_channel::*;
use pv_abi::hypercall::EVENT_CHANNEL_OP;
use pv_abi::types::{DomId, Port, VcpuId};
use pv_abi::virq::NR_VIRQS;
use pv_tests::fifo::{Fifo, MASKED, PENDING};
use pv_tests::guest::{Guest, Spec};
use pv_tests::{channels, check};
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
    /// The guest takes an event behind its handler's back.
    Take {
        port: u32,
    },
    /// A number that a domain was not given, or that no domain can have.
    BindPirq {
        pirq: u32,
    },
    SetPriority {
        port: u32,
        priority: u32,
    },
    /// A control block for the next vCPU.
    InitControl,
    /// A page of words.
    ExpandArray,
    /// The guest's handler runs on a vCPU.
    Drain {
        vcpu: u32,
    },
    Reset,
}

fn op() -> impl Strategy<Value = (usize, Op)> {
    let dom = prop_oneof![0..3u16, Just(DomId::SELF.raw())];
    let port = prop_oneof![3 => 1..5u32, 1 => 0..8u32];
    let vcpu = 0..=VCPUS;
    let virq = prop_oneof![Just(0u32), Just(1), Just(2), Just(16), Just(NR_VIRQS)];
    let op = prop_oneof![
        4 => (dom.clone(), dom.clone()).prop_map(|(dom, remote)| Op::AllocUnbound { dom, remote }),
        6 => (dom, port.clone()).prop_map(|(remote, port)| Op::BindInterdomain { remote, port }),
        2 => (virq, vcpu.clone()).prop_map(|(virq, vcpu)| Op::BindVirq { virq, vcpu }),
        2 => vcpu.clone().prop_map(|vcpu| Op::BindIpi { vcpu }),
        2 => (port.clone(), vcpu).prop_map(|(port, vcpu)| Op::BindVcpu { port, vcpu }),
        3 => port.clone().prop_map(|port| Op::Close { port }),
        20 => port.clone().prop_map(|port| Op::Send { port }),
        2 => port.clone().prop_map(|port| Op::Unmask { port }),
        2 => port.clone().prop_map(|port| Op::Mask { port }),
        2 => port.clone().prop_map(|port| Op::Take { port }),
        1 => prop_oneof![Just(7u32), Just(255), Just(256)].prop_map(|pirq| Op::BindPirq { pirq }),
        10 => (port, 0..18u32).prop_map(|(port, priority)| Op::SetPriority { port, priority }),
        3 => Just(Op::InitControl),
        3 => Just(Op::ExpandArray),
        16 => (0..VCPUS).prop_map(|vcpu| Op::Drain { vcpu }),
        1 => Just(Op::Reset),
    ];
    (0..2usize, op)
}

/// How a domain begins in some sequences: with queues and something to put into them. Chance
/// seldom comes so far.
fn with_queues(domain: usize) -> Vec<(usize, Op)> {
    let ipis = [0, 0, 1, 1].map(|vcpu| Op::BindIpi { vcpu });
    let ops = [Op::InitControl, Op::InitControl, Op::ExpandArray].into_iter().chain(ipis);
    ops.map(|op| (domain, op)).collect()
}

/// Sequences of which some begin so.
fn sequences() -> impl Strategy<Value = Vec<(usize, Op)>> {
    let first = prop_oneof![
        Just(Vec::new()),
        Just(with_queues(0)),
        Just([with_queues(0), with_queues(1)].concat())
    ];
    let rest = proptest::collection::vec(op(), 1..120);
    (first, rest).prop_map(|(first, rest)| [first, rest].concat())
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

/// The queues of a vCPU, by priority.
type Queues = [VecDeque<u32>; EVTCHN_FIFO_MAX_QUEUES];

#[derive(Clone)]
struct Domain {
    /// State and vCPU by port.
    ports: Vec<(State, u32)>,
    priority: Vec<u32>,
    pending: BTreeSet<u32>,
    /// Masked in the bits of the two-level ABI, and in the words of the other.
    masked: [BTreeSet<u32>; 2],
    /// Pending, and the word is not there yet.
    waiting: BTreeSet<u32>,
    linked: BTreeSet<u32>,
    /// Of the vCPUs that have a control block; none: the two-level ABI.
    queues: Vec<Queues>,
    pages: usize,
}

impl Domain {
    fn new() -> Domain {
        Domain {
            ports: vec![(State::Closed, 0); PORTS],
            priority: vec![7; PORTS],
            pending: BTreeSet::new(),
            masked: [BTreeSet::new(), BTreeSet::new()],
            waiting: BTreeSet::new(),
            linked: BTreeSet::new(),
            queues: Vec::new(),
            pages: 0,
        }
    }

    fn is_fifo(&self) -> bool {
        !self.queues.is_empty()
    }

    fn masks(&mut self) -> &mut BTreeSet<u32> {
        &mut self.masked[usize::from(self.is_fifo())]
    }

    fn allocate(&mut self, state: State, vcpu: u32) -> u32 {
        let free =
            |p: &usize| self.ports[*p].0 == State::Closed && !self.linked.contains(&(*p as u32));
        let port = (1..PORTS).find(free).expect("a free port");
        self.ports[port] = (state, vcpu);
        self.priority[port] = 7;
        port as u32
    }

    fn close(&mut self, port: u32) {
        self.ports[port as usize] = (State::Closed, 0);
        self.pending.remove(&port);
        self.waiting.remove(&port);
    }

    fn ring(&mut self, port: u32) {
        let vcpu = self.ports[port as usize].1 as usize;
        if !self.is_fifo() {
            self.pending.insert(port);
        } else if self.pages == 0 {
            self.waiting.insert(port);
        } else if vcpu < self.queues.len() {
            self.pending.insert(port);
            if !self.masked[1].contains(&port) && self.linked.insert(port) {
                let priority = self.priority[port as usize] as usize;
                self.queues[vcpu][priority].push_back(port);
            }
        }
    }

    fn drain(&mut self, vcpu: u32) -> Vec<u32> {
        let mut handled = Vec::new();
        for port in
            self.queues.get_mut(vcpu as usize).into_iter().flatten().flat_map(|q| q.drain(..))
        {
            self.linked.remove(&port);
            if !self.masked[1].contains(&port) && self.pending.remove(&port) {
                handled.push(port);
            }
        }
        handled
    }
}

#[derive(Clone)]
struct Model([Domain; 2]);

type Outcome = Result<Option<u32>, Errno>;

impl Model {
    fn new() -> Model {
        Model([Domain::new(), Domain::new()])
    }

    fn named(&self, caller: usize, dom: u16) -> Result<usize, Errno> {
        match dom {
            0 | 1 => Ok(dom.into()),
            d if d == DomId::SELF.raw() => Ok(caller),
            _ => Err(Errno::ESRCH),
        }
    }

    fn close(&mut self, caller: usize, port: u32) -> Outcome {
        let (state, _) = self.0[caller].ports[port as usize];
        match state {
            State::Closed => return Err(Errno::EINVAL),
            State::To(dom, far) => {
                self.0[usize::from(dom)].ports[far as usize].0 = State::Unbound(caller as u16);
            }
            _ => {}
        }
        self.0[caller].close(port);
        Ok(None)
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
                Ok(Some(self.0[domain].allocate(State::Unbound(remote), 0)))
            }
            Op::BindInterdomain { remote, port } => {
                let domain = self.named(caller, remote)?;
                let (state, vcpu) = self.0[domain].ports[port as usize];
                if state != State::Unbound(me) {
                    return Err(Errno::EINVAL);
                }
                let local = self.0[caller].allocate(State::To(domain as u16, port), 0);
                self.0[domain].ports[port as usize] = (State::To(me, local), vcpu);
                self.0[caller].ring(local);
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
                Ok(Some(self.0[caller].allocate(State::Virq(virq), vcpu)))
            }
            Op::BindIpi { vcpu } if vcpu >= VCPUS => Err(Errno::ENOENT),
            Op::BindIpi { vcpu } => Ok(Some(self.0[caller].allocate(State::Ipi, vcpu))),
            Op::BindVcpu { vcpu, .. } if vcpu >= VCPUS => Err(Errno::ENOENT),
            Op::BindVcpu { port, vcpu } => {
                let (state, at) = &mut self.0[caller].ports[port as usize];
                match state {
                    State::Closed | State::Ipi | State::Virq(0 | 1) => return Err(Errno::EINVAL),
                    _ => *at = vcpu,
                }
                Ok(None)
            }
            Op::Close { port } => self.close(caller, port),
            Op::Send { port } => {
                match self.0[caller].ports[port as usize].0 {
                    State::Closed | State::Virq(_) => return Err(Errno::EINVAL),
                    State::Unbound(_) => {}
                    State::Ipi => self.0[caller].ring(port),
                    State::To(dom, far) => self.0[usize::from(dom)].ring(far),
                }
                Ok(None)
            }
            Op::Unmask { port } => {
                let domain = &mut self.0[caller];
                if domain.ports[port as usize].0 != State::Closed
                    && (!domain.is_fifo() || domain.pages > 0)
                {
                    domain.masks().remove(&port);
                    if domain.is_fifo() && domain.pending.contains(&port) {
                        domain.ring(port);
                    }
                }
                Ok(None)
            }
            Op::Mask { port } => {
                let domain = &mut self.0[caller];
                if !domain.is_fifo() || domain.pages > 0 {
                    domain.masks().insert(port);
                }
                Ok(None)
            }
            Op::Take { port } => {
                self.0[caller].pending.remove(&port);
                Ok(None)
            }
            Op::BindPirq { pirq } if pirq > 255 => Err(Errno::EINVAL),
            Op::BindPirq { .. } => Err(Errno::EPERM),
            Op::SetPriority { port, priority } => {
                let domain = &mut self.0[caller];
                if !domain.is_fifo() {
                    return Err(Errno::ENOSYS);
                }
                if domain.ports[port as usize].0 == State::Closed {
                    return Err(Errno::EACCES);
                }
                if priority > 15 {
                    return Err(Errno::EINVAL);
                }
                domain.priority[port as usize] = priority;
                Ok(None)
            }
            Op::InitControl => {
                let domain = &mut self.0[caller];
                match domain.queues.len() as u32 {
                    VCPUS => return Err(Errno::ENOENT),
                    0 => domain.waiting = std::mem::take(&mut domain.pending),
                    _ => {}
                }
                domain.queues.push(Queues::default());
                Ok(None)
            }
            Op::ExpandArray => {
                let domain = &mut self.0[caller];
                if !domain.is_fifo() {
                    return Err(Errno::EOPNOTSUPP);
                }
                domain.pages += 1;
                for port in std::mem::take(&mut domain.waiting) {
                    domain.ring(port);
                }
                Ok(None)
            }
            Op::Drain { .. } => Ok(None),
            Op::Reset => {
                for port in 1..PORTS as u32 {
                    let _ = self.close(caller, port);
                }
                let domain = &mut self.0[caller];
                domain.masked[1].clear();
                domain.linked.clear();
                domain.queues.clear();
                domain.pages = 0;
                Ok(None)
            }
        }
    }
}

// ---- the real thing ---------------------------------------------------------------------

fn perform(guest: &mut Guest, fifo: &mut Fifo, op: &Op) -> Outcome {
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
            if fifo.blocks.is_empty() {
                guest.set_masked(port, true);
            } else if !fifo.pages.is_empty() {
                fifo.set_masked(guest, port, true);
            }
            Ok(None)
        }
        Op::Take { port } => {
            if fifo.blocks.is_empty() {
                guest.clear_pending(port);
            } else if !fifo.pages.is_empty() {
                fifo.word(guest, port).fetch_and(!PENDING, Ordering::SeqCst);
            }
            Ok(None)
        }
        Op::BindPirq { pirq } => {
            let result = channels::bind_pirq(guest, pirq);
            result.map(Some).map_err(|ret| Errno::from_ret(ret).expect("an errno"))
        }
        Op::SetPriority { port, priority } => {
            outcome(channels::set_priority(guest, port, priority), None)
        }
        Op::InitControl => {
            let (vcpu, page) = (fifo.blocks.len() as u32, guest.page());
            if vcpu < VCPUS {
                fifo.add_vcpu(guest, page.mfn, 0);
                return Ok(None);
            }
            let result = channels::init_control(guest, vcpu, page.mfn, 0);
            result.map(|_| None).map_err(|ret| Errno::from_ret(ret).expect("an errno"))
        }
        Op::ExpandArray => {
            let page = guest.page();
            let result = channels::expand_array(guest, page.mfn);
            if result == 0 {
                fifo.pages.push(page.mfn);
            }
            outcome(result, None)
        }
        // The test does it, and looks at the order.
        Op::Drain { .. } => Ok(None),
        Op::Reset => {
            *fifo = Fifo::default();
            outcome(channels::reset(guest, DomId::SELF.raw()), None)
        }
    }
}

fn agrees(guest: &mut Guest, fifo: &Fifo, model: &Domain) {
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
        let (pending, masked) = if fifo.blocks.is_empty() {
            (guest.pending(port), guest.masked(port))
        } else if fifo.pages.is_empty() {
            continue;
        } else {
            (fifo.has(guest, port, PENDING), fifo.has(guest, port, MASKED))
        };
        let masks = &model.masked[usize::from(model.is_fifo())];
        assert_eq!(pending, model.pending.contains(&port), "pending {port}");
        assert_eq!(masked, masks.contains(&port), "masked {port}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn two_domains_and_the_model_agree(ops in sequences()) {
        let zero = Guest::with(Spec { vcpus: VCPUS, ..Spec::default() });
        let width = Width::Pv64;
        let spec = Spec { width, id: 1, privileged: false, vcpus: VCPUS, ..Spec::default() };
        let one = Guest::on(Arc::clone(&zero.sys), spec);
        let (mut guests, mut model) = ([zero, one], Model::new());
        let mut fifos = [Fifo::default(), Fifo::default()];
        for (step, (caller, op)) in ops.iter().enumerate() {
            let (guest, fifo) = (&mut guests[*caller], &mut fifos[*caller]);
            let expected = model.apply(*caller, op);
            prop_assert_eq!(perform(guest, fifo, op), expected, "{:?} by {}", op, caller);
            if let Op::Drain { vcpu } = op
                && (*vcpu as usize) < fifo.blocks.len()
                && !fifo.pages.is_empty()
            {
                let handled = fifo.drain(guest, *vcpu as usize);
                prop_assert_eq!(handled, model.0[*caller].drain(*vcpu), "{:?} by {}", op, caller);
            }
            for ((guest, fifo), domain) in guests.iter_mut().zip(&fifos).zip(&model.0) {
                agrees(guest, fifo, domain);
            }
            if step % 8 == 0 {
                check::invariants(&guests[0].sys);
            }
        }
        check::invariants(&guests[0].sys);
    }
}

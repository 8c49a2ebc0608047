//! What a port is bound to and how its events are delivered, in one word.
//!
//! Binding changes the one part, under the domain's lock; delivery changes the other, under
//! its queues' lock ([`super::fifo`]). Both do it by compare-and-swap, so neither undoes
//! what the other did.

use pv_abi::event_channel::{
    EVTCHN_FIFO_MAX_QUEUES, EVTCHN_FIFO_NR_CHANNELS, EVTCHN_FIFO_PRIORITY_DEFAULT,
};
use pv_abi::types::{DomId, Port, VcpuId};

use crate::domain::MAX_VCPUS;

/// What a port is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing; it can be allocated.
    Free,
    /// Nothing, for ever: port 0.
    Reserved,
    /// Waiting for a domain to bind to it.
    Unbound {
        /// The domain that may.
        remote: DomId,
    },
    /// Connected to a port whose own state names this one.
    Interdomain {
        /// The domain of the other port.
        remote: DomId,
        /// The other port.
        port: Port,
    },
    /// A virtual interrupt.
    Virq {
        /// Its number, below `NR_VIRQS`.
        virq: u8,
    },
    /// A physical interrupt.
    Pirq {
        /// Its number among the domain's, below `NR_PIRQS`.
        pirq: u32,
    },
    /// The domain's own vCPUs.
    Ipi,
}

/// A port: what it is bound to, and the vCPU that its events go to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Channel {
    /// What it is bound to.
    pub state: State,
    /// The vCPU that is told.
    pub notify: VcpuId,
}

/// A queue of the FIFO ABI: one of a vCPU's sixteen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Queue {
    /// The vCPU that drains it.
    pub vcpu: VcpuId,
    /// 0, the first to be drained, to 15.
    pub priority: u8,
}

/// How the FIFO ABI delivers a port's events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Delivery {
    /// The priority of the next event.
    pub priority: u8,
    /// The queue that its last event was put into; it may still be there.
    pub last: Queue,
    /// An event came before the page of its word did.
    pub waiting: bool,
}

/// A word of zeros: the port does not exist (yet).
pub(super) const ABSENT: u64 = 0;

// The word: kind in bits 0-3, vCPU 4-8, delivery 9-22, domain 23-38, port or number 39-63.
const KIND_MASK: u64 = 0xf;
const VCPU_SHIFT: u32 = 4;
const PRIORITY_SHIFT: u32 = 9;
const LAST_VCPU_SHIFT: u32 = 13;
const LAST_PRIORITY_SHIFT: u32 = 18;
const WAITING: u64 = 1 << 22;
const DELIVERY_MASK: u64 = 0x3fff << PRIORITY_SHIFT;
const DOMAIN_SHIFT: u32 = 23;
const NUMBER_SHIFT: u32 = 39;

/// Bits of a vCPU number, and of a priority.
const VCPU_MASK: u64 = MAX_VCPUS as u64 - 1;
const PRIORITY_MASK: u64 = EVTCHN_FIFO_MAX_QUEUES as u64 - 1;
const _: () = assert!(MAX_VCPUS.is_power_of_two() && VCPU_MASK <= 0x1f && PRIORITY_MASK == 0xf);
const _: () = assert!(EVTCHN_FIFO_NR_CHANNELS < 1 << (64 - NUMBER_SHIFT));

const FREE: u64 = 1;
const RESERVED: u64 = 2;
const UNBOUND: u64 = 3;
const INTERDOMAIN: u64 = 4;
const VIRQ: u64 = 5;
const IPI: u64 = 6;
const PIRQ: u64 = 7;

impl Channel {
    /// A port in `state` whose events go to vCPU 0.
    pub const fn new(state: State) -> Channel {
        Channel { state, notify: VcpuId::new(0) }
    }

    /// Whether events can arrive: it is bound to something, or waits to be.
    #[inline(always)]
    pub const fn is_usable(self) -> bool {
        !matches!(self.state, State::Free | State::Reserved)
    }

    /// The word, without the bits of [`Delivery`].
    #[inline(always)]
    const fn to_word(self) -> u64 {
        let (kind, domain, number) = match self.state {
            State::Free => (FREE, 0, 0),
            State::Reserved => (RESERVED, 0, 0),
            State::Unbound { remote } => (UNBOUND, remote.raw(), 0),
            State::Interdomain { remote, port } => (INTERDOMAIN, remote.raw(), port.raw()),
            State::Virq { virq } => (VIRQ, 0, virq as u32),
            State::Pirq { pirq } => (PIRQ, 0, pirq),
            State::Ipi => (IPI, 0, 0),
        };
        kind | (self.notify.raw() as u64 & VCPU_MASK) << VCPU_SHIFT
            | (domain as u64) << DOMAIN_SHIFT
            | (number as u64) << NUMBER_SHIFT
    }

    /// What `word` says; `None` for a port that does not exist.
    #[inline(always)]
    pub(super) const fn from_word(word: u64) -> Option<Channel> {
        let domain = DomId::new((word >> DOMAIN_SHIFT) as u16);
        let number = (word >> NUMBER_SHIFT) as u32;
        let state = match word & KIND_MASK {
            FREE => State::Free,
            RESERVED => State::Reserved,
            UNBOUND => State::Unbound { remote: domain },
            INTERDOMAIN => State::Interdomain { remote: domain, port: Port::new(number) },
            VIRQ => State::Virq { virq: number as u8 },
            PIRQ => State::Pirq { pirq: number },
            IPI => State::Ipi,
            _ => return None,
        };
        Some(Channel { state, notify: VcpuId::new((word >> VCPU_SHIFT & VCPU_MASK) as u32) })
    }

    /// The vCPU to tell of a port whose word is `word`, if it is bound to exactly `state`.
    ///
    /// One comparison: for whoever knows what a port has to be.
    #[inline(always)]
    pub(super) const fn notify_if(word: u64, state: State) -> Option<VcpuId> {
        let expected = Channel::new(state).to_word();
        if word & !(VCPU_MASK << VCPU_SHIFT | DELIVERY_MASK) != expected {
            return None;
        }
        Some(VcpuId::new((word >> VCPU_SHIFT & VCPU_MASK) as u32))
    }

    /// The word of a port that comes into existence.
    pub(super) const fn first_word(self) -> u64 {
        let last = Queue { vcpu: VcpuId::new(0), priority: DEFAULT_PRIORITY };
        let delivery = Delivery { priority: DEFAULT_PRIORITY, last, waiting: false };
        delivery.in_word(self.to_word())
    }

    /// The word of a port whose word was `old`. One that becomes free loses its priority and
    /// what waits for it, but not the queue that it may still be in.
    pub(super) const fn in_word(self, old: u64) -> u64 {
        let mut delivery = Delivery::from_word(old);
        if matches!(self.state, State::Free) {
            delivery.priority = DEFAULT_PRIORITY;
            delivery.waiting = false;
        }
        delivery.in_word(self.to_word())
    }
}

const DEFAULT_PRIORITY: u8 = EVTCHN_FIFO_PRIORITY_DEFAULT as u8;

impl Delivery {
    /// What `word` says.
    pub(super) const fn from_word(word: u64) -> Delivery {
        let last = Queue {
            vcpu: VcpuId::new((word >> LAST_VCPU_SHIFT & VCPU_MASK) as u32),
            priority: (word >> LAST_PRIORITY_SHIFT & PRIORITY_MASK) as u8,
        };
        let priority = (word >> PRIORITY_SHIFT & PRIORITY_MASK) as u8;
        Delivery { priority, last, waiting: word & WAITING != 0 }
    }

    /// `word` with these bits.
    pub(super) const fn in_word(self, word: u64) -> u64 {
        let bits = (self.priority as u64 & PRIORITY_MASK) << PRIORITY_SHIFT
            | (self.last.vcpu.raw() as u64 & VCPU_MASK) << LAST_VCPU_SHIFT
            | (self.last.priority as u64 & PRIORITY_MASK) << LAST_PRIORITY_SHIFT
            | if self.waiting { WAITING } else { 0 };
        word & !DELIVERY_MASK | bits
    }
}

impl core::fmt::Display for Channel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.state {
            State::Free => write!(f, "free")?,
            State::Reserved => write!(f, "reserved")?,
            State::Unbound { remote } => write!(f, "unbound for {remote}")?,
            State::Interdomain { remote, port } => write!(f, "to {remote} {port}")?,
            State::Virq { virq } => write!(f, "virq {virq}")?,
            State::Pirq { pirq } => write!(f, "pirq {pirq}")?,
            State::Ipi => write!(f, "ipi")?,
        }
        write!(f, " -> {}", self.notify)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_everything() {
        let far = DomId::new(0xffff);
        let last = Queue { vcpu: VcpuId::new(31), priority: 15 };
        let delivery = Delivery { priority: 3, last, waiting: true };
        for state in [
            State::Free,
            State::Reserved,
            State::Unbound { remote: far },
            State::Interdomain { remote: far, port: Port::new(EVTCHN_FIFO_NR_CHANNELS - 1) },
            State::Virq { virq: 23 },
            State::Pirq { pirq: 255 },
            State::Ipi,
        ] {
            for vcpu in [0, 1, 31] {
                let channel = Channel { state, notify: VcpuId::new(vcpu) };
                let word = delivery.in_word(channel.first_word());
                assert_ne!(word, ABSENT);
                assert_eq!(Channel::from_word(word), Some(channel));
                assert_eq!(Channel::notify_if(word, state), Some(VcpuId::new(vcpu)));
                assert_eq!(
                    Channel::notify_if(word, State::Unbound { remote: DomId::new(1) }),
                    None
                );
                assert_eq!(Delivery::from_word(word), delivery);
                let word = channel.in_word(word);
                assert_eq!(Channel::from_word(word), Some(channel));
                let left = Delivery::from_word(word);
                let forgets = state == State::Free;
                let expected = Delivery { priority: 7, last, waiting: false };
                assert_eq!(left, if forgets { expected } else { delivery });
            }
        }
        assert_eq!(Channel::from_word(ABSENT), None);
    }

    #[test]
    fn only_bound_ports_are_usable() {
        assert!(!Channel::new(State::Free).is_usable());
        assert!(!Channel::new(State::Reserved).is_usable());
        assert!(Channel::new(State::Ipi).is_usable());
        assert!(Channel::new(State::Unbound { remote: DomId::new(0) }).is_usable());
    }
}

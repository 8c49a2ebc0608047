//! What a port is bound to, and that in one word.

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

/// A word of zeros: the port does not exist (yet).
pub(super) const ABSENT: u64 = 0;

/// Bits of a vCPU number.
const VCPU_MASK: u64 = MAX_VCPUS as u64 - 1;
const _: () = assert!(MAX_VCPUS.is_power_of_two() && VCPU_MASK <= 0xff);

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

    /// The word: kind in bits 0-7, vCPU in 8-15, domain in 16-31, port or number in 32-63.
    #[inline(always)]
    pub(super) const fn to_word(self) -> u64 {
        let (kind, domain, number) = match self.state {
            State::Free => (FREE, 0, 0),
            State::Reserved => (RESERVED, 0, 0),
            State::Unbound { remote } => (UNBOUND, remote.raw(), 0),
            State::Interdomain { remote, port } => (INTERDOMAIN, remote.raw(), port.raw()),
            State::Virq { virq } => (VIRQ, 0, virq as u32),
            State::Pirq { pirq } => (PIRQ, 0, pirq),
            State::Ipi => (IPI, 0, 0),
        };
        kind | (self.notify.raw() as u64 & VCPU_MASK) << 8
            | (domain as u64) << 16
            | (number as u64) << 32
    }

    /// What [`Channel::to_word`] made; `None` for a port that does not exist.
    #[inline(always)]
    pub(super) const fn from_word(word: u64) -> Option<Channel> {
        let domain = DomId::new((word >> 16) as u16);
        let number = (word >> 32) as u32;
        let state = match word & 0xff {
            FREE => State::Free,
            RESERVED => State::Reserved,
            UNBOUND => State::Unbound { remote: domain },
            INTERDOMAIN => State::Interdomain { remote: domain, port: Port::new(number) },
            VIRQ => State::Virq { virq: number as u8 },
            PIRQ => State::Pirq { pirq: number },
            IPI => State::Ipi,
            _ => return None,
        };
        Some(Channel { state, notify: VcpuId::new((word >> 8 & VCPU_MASK) as u32) })
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
        let far = DomId::new(0x7fef);
        for state in [
            State::Free,
            State::Reserved,
            State::Unbound { remote: far },
            State::Interdomain { remote: far, port: Port::new(u32::MAX) },
            State::Virq { virq: 23 },
            State::Pirq { pirq: 255 },
            State::Ipi,
        ] {
            for vcpu in [0, 1, 31] {
                let channel = Channel { state, notify: VcpuId::new(vcpu) };
                assert_ne!(channel.to_word(), ABSENT);
                assert_eq!(Channel::from_word(channel.to_word()), Some(channel));
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

//! The bridge: decides to which ports a frame goes. No I/O and no clock of its own.
//!
//! A port either belongs to a device whose address the toolstack fixed, or is a way out (a network
//! card, a tunnel) behind which anybody may be.
//!
//! * A port with an address sends frames from that address alone, and gets frames for it alone: no
//!   guest sees what is for others, by claiming their address or by waiting until it is flooded.
//! * Behind a way out addresses are learnt, up to a bound, and forgotten when nothing was heard of
//!   them for [`AGE_NS`]. What is for an address that nobody knows goes to all ways out.
//! * A fixed address is where it was fixed: it is not learnt elsewhere, and a frame that claims it
//!   from elsewhere is dropped.
//! * Frames for groups, and for all, go to every other port. Those for the bridges themselves
//!   (IEEE 802.1D, table 7-10) go nowhere.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Mac;

/// Nanoseconds after which an address is forgotten: 802.1D's 300 seconds.
pub const AGE_NS: u64 = 300_000_000_000;
/// Addresses that are known behind ways out at most. More are not learnt, so that frames for them
/// are flooded.
pub const LEARNT: usize = 1024;

/// A port's number, which its owner chose.
pub type PortId = u32;

/// Who is behind a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// A device with this address.
    Device(Mac),
    /// Anybody.
    Anybody,
}

/// Why a port cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The number is taken.
    Number,
    /// Another device has the address.
    Address,
    /// It is no device's address: a group's, or none.
    Group,
}

/// Why a frame goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It comes from no port that there is.
    NoPort,
    /// It claims to be from an address that is not its sender's, or that can be nobody's.
    Spoofed,
    /// It is for the bridge itself, or for who sent it.
    Local,
}

#[derive(Clone, Copy, Debug)]
struct Learnt {
    port: PortId,
    heard_ns: u64,
}

/// A bridge.
#[derive(Debug, Default)]
pub struct Bridge {
    ports: BTreeMap<PortId, Behind>,
    /// Which port has an address.
    fixed: BTreeMap<Mac, PortId>,
    learnt: BTreeMap<Mac, Learnt>,
}

impl Bridge {
    /// A bridge without ports.
    #[must_use]
    pub const fn new() -> Bridge {
        Bridge { ports: BTreeMap::new(), fixed: BTreeMap::new(), learnt: BTreeMap::new() }
    }

    /// Adds a port.
    ///
    /// # Errors
    /// Number or address are taken, or the address is none.
    pub fn add(&mut self, port: PortId, behind: Behind) -> Result<(), Refused> {
        if self.ports.contains_key(&port) {
            return Err(Refused::Number);
        }
        if let Behind::Device(mac) = behind {
            if !is_device(mac) {
                return Err(Refused::Group);
            }
            if self.fixed.contains_key(&mac) {
                return Err(Refused::Address);
            }
            self.learnt.remove(&mac);
            self.fixed.insert(mac, port);
        }
        self.ports.insert(port, behind);
        Ok(())
    }

    /// Takes a port away, and forgets who was behind it.
    pub fn remove(&mut self, port: PortId) {
        if let Some(Behind::Device(mac)) = self.ports.remove(&port) {
            self.fixed.remove(&mac);
        }
        self.learnt.retain(|_, learnt| learnt.port != port);
    }

    /// Where a frame from `from`, with these addresses of receiver and sender, goes: port numbers in
    /// `into`, instead of what was there. `now_ns` is a clock that does not go backwards.
    ///
    /// # Errors
    /// It goes nowhere. (A frame for nobody else goes nowhere without being an error.)
    pub fn route(
        &mut self,
        from: PortId,
        (to, sender): (Mac, Mac),
        now_ns: u64,
        into: &mut Vec<PortId>,
    ) -> Result<(), Dropped> {
        into.clear();
        let behind = *self.ports.get(&from).ok_or(Dropped::NoPort)?;
        let genuine = match behind {
            Behind::Device(mac) => sender == mac,
            Behind::Anybody => is_device(sender) && !self.fixed.contains_key(&sender),
        };
        if !genuine {
            return Err(Dropped::Spoofed);
        }
        if behind == Behind::Anybody {
            self.learn(sender, from, now_ns);
        }
        if is_reserved(to) {
            return Err(Dropped::Local);
        }
        let others = self.ports.iter().filter(|(port, _)| **port != from);
        if is_group(to) {
            into.extend(others.map(|(port, _)| *port));
        } else if let Some(port) = self.find(to, now_ns) {
            if port == from {
                return Err(Dropped::Local);
            }
            into.push(port);
        } else {
            let ways = others.filter(|(_, behind)| **behind == Behind::Anybody);
            into.extend(ways.map(|(port, _)| *port));
        }
        Ok(())
    }

    /// How many addresses are known behind ways out, old ones among them.
    #[must_use]
    pub fn learnt(&self) -> usize {
        self.learnt.len()
    }

    fn find(&self, mac: Mac, now_ns: u64) -> Option<PortId> {
        let learnt = || self.learnt.get(&mac).filter(|learnt| !learnt.is_old(now_ns));
        self.fixed.get(&mac).copied().or_else(|| Some(learnt()?.port))
    }

    fn learn(&mut self, mac: Mac, port: PortId, heard_ns: u64) {
        if self.learnt.len() >= LEARNT && !self.learnt.contains_key(&mac) {
            self.learnt.retain(|_, learnt| !learnt.is_old(heard_ns));
            if self.learnt.len() >= LEARNT {
                return;
            }
        }
        self.learnt.insert(mac, Learnt { port, heard_ns });
    }
}

impl Learnt {
    fn is_old(self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.heard_ns) > AGE_NS
    }
}

/// Whether it is an address of many.
#[must_use]
pub fn is_group(mac: Mac) -> bool {
    let [first, ..] = mac;
    first & 1 != 0
}

/// Whether it can be one device's address.
#[must_use]
pub fn is_device(mac: Mac) -> bool {
    !is_group(mac) && mac != [0; 6]
}

/// Whether it is for bridges alone: 01-80-c2-00-00-00 to -0f.
fn is_reserved(mac: Mac) -> bool {
    matches!(mac, [0x01, 0x80, 0xc2, 0, 0, 0..=0x0f])
}

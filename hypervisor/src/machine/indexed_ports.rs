//! Devices that are reached through two ports, one for an index and one for what is there: PCI
//! configuration space (0xcf8 and 0xcfc) and the CMOS memory (0x70 and 0x71).
//!
//! Nobody but the hypervisor writes an index port. Who wants to have something read or
//! written says both at once, and one lock makes of the two accesses one.

use crate::lock::{Lock, Rank};
use crate::platform::Ports;

/// PCI: which function, which register.
const PCI_ADDRESS: u16 = 0xcf8;
/// PCI: what is there, at four ports.
const PCI_DATA: u16 = 0xcfc;
/// CMOS: which byte.
const CMOS_INDEX: u16 = 0x70;
/// CMOS: the byte.
const CMOS_DATA: u16 = 0x71;
/// In CMOS_INDEX: NMIs are blocked. It stays clear.
const NMI_OFF: u8 = 0x80;

/// The lock; a leaf.
pub struct IndexedPorts(Lock<()>);

impl IndexedPorts {
    /// Unlocked.
    pub const fn new() -> IndexedPorts {
        IndexedPorts(Lock::new(Rank::Leaf, ()))
    }

    /// Reads `bytes` bytes of PCI configuration space; `address` is as port 0xcf8 takes it,
    /// `offset` 0 to 3.
    pub fn read_pci(&self, ports: &impl Ports, address: u32, offset: u8, bytes: u8) -> u32 {
        let _guard = self.0.lock();
        ports.write_port(PCI_ADDRESS, 4, address);
        ports.read_port(PCI_DATA + u16::from(offset & 3), bytes)
    }

    /// Writes to PCI configuration space; as [`IndexedPorts::read_pci`].
    pub fn write_pci(&self, ports: &impl Ports, address: u32, offset: u8, bytes: u8, value: u32) {
        let _guard = self.0.lock();
        ports.write_port(PCI_ADDRESS, 4, address);
        ports.write_port(PCI_DATA + u16::from(offset & 3), bytes, value);
    }

    /// Reads a byte of CMOS memory.
    pub fn read_cmos(&self, ports: &impl Ports, index: u8) -> u8 {
        let _guard = self.0.lock();
        ports.write_port(CMOS_INDEX, 1, u32::from(index & !NMI_OFF));
        ports.read_port(CMOS_DATA, 1) as u8
    }

    /// Writes a byte of CMOS memory.
    pub fn write_cmos(&self, ports: &impl Ports, index: u8, value: u8) {
        let _guard = self.0.lock();
        ports.write_port(CMOS_INDEX, 1, u32::from(index & !NMI_OFF));
        ports.write_port(CMOS_DATA, 1, value.into());
    }
}

impl Default for IndexedPorts {
    fn default() -> Self {
        IndexedPorts::new()
    }
}

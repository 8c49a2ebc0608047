//! What a domain last wrote to the index ports that it thinks it has.
//!
//! The real ones are the hypervisor's ([`crate::machine::indexed_ports`]): two domains, or two
//! vCPUs, that use them at a time would read each other's registers.

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// The latches of a domain.
#[derive(Default, Debug)]
pub struct PortLatches {
    pci: AtomicU32,
    cmos: AtomicU8,
}

impl PortLatches {
    /// As after reset.
    pub const fn new() -> PortLatches {
        PortLatches { pci: AtomicU32::new(0), cmos: AtomicU8::new(0) }
    }

    /// Port 0xcf8.
    pub fn pci(&self) -> u32 {
        self.pci.load(Ordering::Relaxed)
    }

    /// Sets port 0xcf8.
    pub fn set_pci(&self, address: u32) {
        self.pci.store(address, Ordering::Relaxed);
    }

    /// Port 0x70.
    pub fn cmos(&self) -> u8 {
        self.cmos.load(Ordering::Relaxed)
    }

    /// Sets port 0x70.
    pub fn set_cmos(&self, index: u8) {
        self.cmos.store(index, Ordering::Relaxed);
    }
}

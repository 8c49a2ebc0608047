//! I/O ports, for which the kernel asks the hypervisor: domain 0 has those of devices.
#![allow(unsafe_code)] // UNSAFETY: port instructions.

use crate::calls::{self, Result};

/// The kernel may use ports while this lives.
pub struct Ports(());

impl Ports {
    /// Takes the privilege; refused to a domain that has no devices.
    pub fn take() -> Result<Self> {
        calls::set_iopl(1).map(|()| Self(()))
    }

    /// Reads four bytes from a port.
    pub fn read(&self, port: u16) -> u32 {
        let value;
        // SAFETY: 1. The privilege is held, so that this does not trap; a port that the hypervisor
        // keeps from us reads as ones. 2. No memory is touched.
        unsafe {
            core::arch::asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack));
        }
        value
    }

    /// Writes four bytes to a port.
    pub fn write(&self, port: u16, value: u32) {
        // SAFETY: 1. The privilege is held. 2. The callers write to configuration space only, and
        // let devices reach no memory but what was given to them.
        unsafe {
            core::arch::asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack));
        }
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        let _ = calls::set_iopl(0);
    }
}

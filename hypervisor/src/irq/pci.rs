//! Configuration space of PCI functions, as far as interrupts need it.
//!
//! Every register is read anew, never believed: domain 0 writes there, too, and so may the
//! device. Lists are followed for as many steps as there is room for entries.

use crate::platform::Platform;
use crate::system::System;

/// Registers of every function.
const VENDOR: u8 = 0x00;
const COMMAND: u8 = 0x04;
const STATUS: u8 = 0x06;
const HEADER_TYPE: u8 = 0x0e;
const FIRST_BAR: u8 = 0x10;
const CAPABILITIES: u8 = 0x34;

/// Command: registers in memory answer.
const COMMAND_MEMORY: u32 = 1 << 1;
/// Command: the wire is not used.
const COMMAND_NO_INTX: u32 = 1 << 10;
/// Status: there is a list of capabilities.
const STATUS_CAPABILITIES: u32 = 1 << 4;
/// Entries of 4 bytes that the list has room for.
const MAX_CAPABILITIES: u32 = 48;
/// What is read where nothing is.
const NOBODY: u32 = 0xffff;

/// BAR: in I/O space.
const BAR_IO: u32 = 1;
/// BAR: 64 bits wide.
const BAR_WIDE: u32 = 2 << 1;
const BAR_KIND: u32 = 3 << 1;
const BAR_FLAGS: u32 = 0xf;

/// A PCI function of segment 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Function {
    /// Its bus.
    pub bus: u8,
    /// Its device, and function in that.
    pub devfn: u8,
}

impl core::fmt::Display for Function {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:02x}:{:02x}.{}", self.bus, self.devfn >> 3, self.devfn & 7)
    }
}

impl Function {
    /// The function that an address for port 0xcf8 selects.
    pub const fn of_address(address: u32) -> Function {
        Function { bus: (address >> 16) as u8, devfn: (address >> 8) as u8 }
    }

    fn address(self, register: u8) -> u32 {
        1 << 31 | u32::from(self.bus) << 16 | u32::from(self.devfn) << 8 | u32::from(register & !3)
    }

    /// Reads a register of `bytes` bytes, which lies in one word.
    pub fn read<P: Platform>(self, sys: &System<P>, register: u8, bytes: u8) -> u32 {
        sys.indexed_ports.read_pci(&sys.platform, self.address(register), register & 3, bytes)
    }

    /// Writes such a register.
    pub fn write<P: Platform>(self, sys: &System<P>, register: u8, bytes: u8, value: u32) {
        let address = self.address(register);
        sys.indexed_ports.write_pci(&sys.platform, address, register & 3, bytes, value);
    }

    /// Whether there is such a function.
    pub fn exists<P: Platform>(self, sys: &System<P>) -> bool {
        self.read(sys, VENDOR, 2) != NOBODY
    }

    /// Whether its registers in memory answer.
    pub fn decodes_memory<P: Platform>(self, sys: &System<P>) -> bool {
        self.read(sys, COMMAND, 2) & COMMAND_MEMORY != 0
    }

    /// Takes the function off its wire.
    pub fn quiet_wire<P: Platform>(self, sys: &System<P>) {
        let command = self.read(sys, COMMAND, 2);
        self.write(sys, COMMAND, 2, command | COMMAND_NO_INTX);
    }

    /// Where the capability `id` lies, if the function has it.
    pub fn capability<P: Platform>(self, sys: &System<P>, id: u8) -> Option<u8> {
        if !self.exists(sys) || self.read(sys, STATUS, 2) & STATUS_CAPABILITIES == 0 {
            return None;
        }
        let mut at = self.read(sys, CAPABILITIES, 1) as u8 & !3;
        for _ in 0..MAX_CAPABILITIES {
            if at < 0x40 {
                return None;
            }
            let entry = self.read(sys, at, 2);
            if entry as u8 == id {
                return Some(at);
            }
            at = (entry >> 8) as u8 & !3;
        }
        None
    }

    /// The machine address in BAR `index`; `None` if it is none in memory, or not set.
    pub fn memory_bar<P: Platform>(self, sys: &System<P>, index: u8) -> Option<u64> {
        let bars = match self.read(sys, HEADER_TYPE, 1) & 0x7f {
            0 => 6,
            1 => 2,
            _ => return None,
        };
        if index >= bars {
            return None;
        }
        let low = self.read(sys, FIRST_BAR + 4 * index, 4);
        if low & BAR_IO != 0 {
            return None;
        }
        let high = match low & BAR_KIND {
            BAR_WIDE if index + 1 < bars => self.read(sys, FIRST_BAR + 4 * (index + 1), 4),
            BAR_WIDE => return None,
            _ => 0,
        };
        let address = u64::from(high) << 32 | u64::from(low & !BAR_FLAGS);
        Some(address).filter(|address| *address != 0)
    }
}

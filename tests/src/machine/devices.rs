//! The simulated clock and console.

use std::collections::{BTreeMap, VecDeque};

use hypervisor::console_ring::ConsoleRing;
use hypervisor::platform::{
    Clock, Console, DeviceRegisters, Interrupts, Message, Ports, Power, PvClock, Route,
};

use super::FakeMachine;

/// What lies outside of the CPUs. Tests set and look at it.
#[derive(Default, Debug)]
pub struct Devices {
    /// Nanoseconds since boot. It stands still until a test moves it; one TSC tick is one of them.
    pub now_ns: u64,
    /// Nanoseconds since 1970 at boot.
    pub wallclock_base_ns: u64,
    /// What was written to the console.
    pub output: Vec<u8>,
    /// What is still to be read from it.
    pub input: VecDeque<u8>,
    /// Why domain 0 shut down, each time that the machine was told.
    pub shut_down: Vec<u8>,
    /// What I/O ports hold, by port; what is not there reads as zero.
    pub ports: BTreeMap<u16, u8>,
    /// Accesses to I/O ports.
    pub port_log: Vec<PortAccess>,
    /// Configuration space of PCI functions, by bus and function; without any, PCI's ports are
    /// ports like others.
    pub pci: BTreeMap<u16, [u8; 256]>,
    /// Registers of devices in memory, by address; what is not there reads as zero.
    pub registers: BTreeMap<u64, u32>,
    /// Inputs of the I/O APIC that were set, by number.
    pub inputs: BTreeMap<u32, Input>,
    /// Frames that were zeroed whole.
    pub frames_zeroed: u64,
}

/// An input of the I/O APIC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Input {
    /// What it does.
    pub route: Route,
    /// Not now.
    pub masked: bool,
}

/// An access to I/O ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortAccess {
    /// Port, bytes.
    Read(u16, u8),
    /// Port, bytes, value.
    Write(u16, u8, u32),
}

impl FakeMachine {
    /// Accesses to I/O ports so far; they are forgotten.
    pub fn take_port_log(&self) -> Vec<PortAccess> {
        std::mem::take(&mut self.devices().port_log)
    }

    /// Lets time pass.
    pub fn advance_ns(&self, ns: u64) {
        self.devices().now_ns += ns;
    }

    /// What was written to the console so far; it is forgotten.
    pub fn take_output(&self) -> String {
        let bytes = std::mem::take(&mut self.devices().output);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Types on the console.
    pub fn type_in(&self, bytes: &[u8]) {
        self.devices().input.extend(bytes);
    }
}

impl Clock for FakeMachine {
    fn now_ns(&self) -> u64 {
        self.devices().now_ns
    }

    fn ticks(&self) -> u64 {
        self.devices().now_ns
    }

    fn pvclock(&self) -> PvClock {
        let now = self.devices().now_ns;
        // (ticks << 1) * 2^31 >> 32 = ticks.
        PvClock {
            tsc_timestamp: now,
            system_time: now,
            tsc_to_system_mul: 1 << 31,
            tsc_shift: 1,
            tsc_stable: true,
        }
    }

    fn wallclock_base_ns(&self) -> u64 {
        self.devices().wallclock_base_ns
    }

    fn set_deadline(&self, deadline_ns: Option<u64>) {
        self.this().deadline_ns = deadline_ns;
    }
}

impl Console for FakeMachine {
    fn write(&self, bytes: &[u8]) {
        self.devices().output.extend_from_slice(bytes);
    }

    fn read(&self, to: &mut [u8]) -> usize {
        let mut devices = self.devices();
        let count = to.len().min(devices.input.len());
        for (slot, byte) in to.iter_mut().zip(devices.input.drain(..count)) {
            *slot = byte;
        }
        count
    }

    fn ring(&self) -> &ConsoleRing {
        &self.ring
    }
}

/// Inputs of the I/O APIC, which has numbers from 0 on.
pub const INPUTS: u32 = 24;
/// The one that the hypervisor's console has.
pub const OWN_INPUT: u32 = 4;

impl Devices {
    /// The byte of configuration space that PCI's data port `port` leads to, if there are functions.
    /// `Some(None)`: there are, but not this one.
    fn pci_byte(&mut self, port: u16) -> Option<Option<&mut u8>> {
        if self.pci.is_empty() || !(0xcfc..0xd00).contains(&port) {
            return None;
        }
        let latch = |i: u16| self.ports.get(&(0xcf8 + i)).copied().unwrap_or(0);
        let [register, devfn, bus, enable] = [latch(0), latch(1), latch(2), latch(3)];
        let at = usize::from(register & !3) + usize::from(port - 0xcfc);
        let function = self.pci.get_mut(&(u16::from(bus) << 8 | u16::from(devfn)));
        Some(function.filter(|_| enable == 0x80).map(|space| &mut space[at]))
    }
}

impl Interrupts for FakeMachine {
    fn inputs(&self) -> u32 {
        INPUTS
    }

    fn has_input(&self, gsi: u32) -> bool {
        gsi < INPUTS
    }

    fn own_input(&self) -> Option<u32> {
        Some(OWN_INPUT)
    }

    fn route(&self, gsi: u32, route: &Route) {
        assert!(gsi < INPUTS && gsi != OWN_INPUT, "input {gsi} is routed");
        self.devices().inputs.insert(gsi, Input { route: *route, masked: true });
    }

    fn mask_input(&self, gsi: u32, masked: bool) {
        match self.devices().inputs.get_mut(&gsi) {
            Some(input) => input.masked = masked,
            None => assert!(masked, "input {gsi} was never routed"),
        }
    }

    fn message(&self, vector: u8, cpu: u32) -> Message {
        Message { address: 0xfee0_0000 | u64::from(cpu) << 12, data: vector.into() }
    }

    fn read_io_apic(&self, gsi_base: u32, register: u32) -> Option<u32> {
        (gsi_base == 0).then_some(0x1000 + register)
    }
}

impl DeviceRegisters for FakeMachine {
    fn read_device(&self, address: u64) -> u32 {
        assert!(address.is_multiple_of(4));
        self.devices().registers.get(&address).copied().unwrap_or(0)
    }

    fn write_device(&self, address: u64, value: u32) {
        assert!(address.is_multiple_of(4));
        assert!(address >> 12 >= self.ram().frames() as u64, "{address:#x} is RAM");
        self.devices().registers.insert(address, value);
    }
}

/// Each port is a byte of memory, but those of PCI.
impl Ports for FakeMachine {
    fn read_port(&self, port: u16, bytes: u8) -> u32 {
        assert!(matches!(bytes, 1 | 2 | 4), "{bytes} bytes from a port");
        let mut devices = self.devices();
        devices.port_log.push(PortAccess::Read(port, bytes));
        (0..bytes).fold(0, |value, i| {
            let port = port.wrapping_add(i.into());
            let byte = match devices.pci_byte(port) {
                Some(byte) => byte.map_or(0xff, |byte| *byte),
                None => devices.ports.get(&port).copied().unwrap_or(0),
            };
            value | u32::from(byte) << (8 * i)
        })
    }

    fn write_port(&self, port: u16, bytes: u8, value: u32) {
        assert!(matches!(bytes, 1 | 2 | 4), "{bytes} bytes to a port");
        assert_eq!(u64::from(value) >> (8 * bytes), 0, "{value:#x} is more than {bytes} bytes");
        let mut devices = self.devices();
        devices.port_log.push(PortAccess::Write(port, bytes, value));
        for i in 0..bytes {
            let (port, new) = (port.wrapping_add(i.into()), (value >> (8 * i)) as u8);
            match devices.pci_byte(port) {
                Some(Some(byte)) => *byte = new,
                Some(None) => {}
                None => {
                    devices.ports.insert(port, new);
                }
            }
        }
    }

    fn own_ports(&self) -> &[(u16, u16)] {
        &[(0x3f8, 0x3ff)]
    }
}

impl Power for FakeMachine {
    fn domain0_shut_down(&self, reason: u8) {
        self.devices().shut_down.push(reason);
    }
}

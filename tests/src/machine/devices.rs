//! The simulated clock and console.

use std::collections::{BTreeMap, VecDeque};

use hypervisor::platform::{Clock, Console, Ports, Power, PvClock};

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
    /// Frames that were zeroed whole.
    pub frames_zeroed: u64,
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
}

/// Each port is a byte of memory.
impl Ports for FakeMachine {
    fn read_port(&self, port: u16, bytes: u8) -> u32 {
        assert!(matches!(bytes, 1 | 2 | 4), "{bytes} bytes from a port");
        let mut devices = self.devices();
        devices.port_log.push(PortAccess::Read(port, bytes));
        (0..bytes).fold(0, |value, i| {
            let byte = devices.ports.get(&(port.wrapping_add(i.into()))).copied().unwrap_or(0);
            value | u32::from(byte) << (8 * i)
        })
    }

    fn write_port(&self, port: u16, bytes: u8, value: u32) {
        assert!(matches!(bytes, 1 | 2 | 4), "{bytes} bytes to a port");
        assert_eq!(u64::from(value) >> (8 * bytes), 0, "{value:#x} is more than {bytes} bytes");
        let mut devices = self.devices();
        devices.port_log.push(PortAccess::Write(port, bytes, value));
        for i in 0..bytes {
            devices.ports.insert(port.wrapping_add(i.into()), (value >> (8 * i)) as u8);
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

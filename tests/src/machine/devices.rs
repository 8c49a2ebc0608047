//! The simulated clock and console.

use std::collections::VecDeque;

use hypervisor::platform::{Clock, Console, Power, PvClock};

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
    /// Frames that were zeroed whole.
    pub frames_zeroed: u64,
}

impl FakeMachine {
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

impl Power for FakeMachine {
    fn domain0_shut_down(&self, reason: u8) {
        self.devices().shut_down.push(reason);
    }
}

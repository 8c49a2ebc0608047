//! Time that a vCPU spent running, waiting, sleeping, and down.
//!
//! Everyone who changes a vCPU's state accounts for it *afterwards*, under the lock, for
//! the state found then: whoever comes last sees the newest state, so two changes in
//! quick succession on two CPUs cannot leave an old one on record.

use pv_abi::vcpu as abi;

use super::run::VcpuRun;
use super::word::State;

/// The record: `vcpu_runstate_info` without its width.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Runstate {
    /// One of `RUNSTATE_*`.
    pub state: i32,
    /// System time when it was entered, in ns.
    pub entered_ns: u64,
    /// Time spent in each, in ns, by `RUNSTATE_*`.
    pub time_ns: [u64; 4],
}

impl Runstate {
    /// Down since boot.
    pub const fn new() -> Runstate {
        Runstate { state: abi::RUNSTATE_OFFLINE, entered_ns: 0, time_ns: [0; 4] }
    }

    /// Adds the time up to `now_ns` to the state on record and enters `state`.
    fn enter(&mut self, state: i32, now_ns: u64) {
        let spent = now_ns.saturating_sub(self.entered_ns);
        if let Some(time) = self.time_ns.get_mut(self.state as usize) {
            *time = time.saturating_add(spent);
        }
        self.state = state;
        self.entered_ns = now_ns;
    }
}

impl Default for Runstate {
    fn default() -> Self {
        Runstate::new()
    }
}

impl VcpuRun {
    /// Brings the record up to date after a change of state.
    pub(super) fn account(&self, now_ns: u64) {
        let mut record = self.runstate.lock();
        let state = match self.state() {
            State::Offline => abi::RUNSTATE_OFFLINE,
            State::Blocked => abi::RUNSTATE_BLOCKED,
            // As Xen has it: one that is kept from running does not wait for a CPU.
            State::Runnable if !self.can_run() => abi::RUNSTATE_OFFLINE,
            State::Runnable => abi::RUNSTATE_RUNNABLE,
            State::Running => abi::RUNSTATE_RUNNING,
        };
        if record.state != state {
            record.enter(state, now_ns);
        }
    }

    /// The record as of the last change of state.
    pub fn record(&self) -> Runstate {
        *self.runstate.lock()
    }

    /// The record, with the time of the present state up to `now_ns` in it.
    pub fn runstate(&self, now_ns: u64) -> Runstate {
        let record = *self.runstate.lock();
        let mut until_now = record;
        until_now.enter(record.state, now_ns);
        Runstate { entered_ns: record.entered_ns, ..until_now }
    }
}

#[cfg(test)]
mod tests {
    use super::super::word::Bar;
    use super::*;

    #[test]
    fn time_goes_to_the_state_that_was() {
        let run = VcpuRun::new();
        assert!(run.clear(Bar::Down));
        run.account(100);
        assert!(run.pick());
        run.account(130);
        run.block();
        assert!(!run.stopped());
        run.account(200);
        let now = run.runstate(1000);
        assert_eq!(now.state, abi::RUNSTATE_BLOCKED);
        assert_eq!(now.entered_ns, 200);
        assert_eq!(now.time_ns, [70, 30, 800, 100]);
        assert_eq!(run.runstate(200).time_ns, [70, 30, 0, 100], "looking changes nothing");
    }

    #[test]
    fn a_clock_that_steps_back_and_sums_that_overflow_are_harmless() {
        let mut record = Runstate { time_ns: [0, 0, 0, u64::MAX - 1], ..Runstate::new() };
        record.enter(abi::RUNSTATE_RUNNING, 50);
        assert_eq!(record.time_ns[3], u64::MAX);
        record.enter(abi::RUNSTATE_BLOCKED, 20);
        assert_eq!(record.time_ns[0], 0);
    }
}

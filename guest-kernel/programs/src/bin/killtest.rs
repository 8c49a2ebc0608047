//! `kill`: ends processes that run, sleep, or are stuck in a loop.
//!
//! Expected: only `ok` lines; status 0.
#![no_std]
#![no_main]

use guest_programs::Args;
use guest_programs::check::Checks;
use guest_programs::sys::{self, Ended, Errno};

guest_programs::entry!(main);

fn main(_args: Args) -> u8 {
    let mut checks = Checks::new();
    let spinner = || loop {
        core::hint::spin_loop();
    };
    let sleeper = || {
        let _ = sys::sleep_ms(60_000);
        0
    };
    let began = sys::now_ms();
    kill(&mut checks, spinner, 9, "a child that spins dies of SIGKILL");
    kill(&mut checks, spinner, 15, "and of SIGTERM");
    kill(&mut checks, sleeper, 9, "a child that sleeps dies of SIGKILL");
    kill(&mut checks, sleeper, 2, "and of SIGINT");
    checks.that(sys::now_ms() - began < 20_000, format_args!("without waiting for its alarm"));

    checks.same(sys::kill(sys::getpid(), 0), Ok(0), "signal 0 only asks whether it is there");
    checks.same(sys::kill(0x7fff_0000, 9), Err(Errno::ESRCH), "nobody to kill");
    checks.same(sys::kill(sys::getpid(), 200), Err(Errno::EINVAL), "no such signal");
    checks.child(|| sys::kill(sys::getpid(), 9).map_or(1, |_| 2), Ended::Killed(9), "suicide");
    checks.status()
}

fn kill(checks: &mut Checks, act: impl FnOnce() -> u8, signal: u8, what: &str) {
    let pid = match sys::fork() {
        Ok(0) => sys::exit(act()),
        other => other.unwrap_or(0),
    };
    let _ = sys::sleep_ms(30);
    checks.same(sys::kill(pid, signal), Ok(0), "kill");
    checks.same(sys::wait(pid), Ok(Ended::Killed(signal)), what);
}

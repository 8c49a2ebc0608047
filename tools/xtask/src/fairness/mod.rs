//! `fairness`: whether who is busy gets the shares of the CPUs that they are owed.
//!
//! Micro-guests keep vCPUs busy for seconds of virtual time and say how long each ran: first the
//! vCPUs of one domain ([`vcpus`]), which are all alike, then domains with weights and caps
//! ([`domains`]). Time is counted instructions (64 ns each), so a run is short and always the same.

mod case;
mod domains;
mod vcpus;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args as ClapArgs;

use crate::emulator::{Machine, Watch};
use crate::toolchain::Toolchain;
use crate::transcript::Lines;
use crate::workspace::Workspace;
use crate::{build, qemu, terminal};
use case::Case;

/// The micro-guests that keep the CPUs busy.
pub const GUESTS: [&str; 2] = [vcpus::GUEST, domains::GUEST];
/// An instruction is two to this power nanoseconds.
const ICOUNT_SHIFT: u8 = 6;
/// How long a run may really take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What `fairness` takes.
#[derive(ClapArgs)]
pub struct Args {
    /// CPUs of the machine
    #[arg(long, value_name = "N", default_value_t = 2)]
    cpus: u32,
    /// Busy vCPUs of one domain, one run for each number
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "2,4,8")]
    vcpus: Vec<u32>,
    /// Busy domains, one run for each case: VCPUSxWEIGHT[/CAP] for each domain, with `+` between
    /// them, and @N if they may use the first N CPUs only
    #[arg(long, value_name = "CASE,..", value_delimiter = ',', default_value = case::DEFAULT)]
    domains: Vec<Case>,
    /// Milliseconds of virtual time
    #[arg(long, value_name = "MS", default_value_t = 3000)]
    ms: u32,
    /// How far a share may be from what is owed, in percent of it
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0)]
    tolerance: f64,
}

/// How long somebody ran, and how long it should have been.
#[derive(Clone, Copy, Debug)]
struct Share {
    number: u32,
    ran_ns: u64,
    owed_ns: f64,
}

impl Share {
    fn deviation(&self) -> f64 {
        100.0 * (self.ran_ns as f64 - self.owed_ns) / self.owed_ns
    }

    /// The end of a row, and whether it is within bounds.
    fn judged(&self, tolerance: f64) -> (String, bool) {
        let good = self.deviation().abs() <= tolerance;
        (format!("{:9.2} %{}", self.deviation(), if good { "" } else { "  unfair" }), good)
    }
}

/// Measures, prints tables, and fails if a share is wrong.
pub fn run(args: &Args) -> Result<ExitCode> {
    terminal::clean_up_on_signals();
    let (ws, toolchain) = (Workspace::here(), Toolchain::find()?);
    let hypervisor = build::hypervisor(&ws, &toolchain)?;
    let guests = build::micro_guests(&ws, &toolchain)?;
    let kernel = |wanted: &str| {
        let found = guests.iter().find(|(name, _)| name == wanted);
        found.map(|(_, kernel)| kernel.clone()).context("tests/guests has no guest for this")
    };
    let alike = vcpus::run(args, &hypervisor, &kernel(vcpus::GUEST)?)?;
    println!();
    let weighted = domains::run(args, &hypervisor, &kernel(domains::GUEST)?)?;
    Ok(if alike && weighted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What to boot, but for the rest of both command lines.
fn machine(args: &Args, hypervisor: &Path, kernel: &Path) -> Machine {
    Machine {
        hypervisor: hypervisor.to_path_buf(),
        hypervisor_args: "console=com1 debug-exit".into(),
        kernel: kernel.to_path_buf(),
        kernel_args: format!("ms={}", args.ms),
        initrd: None,
        memory_mib: 128,
        cpus: args.cpus,
        devices: Vec::new(),
        disks: Vec::new(),
        icount: Some(ICOUNT_SHIFT),
        gdb: false,
        memory_file: None,
        console: None,
        network: None,
    }
}

/// What a run said.
#[derive(Default)]
struct Said {
    /// Whom it is about, and for how many ns they ran.
    ran: Vec<(u32, u64)>,
    /// How long that took, if the guest said so.
    period_ns: Option<u64>,
}

/// One run, which must be about `count`.
fn measure(machine: &Machine, count: usize) -> Result<Said> {
    let (mut said, mut done) = (Said::default(), false);
    let mut lines = Lines::default();
    let outcome = qemu::start(machine)?.watch(Some(PATIENCE), &mut |bytes| {
        lines.feed(bytes, |line| {
            said.ran.extend(share(line));
            said.period_ns = said.period_ns.or_else(|| line.strip_prefix("PERIOD ")?.parse().ok());
            done |= line == "FAIRNESS-DONE";
        });
        Ok(Watch::On)
    })?;
    if !done {
        eprintln!("fairness: {}; its last lines:", outcome.describe());
        lines.tail().iter().for_each(|line| eprintln!("  | {line}"));
    }
    ensure!(done && said.ran.len() == count, "not all of {count} were measured");
    Ok(said)
}

/// `SHARE number nanoseconds`.
fn share(line: &str) -> Option<(u32, u64)> {
    let mut words = line.strip_prefix("SHARE ")?.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_shares() {
        assert_eq!(share("SHARE 3 1500000"), Some((3, 1_500_000)));
        assert_eq!(share("SHARE x"), None);
        assert_eq!(share("Test result: SUCCESS"), None);
    }

    #[test]
    fn a_share_is_judged_by_what_is_owed() {
        let judged = |ran_ns| Share { number: 0, ran_ns, owed_ns: 500.0 }.judged(2.0);
        assert_eq!(judged(510), ("     2.00 %".into(), true));
        assert_eq!(judged(489), ("    -2.20 %  unfair".into(), false));
    }
}

//! `fairness`: whether busy vCPUs get the shares of the CPUs that they are owed.
//!
//! A micro-guest keeps all its vCPUs busy for seconds of virtual time and says how long each
//! ran. Time is counted instructions (64 ns each), so a run is short and always the same.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args as ClapArgs;

use crate::emulator::{Machine, Watch};
use crate::toolchain::Toolchain;
use crate::transcript::Lines;
use crate::workspace::Workspace;
use crate::{build, qemu, terminal};

/// The micro-guest with busy vCPUs.
pub const GUEST: &str = "fairness";
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
    /// Busy vCPUs, one run for each number
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "2,4,8")]
    vcpus: Vec<u32>,
    /// Milliseconds of virtual time
    #[arg(long, value_name = "MS", default_value_t = 3000)]
    ms: u32,
    /// How far a share may be from what is owed, in percent of it
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0)]
    tolerance: f64,
}

/// How long one vCPU ran, and how long it should have.
#[derive(Clone, Copy, Debug)]
struct Share {
    vcpu: u32,
    ran_ns: u64,
    owed_ns: f64,
}

impl Share {
    fn deviation(&self) -> f64 {
        100.0 * (self.ran_ns as f64 - self.owed_ns) / self.owed_ns
    }
}

/// Measures, prints a table, and fails if a share is wrong.
pub fn run(args: &Args) -> Result<ExitCode> {
    terminal::clean_up_on_signals();
    let (ws, toolchain) = (Workspace::here(), Toolchain::find()?);
    let hypervisor = build::hypervisor(&ws, &toolchain)?;
    let guests = build::micro_guests(&ws, &toolchain)?;
    let found = guests.into_iter().find(|(name, _)| name == GUEST);
    let (_, kernel) = found.context("tests/guests has no guest for this")?;
    let mut fair = true;
    println!("vCPUs  CPUs  vCPU     ran ms    owed ms  deviation");
    for vcpus in &args.vcpus {
        ensure!((1..=8).contains(vcpus), "the guest has 1 to 8 vCPUs, not {vcpus}");
        let machine = Machine {
            hypervisor: hypervisor.clone(),
            hypervisor_args: format!("console=com1 debug-exit dom0_max_vcpus={vcpus}"),
            kernel: kernel.clone(),
            kernel_args: format!("ms={}", args.ms),
            initrd: None,
            memory_mib: 128,
            cpus: args.cpus,
            devices: Vec::new(),
            icount: Some(ICOUNT_SHIFT),
            gdb: false,
            memory_file: None,
        };
        for share in shares(&machine, *vcpus, args)? {
            let good = share.deviation().abs() <= args.tolerance;
            fair &= good;
            println!(
                "{vcpus:5}{:6}{:6}{:11.1}{:11.1}{:9.2} %{}",
                args.cpus,
                share.vcpu,
                share.ran_ns as f64 / 1e6,
                share.owed_ns / 1e6,
                share.deviation(),
                if good { "" } else { "  unfair" }
            );
        }
    }
    Ok(if fair { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One run.
fn shares(machine: &Machine, vcpus: u32, args: &Args) -> Result<Vec<Share>> {
    let (mut ran, mut done) = (Vec::new(), false);
    let mut lines = Lines::default();
    let outcome = qemu::start(machine)?.watch(Some(PATIENCE), &mut |bytes| {
        lines.feed(bytes, |line| {
            ran.extend(share(line));
            done |= line == "FAIRNESS-DONE";
        });
        Ok(Watch::On)
    })?;
    if !done {
        eprintln!("fairness: {}; its last lines:", outcome.describe());
        lines.tail().iter().for_each(|line| eprintln!("  | {line}"));
    }
    ensure!(done && ran.len() == vcpus as usize, "{vcpus} vCPUs were not measured");
    Ok(owed(&ran, args.cpus.min(vcpus), f64::from(args.ms) * 1e6))
}

/// `SHARE vcpu nanoseconds`.
fn share(line: &str) -> Option<(u32, u64)> {
    let mut words = line.strip_prefix("SHARE ")?.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// Adds what each is owed of `cpus` CPUs for that long: all are alike.
fn owed(ran: &[(u32, u64)], cpus: u32, period_ns: f64) -> Vec<Share> {
    let owed_ns = period_ns * f64::from(cpus) / ran.len().max(1) as f64;
    ran.iter().map(|&(vcpu, ran_ns)| Share { vcpu, ran_ns, owed_ns }).collect()
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
    fn what_is_owed_is_a_part_of_all_cpus() {
        let shares = owed(&[(0, 510), (1, 490), (2, 500), (3, 500)], 2, 1000.0);
        let deviations: Vec<f64> = shares.iter().map(Share::deviation).collect();
        assert_eq!(deviations, [2.0, -2.0, 0.0, 0.0]);
    }
}

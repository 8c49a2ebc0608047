//! The busy vCPUs of one domain: all are owed the same.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{Args, Share, machine, measure};

/// The micro-guest whose vCPUs spin.
pub const GUEST: &str = "fairness";

/// Measures each number of vCPUs; returns whether all is fair.
pub fn run(args: &Args, hypervisor: &Path, kernel: &Path) -> Result<bool> {
    let mut fair = true;
    println!("vCPUs  CPUs  vCPU     ran ms    owed ms  deviation");
    for vcpus in &args.vcpus {
        ensure!((1..=8).contains(vcpus), "the guest has 1 to 8 vCPUs, not {vcpus}");
        let mut machine = machine(args, hypervisor, kernel);
        machine.hypervisor_args += &format!(" dom0_max_vcpus={vcpus}");
        let said = measure(&machine, *vcpus as usize)?;
        for share in owed(&said.ran, args.cpus.min(*vcpus), f64::from(args.ms) * 1e6) {
            let (judged, good) = share.judged(args.tolerance);
            fair &= good;
            println!(
                "{vcpus:5}{:6}{:6}{:11.1}{:11.1}{judged}",
                args.cpus,
                share.number,
                share.ran_ns as f64 / 1e6,
                share.owed_ns / 1e6,
            );
        }
    }
    Ok(fair)
}

/// Adds what each is owed of `cpus` CPUs for that long: all are alike.
fn owed(ran: &[(u32, u64)], cpus: u32, period_ns: f64) -> Vec<Share> {
    let owed_ns = period_ns * f64::from(cpus) / ran.len().max(1) as f64;
    ran.iter().map(|&(number, ran_ns)| Share { number, ran_ns, owed_ns }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_is_a_part_of_all_cpus() {
        let shares = owed(&[(0, 510), (1, 490), (2, 500), (3, 500)], 2, 1000.0);
        let deviations: Vec<f64> = shares.iter().map(Share::deviation).collect();
        assert_eq!(deviations, [2.0, -2.0, 0.0, 0.0]);
    }
}

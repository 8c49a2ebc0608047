//! Busy domains with weights and caps, which domain 0 makes; it sleeps while they run.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::case::Bound;
use super::{Args, Share, machine, measure};

/// The micro-guest that makes them.
pub const GUEST: &str = "fairness-domains";

/// Measures each case; returns whether all is fair.
pub fn run(args: &Args, hypervisor: &Path, kernel: &Path) -> Result<bool> {
    let mut fair = true;
    println!("CPUs  domain  vCPUs  weight  cap  owed % of a CPU  got %  deviation  what limits it");
    for case in &args.domains {
        let cpus = case.cpus.unwrap_or(args.cpus);
        ensure!(cpus <= args.cpus, "{cpus} CPUs of {}", args.cpus);
        let mut machine = machine(args, hypervisor, kernel);
        // The rest is the other domains'.
        machine.hypervisor_args += " dom0_max_vcpus=1 dom0_mem=64M";
        machine.kernel_args += &case.kernel_args();
        let said = measure(&machine, case.plans.len())?;
        let period_ns = said.period_ns.context("the guest did not say how long it took")? as f64;
        for ((plan, owed), (number, ran_ns)) in case.plans.iter().zip(case.owed(cpus)).zip(said.ran)
        {
            let share = Share { number, ran_ns, owed_ns: owed.cpus * period_ns };
            let (judged, good) = share.judged(args.tolerance);
            fair &= good;
            println!(
                "{cpus:4}{:>8}{:7}{:8}{:>5}{:17.1}{:7.1}{judged}  {}",
                format!("d{}", number + 1),
                plan.vcpus,
                plan.weight,
                if plan.cap == 0 { "-".into() } else { plan.cap.to_string() },
                100.0 * owed.cpus,
                100.0 * ran_ns as f64 / period_ns,
                match owed.bound {
                    Bound::Weight => "its weight",
                    Bound::Vcpus => "a CPU for each vCPU",
                    Bound::Cap => "its cap",
                }
            );
        }
    }
    Ok(fair)
}

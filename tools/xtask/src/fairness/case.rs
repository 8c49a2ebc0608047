//! Busy domains on some CPUs, and what each of them is owed.
//!
//! Weights divide the CPUs, vCPU by vCPU. But a vCPU is on one CPU at a time, and a cap is a cap: who
//! is owed more than it can use leaves the rest to the others, by their weights.

use std::str::FromStr;

use anyhow::{Context, Error, Result, ensure};

/// Two vCPUs, pinned to one CPU and not (then weights cannot matter); four, six and eight on two
/// CPUs; a cap.
pub const DEFAULT: &str =
    "1x256+1x512@1,1x256+1x512,2x256+2x512,4x256+4x512,2x256+2x256+2x1024,2x256/25+2x256";
/// Domains that the guest can make.
const MOST: usize = 4;

/// A domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// vCPUs, all of them busy.
    pub vcpus: u32,
    /// The weight of each.
    pub weight: u32,
    /// Percent of a CPU; 0: no limit.
    pub cap: u32,
}

/// Domains that run at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub plans: Vec<Plan>,
    /// They may use so many CPUs, the first; all if it is not said.
    pub cpus: Option<u32>,
}

/// What a domain is owed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Owed {
    /// How many CPUs.
    pub cpus: f64,
    /// Why not more.
    pub bound: Bound,
}

/// What keeps a domain from having more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Weight,
    Vcpus,
    Cap,
}

impl FromStr for Plan {
    type Err = Error;

    fn from_str(text: &str) -> Result<Plan> {
        let (vcpus, weight) = text.split_once('x').context("VCPUSxWEIGHT[/CAP]")?;
        let (weight, cap) = weight.split_once('/').unwrap_or((weight, "0"));
        let plan = Plan { vcpus: vcpus.parse()?, weight: weight.parse()?, cap: cap.parse()? };
        ensure!((1..=8).contains(&plan.vcpus), "a domain has 1 to 8 vCPUs");
        ensure!((1..=65535).contains(&plan.weight), "weights are 1 to 65535");
        ensure!(plan.cap < 65535, "caps are below 65535");
        Ok(plan)
    }
}

impl FromStr for Case {
    type Err = Error;

    fn from_str(text: &str) -> Result<Case> {
        let (plans, cpus) = match text.split_once('@') {
            Some((plans, cpus)) => (plans, Some(cpus.parse()?)),
            None => (text, None),
        };
        let plans = plans.split('+').map(str::parse).collect::<Result<Vec<Plan>>>()?;
        ensure!(plans.len() <= MOST, "the guest makes {MOST} domains at most");
        ensure!(cpus.is_none_or(|cpus| (1..=32).contains(&cpus)), "1 to 32 CPUs");
        Ok(Case { plans, cpus })
    }
}

impl Case {
    /// What the guest is to be told.
    pub fn kernel_args(&self) -> String {
        let cpus = self.cpus.map_or(0, |cpus| u32::MAX >> (32 - cpus));
        let word = |plan: &Plan| {
            let Plan { vcpus, weight, cap } = plan;
            format!(" domain={vcpus},{weight},{cap},{cpus}")
        };
        self.plans.iter().map(word).collect()
    }

    /// What each is owed of so many CPUs.
    pub fn owed(&self, cpus: u32) -> Vec<Owed> {
        let mut owed: Vec<Option<Owed>> = vec![None; self.plans.len()];
        loop {
            let left = f64::from(cpus) - owed.iter().flatten().map(|owed| owed.cpus).sum::<f64>();
            let open = || self.plans.iter().zip(&owed).filter(|(_, owed)| owed.is_none());
            let weights: f64 = open().map(|(plan, _)| plan.weights()).sum();
            let share = |plan: &Plan| left * plan.weights() / weights;
            // Those that cannot use their share get what they can, and the others share anew.
            let sated = open().any(|(plan, _)| plan.limit().cpus <= share(plan));
            let next: Vec<Option<Owed>> = self
                .plans
                .iter()
                .zip(&owed)
                .map(|(plan, owed)| match (owed, plan.limit()) {
                    (Some(owed), _) => Some(*owed),
                    (None, limit) if limit.cpus <= share(plan) => Some(limit),
                    (None, _) if sated => None,
                    (None, _) => Some(Owed { cpus: share(plan), bound: Bound::Weight }),
                })
                .collect();
            owed = next;
            if owed.iter().all(Option::is_some) {
                return owed.into_iter().flatten().collect();
            }
        }
    }
}

impl Plan {
    /// The weight of all its vCPUs.
    fn weights(&self) -> f64 {
        f64::from(self.vcpus) * f64::from(self.weight)
    }

    /// What it gets at most.
    fn limit(&self) -> Owed {
        let (vcpus, cap) = (f64::from(self.vcpus), f64::from(self.cap) / 100.0);
        if self.cap != 0 && cap < vcpus {
            Owed { cpus: cap, bound: Bound::Cap }
        } else {
            Owed { cpus: vcpus, bound: Bound::Vcpus }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owed(case: &str, cpus: u32) -> Vec<(f64, Bound)> {
        let case: Case = case.parse().unwrap();
        let rounded = |owed: Owed| ((owed.cpus * 1000.0).round() / 1000.0, owed.bound);
        case.owed(cpus).into_iter().map(rounded).collect()
    }

    #[test]
    fn cases_are_read_and_told_to_the_guest() {
        let case: Case = "1x256/25+4x512@2".parse().unwrap();
        assert_eq!(case.kernel_args(), " domain=1,256,25,3 domain=4,512,0,3");
        for bad in ["", "x", "1x0", "0x1", "9x1", "1x65536", "1x1@0", "1x1@33", "1x1+", "1x1/a"] {
            assert!(bad.parse::<Case>().is_err(), "{bad}");
        }
        assert!(DEFAULT.split(',').all(|case| case.parse::<Case>().is_ok()));
    }

    #[test]
    fn weights_divide_what_there_is() {
        use Bound::{Cap, Vcpus, Weight};
        assert_eq!(owed("1x256+1x512", 1), [(0.333, Weight), (0.667, Weight)]);
        assert_eq!(owed("2x256+2x512", 2), [(0.667, Weight), (1.333, Weight)]);
        // What cannot be used is the others'.
        assert_eq!(owed("1x256+1x512", 2), [(1.0, Vcpus), (1.0, Vcpus)]);
        assert_eq!(owed("1x256+1x1000+1x256", 2), [(0.5, Weight), (1.0, Vcpus), (0.5, Weight)]);
        assert_eq!(owed("2x256/25+2x256", 2), [(0.25, Cap), (1.75, Weight)]);
        assert_eq!(owed("1x1/200", 2), [(1.0, Vcpus)]);
    }
}

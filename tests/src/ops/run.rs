//! Sequences of steps: run, checked, shortened, saved.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::source::Source;
use super::world::{Tally, World};
use super::{Op, Step};
use crate::check;

/// A saved run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sequence {
    /// What went wrong.
    #[serde(default)]
    pub about: String,
    /// CPUs of the machine.
    pub cpus: usize,
    /// Tables that a request may work through before it is preempted.
    pub budget: u32,
    /// What happens.
    pub steps: Vec<Step>,
}

impl Sequence {
    /// The sequence that `bytes` stand for; no longer than `most` steps.
    pub fn decode(bytes: &[u8], most: usize) -> Sequence {
        let mut from = Source::new(bytes);
        let cpus = 2 + from.below(2) as usize;
        let budget = from.one_of(&[3, 4, 6, 32]);
        let mut steps = Vec::new();
        while !from.is_empty() && steps.len() < most {
            steps.push(Step::decode(&mut from));
        }
        Sequence { about: String::new(), cpus, budget, steps }
    }

    /// Runs it. The invariants are checked after every `interval` steps; in the end all
    /// domains are destroyed and must leave nothing behind. Returns what came of the hypercalls.
    pub fn run(&self, interval: usize) -> Result<Tally, String> {
        let mut world = World::new(self.cpus, self.budget);
        for (number, step) in self.steps.iter().enumerate() {
            let words = |what| format!("after step {number} ({step:?}): {what}");
            caught(|| world.step(step)).map_err(words)?;
            if (number + 1) % interval == 0 {
                caught(|| world.at_rest(check::broken)).and_then(|r| r).map_err(words)?;
            }
        }
        caught(|| world.at_rest(check::broken))
            .and_then(|r| r)
            .map_err(|what| format!("at the end: {what}"))?;
        let end = caught(|| world.end()).and_then(|r| r);
        end.map_err(|what| format!("when all were destroyed: {what}"))?;
        Ok(world.tally)
    }

    /// A sequence without steps that the failure does not need, within `tries` runs.
    pub fn shrink(&self, mut tries: usize) -> Sequence {
        let mut best = self.clone();
        let Err(wanted) = self.run(1) else { return best.described() };
        if let Some(step) = step_of(&wanted) {
            best.steps.truncate(step + 1);
        }
        let mut chunk = best.steps.len().div_ceil(2);
        while chunk > 0 {
            let mut at = 0;
            while at < best.steps.len() {
                if tries == 0 {
                    return best.described();
                }
                tries -= 1;
                let mut shorter = best.clone();
                shorter.steps.drain(at..(at + chunk).min(best.steps.len()));
                // Looking after every step of a long one takes long.
                let interval = 1 + shorter.steps.len() / 64;
                if shorter.run(interval).is_err_and(|what| kind(&what) == kind(&wanted)) {
                    best = shorter;
                } else {
                    at += chunk;
                }
            }
            chunk /= 2;
        }
        best.thinned(&wanted).described()
    }

    /// Without calls in multicalls that the failure does not need.
    fn thinned(&self, wanted: &str) -> Sequence {
        let mut best = self.clone();
        for at in 0..best.steps.len() {
            let mut index = 0;
            while let Op::Multi(calls) = &best.steps[at].op
                && index < calls.len()
            {
                let mut thinner = best.clone();
                if let Op::Multi(calls) = &mut thinner.steps[at].op {
                    calls.remove(index);
                }
                if thinner.run(1).is_err_and(|what| kind(&what) == kind(wanted)) {
                    best = thinner;
                } else {
                    index += 1;
                }
            }
        }
        best
    }

    fn described(mut self) -> Sequence {
        self.about = self.run(1).err().unwrap_or_else(|| "it does not fail any more".to_owned());
        self
    }

    /// Reads one that was saved.
    pub fn load(path: &Path) -> std::io::Result<Sequence> {
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }

    /// Writes it into `folder` as `name.json`; where.
    pub fn save(&self, folder: &Path, name: &str) -> std::io::Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{name}.json"));
        std::fs::write(&path, serde_json::to_string_pretty(self)?)?;
        Ok(path)
    }
}

/// The step after which it went wrong.
fn step_of(what: &str) -> Option<usize> {
    what.strip_prefix("after step ")?.split(' ').next()?.parse().ok()
}

/// What went wrong, without when and where: what is shortened must fail for the same reason.
fn kind(what: &str) -> String {
    let after = what.rsplit_once("}): ").map_or(what, |(_, after)| after);
    after.chars().filter(|c| !c.is_ascii_hexdigit()).take(60).collect()
}

/// What `f` returns, or how it panicked.
fn caught<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        format!("a panic: {}", text.unwrap_or_default())
    })
}

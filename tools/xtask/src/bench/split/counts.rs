//! What the plugin `tools/counter` tells: instructions by who executed them.

use std::io;
use std::ops::Sub;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// Instructions, since the start or between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Of the kernel of a domU: the front end's side.
    pub domu: f64,
    /// Of the hypervisor.
    pub hypervisor: f64,
    /// Of domain 0's kernel: the back end's side.
    pub domain0: f64,
    /// Of programs, whosever.
    #[serde(skip)]
    pub programs: f64,
}

impl Counts {
    /// All of them.
    pub fn total(self) -> f64 {
        self.domu + self.hypervisor + self.domain0 + self.programs
    }

    /// One part of so many equal ones.
    pub fn part(self, of: f64) -> Self {
        Self {
            domu: self.domu / of,
            hypervisor: self.hypervisor / of,
            domain0: self.domain0 / of,
            programs: self.programs / of,
        }
    }

    /// Reads the plugin's line.
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1)?.parse::<u64>().ok().map(|number| number as f64)
        };
        Some(Self {
            domu: number("domains")?,
            hypervisor: number("hypervisor")?,
            domain0: number("domain0")?,
            programs: number("programs")?,
        })
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            domu: self.domu - before.domu,
            hypervisor: self.hypervisor - before.hypervisor,
            domain0: self.domain0 - before.domain0,
            programs: self.programs - before.programs,
        }
    }
}

/// The plugin of a machine, by its socket.
pub struct Counter(pub PathBuf);

/// Between two looks.
const GLANCE: Duration = Duration::from_millis(30);
/// A machine executes no more than that between two looks when it has nothing to do.
const QUIET: f64 = 20_000.0;
/// So long it may have something to do after it asked for the next line.
const PATIENCE: Duration = Duration::from_secs(20);

impl Counter {
    /// Looks.
    pub fn read(&self) -> Result<Counts> {
        let line = UnixStream::connect(&self.0).and_then(io::read_to_string);
        let line = line.context("QEMU's plugin does not answer")?;
        Counts::parse(&line).with_context(|| format!("QEMU's plugin told {line:?}"))
    }

    /// Looks when the machine has nothing to do.
    pub fn read_when_quiet(&self) -> Result<Counts> {
        let begun = Instant::now();
        let mut before = self.read()?;
        while begun.elapsed() < PATIENCE {
            thread::sleep(GLANCE);
            let now = self.read()?;
            if (now - before).total() <= QUIET {
                return Ok(now);
            }
            before = now;
        }
        bail!("the machine always has something to do");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugins_line_is_read() {
        let counts = Counts::parse("hypervisor 4 domain0 3 domains 2 programs 1\n").unwrap();
        assert_eq!(counts, Counts { domu: 2.0, hypervisor: 4.0, domain0: 3.0, programs: 1.0 });
        assert_eq!(counts.total(), 10.0);
        assert_eq!((counts - counts.part(2.0)).total(), 5.0);
        assert_eq!(Counts::parse("hypervisor 4 domain0"), None);
    }
}

//! `tests/guests/manifest`: what each micro-guest is expected to say, and on what machine.
//!
//! A line per guest that differs from the rest: its name, the verdict in
//! capitals, and options. A guest without a line is expected to say SUCCESS on
//! two CPUs, on one, and 128 MiB in both emulators. A line for a guest that does not
//! exist is an error.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::run::Kind;

/// How to run a guest and what to expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The verdict's word, e.g. `SUCCESS`.
    pub expect: String,
    /// CPUs of the machine in QEMU, a run for each; Bochs has one.
    pub cpus: Vec<u32>,
    /// Virtual CPUs of the guest, if the hypervisor is not to decide.
    pub vcpus: Option<u32>,
    /// Memory of the machine in MiB.
    pub memory_mib: u32,
    /// How long it may take in QEMU; Bochs has three times as long.
    pub timeout: Duration,
    /// The only emulator it is for.
    pub only: Option<Kind>,
    /// More words for the hypervisor.
    pub hypervisor_args: String,
    /// The guest's command line.
    pub append: String,
    /// Devices beside the board's, as QEMU's `-device` takes them.
    pub devices: Vec<String>,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            expect: "SUCCESS".into(),
            cpus: vec![2, 1],
            vcpus: None,
            memory_mib: 128,
            timeout: Duration::from_secs(60),
            only: None,
            hypervisor_args: String::new(),
            append: String::new(),
            devices: Vec::new(),
        }
    }
}

/// The manifest, by guest.
#[derive(Debug, Default)]
pub struct Manifest {
    entries: BTreeMap<String, Entry>,
}

impl Manifest {
    /// Reads the file; without one, every guest is expected to succeed.
    pub fn read(path: &Path, guests: &[String]) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(path)?;
        let manifest = Self::parse(&text).with_context(|| path.display().to_string())?;
        for name in manifest.entries.keys() {
            ensure!(guests.contains(name), "{}: there is no guest {name}", path.display());
        }
        Ok(manifest)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut entries = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("");
            let mut words = words(line).into_iter();
            let Some(name) = words.next() else { continue };
            let entry = parse_entry(words).with_context(|| format!("line {}", number + 1))?;
            ensure!(
                entries.insert(name.clone(), entry).is_none(),
                "line {}: a second line for {name}",
                number + 1
            );
        }
        Ok(Self { entries })
    }

    /// How to run `guest`.
    pub fn entry(&self, guest: &str) -> Entry {
        self.entries.get(guest).cloned().unwrap_or_default()
    }
}

fn parse_entry(mut words: impl Iterator<Item = String>) -> Result<Entry> {
    let expect = words.next().context("no expected verdict after the name")?;
    let mut entry = Entry { expect, ..Entry::default() };
    if !["SUCCESS", "SKIP", "ERROR", "FAILURE", "CRASH"].contains(&entry.expect.as_str()) {
        bail!("{} is no verdict", entry.expect);
    }
    for word in words {
        let (key, value) =
            word.split_once('=').with_context(|| format!("{word}: not key=value"))?;
        let number = || value.parse::<u32>().with_context(|| format!("{word}: not a number"));
        match key {
            "cpus" => entry.cpus = vec![number()?],
            "vcpus" => entry.vcpus = Some(number()?),
            "memory" => entry.memory_mib = number()?,
            "timeout" => entry.timeout = Duration::from_secs(u64::from(number()?)),
            "hypervisor-args" => entry.hypervisor_args = value.to_string(),
            "append" => entry.append = value.to_string(),
            "device" => entry.devices.push(value.to_string()),
            "only" => {
                entry.only = Some(match value {
                    "qemu" => Kind::Qemu,
                    "bochs" => Kind::Bochs,
                    _ => bail!("{word}: qemu or bochs"),
                });
            }
            _ => bail!(
                "{key}: not one of cpus, vcpus, memory, timeout, only, hypervisor-args, append, device"
            ),
        }
    }
    if !entry.devices.is_empty() && entry.only != Some(Kind::Qemu) {
        bail!("device= is QEMU's: say only=qemu as well");
    }
    Ok(entry)
}

/// The words of a line; double quotes keep blanks together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => words.push(String::new()),
            c => {
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_entries() {
        let text = "# name verdict options\nselftest-crash CRASH timeout=10\n\n\
            smp SUCCESS cpus=4 vcpus=3 memory=256 only=qemu append=\"a b=c\" # why\n";
        let manifest = Manifest::parse(text).unwrap();
        let crash = manifest.entry("selftest-crash");
        assert_eq!((crash.expect.as_str(), crash.timeout.as_secs()), ("CRASH", 10));
        let smp = manifest.entry("smp");
        assert_eq!((smp.cpus.as_slice(), smp.vcpus, smp.memory_mib), (&[4][..], Some(3), 256));
        assert_eq!((smp.only, smp.append.as_str()), (Some(Kind::Qemu), "a b=c"));
        assert_eq!(manifest.entry("another"), Entry::default());
        let devices = Manifest::parse("a SUCCESS only=qemu device=edu device=x,on=1").unwrap();
        assert_eq!(devices.entry("a").devices, ["edu", "x,on=1"]);
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| format!("{:#}", Manifest::parse(text).unwrap_err());
        assert!(error("a\n").contains("line 1: no expected verdict"));
        assert!(error("a GOOD").contains("GOOD is no verdict"));
        assert!(error("a CRASH x=1").contains("x: not one of"));
        assert!(error("a CRASH cpus=many").contains("not a number"));
        assert!(error("a CRASH\na SKIP").contains("a second line for a"));
        assert!(error("a SUCCESS device=edu").contains("say only=qemu"));
    }
}

//! `soak --guest`: the micro-guest `hostile` in QEMU on two CPUs, boot after boot, each with a seed
//! of its own.
//!
//! A boot fails if its verdict is not SUCCESS, or if the guest says nothing for so long that the
//! hypervisor must hang. What is printed then repeats it, as far as two CPUs can be repeated.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::emulator::{Machine, Watch};
use crate::outcome::Outcome;
use crate::toolchain::Toolchain;
use crate::transcript::Lines;
use crate::verdict::{Judge, Verdict};
use crate::workspace::Workspace;
use crate::{build, qemu, terminal};

/// The micro-guest.
const GUEST: &str = "hostile";
/// It says how far it is every few seconds.
const SILENCE: Duration = Duration::from_secs(90);
/// How often somebody looks whether it still does.
const GLANCE: Duration = Duration::from_secs(1);

/// Begins boots of `rounds` rounds, from seed `first` on, until `time` is over: one at least.
pub fn run(
    ws: &Workspace,
    toolchain: &Toolchain,
    first: u32,
    rounds: u32,
    time: Duration,
) -> Result<()> {
    terminal::clean_up_on_signals();
    let hypervisor = build::hypervisor(ws, toolchain)?;
    let guests = build::micro_guests(ws, toolchain)?;
    let kernel = guests.into_iter().find(|(name, _)| name == GUEST);
    let (_, kernel) = kernel.context("tests/guests has no guest for this")?;
    let started = Instant::now();
    let mut seeds = first..;
    for seed in seeds.by_ref() {
        let machine = Machine {
            hypervisor: hypervisor.clone(),
            hypervisor_args: "console=com1 debug-exit dom0_max_vcpus=2".into(),
            kernel: kernel.clone(),
            kernel_args: format!("seed={seed} ops={rounds}"),
            initrd: None,
            memory_mib: 128,
            cpus: 2,
            ..Machine::of(ws)
        };
        let boot = Instant::now();
        boot_once(&machine).with_context(|| {
            format!(
                "seed {seed} failed; again: cargo xtask soak --guest --seed {seed} --ops {rounds} \
                 --seconds 0"
            )
        })?;
        println!("soak: seed {seed} is over after {} s", boot.elapsed().as_secs());
        if started.elapsed() >= time {
            break;
        }
    }
    println!(
        "soak: {} boots, {} s, every one answered to the end",
        seeds.start - first,
        started.elapsed().as_secs()
    );
    Ok(())
}

/// Fails unless the guest says SUCCESS.
fn boot_once(machine: &Machine) -> Result<()> {
    let (mut lines, mut judge) = (Lines::default(), Judge::default());
    let mut emulator = qemu::start(machine)?;
    let mut heard = Instant::now();
    let outcome = loop {
        let watched = emulator.watch_for(GLANCE, None, &mut |bytes| {
            heard = Instant::now();
            lines.feed(bytes, |line| {
                judge.line(line);
                if let Some(progress) = line.strip_prefix("hostile: ") {
                    println!("soak: {progress}");
                }
            });
            Ok(Watch::On)
        })?;
        match watched {
            Some(outcome) => break outcome,
            None if heard.elapsed() > SILENCE => break Outcome::TimedOut,
            None => {}
        }
    };
    lines.finish(|line| judge.line(line));
    match judge.verdict(&outcome) {
        Verdict::Success => Ok(()),
        verdict => {
            lines.tail().iter().for_each(|line| eprintln!("  | {line}"));
            bail!("{verdict}")
        }
    }
}

//! Making and ending domains on a machine: `soak --domains`, and what `bench --domains` measures.
//!
//! Domain 0's command `churn` does it and tells; this boots the machine for it and reads what it says.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::emulator::{Machine, Watch};
use crate::outcome::{Outcome, Reason};
use crate::run::DOMAIN_0_MIB;
use crate::toolchain::Toolchain;
use crate::transcript::{self, Transcript};
use crate::workspace::Workspace;
use crate::{build, qemu};

/// Memory of one of the domains, and what the hypervisor needs for it, MiB.
const DOMAIN_MIB: u32 = 5;
/// Memory for the hypervisor itself, MiB.
const HYPERVISOR_MIB: u32 = 32;
/// How many domains live at most while others are made and ended.
pub const BESIDE: [u32; 6] = [0, 10, 25, 50, 100, 200];
/// Domains that are made for a figure.
const ROUNDS: u32 = 50;

/// What a run told.
struct Told {
    /// Its lines.
    text: String,
    /// Whether everything was as before.
    clean: bool,
}

/// Makes and ends `rounds` domains as fast as it goes; fails if anything is left of them.
pub fn soak(rounds: u32) -> Result<()> {
    let (ws, toolchain) = (Workspace::here(), Toolchain::find()?);
    build(&ws, &toolchain)?;
    // A domain takes some milliseconds where nothing else runs.
    let limit = Duration::from_secs(120 + u64::from(rounds) / 5);
    let told = churn(&ws, rounds, 1, None, limit, &mut std::io::stdout())?;
    ensure!(told.clean, "something is left of the domains");
    Ok(())
}

/// Prints what making a domain costs beside so many others, in instructions.
pub fn bench(limit: Duration) -> Result<()> {
    let (ws, toolchain) = (Workspace::here(), Toolchain::find()?);
    build(&ws, &toolchain)?;
    println!("Making a domain of 4 MiB, and ending it, in microseconds of virtual time");
    println!("(one instruction is one nanosecond)\n");
    println!("{:>8} {:>10} {:>10}", "BESIDE", "MAKE", "END");
    let mut all = Vec::new();
    for beside in BESIDE {
        let told = churn(&ws, ROUNDS, beside, Some(0), limit, &mut std::io::sink())?;
        ensure!(told.clean, "something is left of the domains:\n{}", told.text);
        let (make, end) = figures(&told.text).context("churn told no figures")?;
        println!("{beside:>8} {make:>10} {end:>10}");
        all.push((beside, make));
    }
    print!("\n{}", plot(&all));
    Ok(())
}

/// Bars of the time against the number of domains.
fn plot(figures: &[(u32, u64)]) -> String {
    let most = figures.iter().map(|(_, make)| *make).max().unwrap_or(0).max(1);
    let bar = |make: u64| "#".repeat((make * 50 / most) as usize);
    figures.iter().map(|(beside, make)| format!("{beside:>8} {} {make}\n", bar(*make))).collect()
}

/// Microseconds to make and to end a domain, out of what `churn` said.
fn figures(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find(|line| line.contains("domains made and ended"))?;
    let mut numbers = line
        .split_once(": ")?
        .1
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok());
    // To make, the longest, to end.
    let (make, _, end) = (numbers.next()?, numbers.next()?, numbers.next()?);
    Some((make, end))
}

fn build(ws: &Workspace, toolchain: &Toolchain) -> Result<()> {
    build::hypervisor(ws, toolchain)?;
    build::guest(ws, toolchain)
}

/// Runs the command `churn`; what it says is also shown as it comes.
fn churn(
    ws: &Workspace,
    rounds: u32,
    beside: u32,
    icount: Option<u8>,
    limit: Duration,
    show: &mut impl Write,
) -> Result<Told> {
    let machine = Machine {
        hypervisor_args: format!("console=com1 debug-exit loglvl=warning dom0_mem={DOMAIN_0_MIB}M"),
        kernel_args: transcript::exec_word(&format!("churn {rounds} {beside}")),
        initrd: Some(ws.domain_0_initrd()),
        memory_mib: HYPERVISOR_MIB + DOMAIN_0_MIB + (beside + 2) * DOMAIN_MIB,
        icount,
        ..Machine::of(ws)
    };
    let mut emulator = qemu::start(&machine)?;
    let (mut seen, mut out) = (Transcript::default(), Vec::new());
    let outcome = emulator.watch(Some(limit), &mut |bytes| {
        let shown = out.len();
        seen.feed(bytes, &mut out, &mut std::io::sink())?;
        show.write_all(&out[shown..])?;
        Ok(Watch::On)
    })?;
    if outcome != Outcome::Shutdown(Reason::Poweroff) {
        bail!("{}\n{}", outcome.describe(), seen.tail().join("\n"));
    }
    let text = String::from_utf8_lossy(&out).into_owned();
    Ok(Told { text, clean: seen.state() == Some(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_churn_says() {
        let text = "$ churn 50 10\n50 domains made and ended beside 10: 2345 us each to make \
                    (longest 3000), 456 us to end\nnothing is left: 7 free pages\n";
        assert_eq!(figures(text), Some((2345, 456)));
        assert_eq!(figures("nothing\n"), None);
    }

    #[test]
    fn the_longest_bar_is_the_most() {
        let bars = plot(&[(0, 10), (100, 20)]);
        assert_eq!(
            bars.lines().map(|line| line.matches('#').count()).collect::<Vec<_>>(),
            [25, 50]
        );
    }
}

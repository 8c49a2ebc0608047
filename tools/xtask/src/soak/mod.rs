//! `soak` and `fuzz`: random hypercalls for as long as one likes.
//!
//! Both drive three domains through the real dispatch on a simulated machine, by the same
//! operations (`tests/src/ops`): `soak` out of a generator, `fuzz` out of what libFuzzer learns
//! of coverage. The micro-guest `hostile` does the like on the processor: `soak --guest` ([`guest`]).
//! Data instead of hypercalls: `soak --split` ([`split`]).

mod guest;
pub mod split;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args as ClapArgs;

use crate::domains;
use crate::toolchain::{Toolchain, program_in_path};
use crate::workspace::Workspace;

/// What `soak` takes.
#[derive(ClapArgs)]
pub struct Args {
    /// How many operations at least, 1000000 by default; with --guest, rounds of a boot, 50000
    /// by default
    #[arg(long, value_name = "N")]
    ops: Option<u32>,
    /// The first episode's, or boot's, seed; each next one's is one more
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u32,
    /// In QEMU on two CPUs, by the micro-guest `hostile`
    #[arg(long)]
    guest: bool,
    /// How long boots are begun
    #[arg(long, value_name = "S", requires = "guest", default_value_t = 300)]
    seconds: u64,
    /// Instead have domain 0 make and end so many domains in QEMU: nothing may be left of them
    #[arg(long, value_name = "N", conflicts_with_all = ["ops", "seed", "guest"])]
    domains: Option<u32>,
    /// Instead move so many MiB (1024 unless it is said) each way through a domU's disks and its
    /// network at once, and compare each byte
    #[arg(long, value_name = "MIB", num_args = 0..=1, default_missing_value = "1024")]
    #[arg(conflicts_with_all = ["ops", "seed", "guest", "domains"])]
    split: Option<u32>,
}

/// Operations on the simulated machine, unless it is said how many.
const OPS: u32 = 1_000_000;
/// Rounds of a boot, unless it is said how many.
const ROUNDS: u32 = 50_000;

/// What `fuzz` takes.
#[derive(ClapArgs)]
pub struct FuzzArgs {
    /// What libFuzzer takes, e.g. -max_total_time=60
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Runs until the operations are done or one breaks something.
pub fn run(args: &Args) -> Result<()> {
    if let Some(rounds) = args.domains {
        return domains::soak(rounds);
    }
    if let Some(mib) = args.split {
        return split::run(mib);
    }
    let (ws, toolchain) = (Workspace::here(), Toolchain::find()?);
    if args.guest {
        let seconds = Duration::from_secs(args.seconds);
        return guest::run(&ws, &toolchain, args.seed, args.ops.unwrap_or(ROUNDS), seconds);
    }
    let status = command(&ws, &toolchain, "soak", args.ops.unwrap_or(OPS), args.seed).status();
    ensure!(status.context("cannot start cargo")?.success(), "the soak run failed");
    Ok(())
}

/// A short run; what it said last. As slow as the host tests, whose build it shares.
pub fn check(ws: &Workspace, toolchain: &Toolchain) -> Result<String> {
    let output =
        command(ws, toolchain, "dev", 150_000, 1).output().context("cannot start cargo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("{}{}", said, String::from_utf8_lossy(&output.stderr));
    }
    Ok(said.lines().last().unwrap_or_default().trim_start_matches("soak: ").to_string())
}

fn command(ws: &Workspace, toolchain: &Toolchain, profile: &str, ops: u32, seed: u32) -> Command {
    let mut command = toolchain.cargo();
    command.current_dir(ws.root()).args(["run", "--quiet", "--package", "pv-tests"]);
    command.args(["--profile", profile, "--bin", "soak", "--target-dir"]).arg(ws.target());
    command.arg("--").args([ops.to_string(), seed.to_string()]);
    command
}

/// Runs the fuzz target until it finds something or is stopped.
pub fn fuzz(args: &FuzzArgs) -> Result<()> {
    let (ws, toolchain) = (Workspace::here(), Toolchain::find()?);
    if program_in_path("cargo-fuzz").is_none() {
        bail!("cargo-fuzz is not installed: `cargo install cargo-fuzz` (it needs a C++ compiler)");
    }
    let mut command = toolchain.cargo();
    // A stable compiler takes the flags of the instrumentation then.
    command.current_dir(ws.join("tests")).env("RUSTC_BOOTSTRAP", "1");
    for (setting, value) in
        [("LTO", "off"), ("DEBUG_ASSERTIONS", "true"), ("OVERFLOW_CHECKS", "true")]
    {
        command.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
    }
    command.args(["fuzz", "run", "--sanitizer", "none", "--features", "libfuzzer", "hypercalls"]);
    command.arg("--").args(&args.options);
    ensure!(command.status().context("cannot start cargo")?.success(), "the fuzz run failed");
    Ok(())
}

//! `lint`: what a reviewer would otherwise check by hand.
//!
//! Formatting, clippy for every crate on its own target, the unsafe budget
//! ([`unsafety`]), the direction of imports ([`layers`]) and a report of long files.
//! `test` runs the same checks as tests of their own.

pub mod layers;
pub mod source;
pub mod unsafety;

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args as ClapArgs;

use crate::cargo::BareMetal;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;

/// Files longer than this many lines are listed: aim under 300, look hard at 500.
const LONG_FILE: usize = 300;

/// What `lint` takes.
#[derive(ClapArgs)]
pub struct Args {
    /// Leave out clippy, which compiles everything
    #[arg(long)]
    quick: bool,
    /// Repair the formatting instead of reporting it
    #[arg(long)]
    fix: bool,
}

/// Runs every check and fails at the end if one did.
pub fn run(args: &Args) -> Result<()> {
    let ws = Workspace::here();
    let toolchain = Toolchain::find()?;
    let mut failed = Vec::new();
    let mut check = |name: &str, done: Result<String>| match done {
        Ok(report) => {
            println!("ok    {name}");
            print!("{report}");
        }
        Err(error) => {
            println!("FAIL  {name}\n{error:#}");
            failed.push(name.to_string());
        }
    };
    check("formatting", formatting(&ws, &toolchain, args.fix));
    check("unsafe budget", unsafety::check(&ws));
    check("layers", layers::check(&ws));
    check("file lengths", long_files(&ws));
    if !args.quick {
        check("clippy, host", clippy_host(&ws, &toolchain));
        for what in BareMetal::ALL {
            let name = format!("clippy, {} on bare metal", what.package());
            check(&name, clippy_bare(&ws, &toolchain, what));
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// `rustfmt` over the workspace.
pub fn formatting(ws: &Workspace, toolchain: &Toolchain, fix: bool) -> Result<String> {
    let mut command = toolchain.component("cargo-fmt")?;
    toolchain.component("rustfmt")?;
    command.current_dir(ws.root()).args(["fmt", "--all"]);
    if !fix {
        command.args(["--", "--check", "-l"]);
    }
    captured(&mut command).context("not formatted (`cargo xtask lint --fix` repairs it)")
}

/// clippy for everything that builds on the host, tests included.
pub fn clippy_host(ws: &Workspace, toolchain: &Toolchain) -> Result<String> {
    let mut command = toolchain.component("cargo-clippy")?;
    command.current_dir(ws.root()).args(["clippy", "--quiet", "--all-targets"]);
    // What libFuzzer runs is built by nobody else.
    command.args(["--features", "pv-tests-fuzz/target", "--target-dir"]).arg(ws.target());
    command.args(["--", "-D", "warnings"]);
    captured(&mut command)
}

/// clippy for a bare-metal package as it is built.
pub fn clippy_bare(ws: &Workspace, toolchain: &Toolchain, what: BareMetal) -> Result<String> {
    let mut command = toolchain.component("cargo-clippy")?;
    command.args(["clippy", "--quiet", "--lib"]);
    what.configure(ws, toolchain, &mut command)?;
    command.args(["--", "-D", "warnings"]);
    captured(&mut command)
}

/// Runs a command; its output is the error if it fails, nothing otherwise.
pub fn captured(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    if output.status.success() {
        return Ok(String::new());
    }
    bail!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr).trim_end()
    )
}

/// Long files: a report, never a failure.
pub fn long_files(ws: &Workspace) -> Result<String> {
    let mut long = Vec::new();
    for file in source::rust_files(ws.root())? {
        let lines = file.text.lines().count();
        if lines > LONG_FILE {
            long.push((lines, file.path));
        }
    }
    long.sort_by(|a, b| b.cmp(a));
    Ok(long.iter().map(|(lines, path)| format!("      {lines:5} lines  {path}\n")).collect())
}

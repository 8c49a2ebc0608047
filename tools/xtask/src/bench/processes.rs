//! `bench --processes`: what Ring 3 processes cost, in the manner of lmbench, beside a Xen.
//!
//! The program `procbench` runs in the default guest kernel as domain 0, with one CPU and `-icount
//! shift=0`, where TSC ticks are instructions. A row is the work of three: the program, the guest kernel and
//! the hypervisor. With `--against-xen` the very same kernel and initrd run on a given Xen, so that the
//! difference is the hypervisors' alone, and the ratio is bounded by what program and kernel do themselves.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use super::report::{Measured, Stat, aligned, number, percent, ratio};
use super::{Args, measure, xen_machine};
use crate::emulator::Machine;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;
use crate::{build, qemu, transcript};

/// What the guest's shell runs.
const PROGRAM: &str = "procbench";
/// Of Xen's instructions a row of these is to take at most so many. The others say what lies beside them:
/// most of a copied page is copying, and of a handler the program's and the kernel's own work.
const GOAL: f64 = 0.6;
const GOALS: [&str; 9] = [
    "null_call",
    "fork_exit",
    "fork_exec",
    "sh_c",
    "pipe_latency",
    "context_switch",
    "mmap",
    "page_fault",
    "protection_fault",
];

/// A row with the Xen that was given, if any.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    ferrule: Stat,
    xen: Option<Stat>,
    ratio: Option<f64>,
}

#[derive(Serialize)]
struct Json<'a> {
    unit: &'a str,
    qemu: (u32, u32),
    cpu: &'a str,
    goal: f64,
    rows: &'a [Row<'a>],
}

/// Measures and prints; fails when a row misses the goal.
pub fn run(args: &Args) -> Result<()> {
    let (ws, version) = (Workspace::here(), qemu::version()?);
    let toolchain = Toolchain::find()?;
    if args.hypervisor.is_none() {
        build::hypervisor(&ws, &toolchain)?;
    }
    build::guest(&ws, &toolchain)?;
    let machine = Machine {
        hypervisor: args.hypervisor.clone().unwrap_or_else(|| ws.image()),
        // As much memory as the Xen beside it gives.
        hypervisor_args: "console=com1 debug-exit dom0_mem=64M".into(),
        kernel_args: transcript::exec_word(PROGRAM),
        memory_mib: 512,
        icount: Some(0),
        ..Machine::of(&ws)
    };
    let limit = Duration::from_secs(args.timeout);
    let ferrule = complete("ferrule", measure("ferrule", &machine, limit)?)?;
    let xen = match &args.against_xen {
        None => None,
        Some(image) => {
            let machine = xen_machine(image, &machine)?;
            Some(complete("xen", measure("xen", &machine, limit)?)?)
        }
    };
    let rows = rows(&ferrule, xen.as_ref());
    let json = Json {
        unit: "instructions per operation",
        qemu: version,
        cpu: qemu::cpu(version),
        goal: GOAL,
        rows: &rows,
    };
    let json = serde_json::to_string_pretty(&json)?;
    if let Some(path) = args.json.as_ref().filter(|path| *path != Path::new("-")) {
        fs::write(path, &json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.json.as_deref() == Some(Path::new("-")) {
        println!("{json}");
    } else {
        print!("{}", table(&rows));
        ferrule.skipped.iter().for_each(|line| println!("skipped: {line}"));
        println!("\nQEMU {}.{} TCG, -cpu {}, 1 CPU", version.0, version.1, qemu::cpu(version));
    }
    let missed = rows.iter().filter(|row| row.meets_goal() == Some(false)).count();
    if missed > 0 {
        bail!("{missed} of {} rows take more than {GOAL} of Xen's instructions", GOALS.len());
    }
    Ok(())
}

fn complete(name: &str, measured: Measured) -> Result<Measured> {
    ensure!(measured.complete, "{name}: {PROGRAM} did not finish");
    Ok(measured)
}

impl Row<'_> {
    /// None without a Xen, and for a row without a goal.
    fn meets_goal(&self) -> Option<bool> {
        let ratio = self.ratio.filter(|_| GOALS.contains(&self.name))?;
        Some(ratio <= GOAL)
    }
}

/// In the program's order.
fn rows<'a>(ferrule: &'a Measured, xen: Option<&Measured>) -> Vec<Row<'a>> {
    let row = |(name, ferrule): (&'a str, Stat)| {
        let xen = xen.and_then(|xen| xen.rows.get(name)).copied();
        let ratio = ratio(Some(ferrule.min), xen.map(|xen| xen.min));
        Row { name, ferrule, xen, ratio }
    };
    ferrule.in_order().map(row).collect()
}

/// A table for a person.
fn table(rows: &[Row<'_>]) -> String {
    let head = ["instructions per operation", "ferrule", "xen here", "ratio", ""];
    let mut cells = vec![head.map(String::from).to_vec()];
    cells.extend(rows.iter().map(|row| {
        let (ferrule, xen) = (Some(row.ferrule.min), row.xen.map(|xen| xen.min));
        let mark = match row.meets_goal() {
            Some(true) => "goal",
            Some(false) => "over",
            None => "",
        };
        vec![row.name.into(), number(ferrule), number(xen), percent(ferrule, xen), mark.into()]
    }));
    aligned(&cells)
}

#[cfg(test)]
mod tests {
    use super::super::report::measured;
    use super::*;

    const FERRULE: &str = "$ procbench\nSTAT null_call 290.00 291.00 300.00 n=1000\n\
        STAT mmap 700.50 700.50 701.00 n=20\nSTAT signal_handler 900.00 900.00 900.00 n=20\nSKIP sh_c no /bin/sh\nBENCH-DONE\nexit-state: 0\n";
    const XEN: &str = "STAT null_call 580.00 581.00 590.00 n=1000\n\
        STAT mmap 1000.00 1000.00 1000.00 n=20\nSTAT signal_handler 1000.00 1000.00 1000.00 n=20\nBENCH-DONE\n";

    fn words(table: &str, name: &str) -> Vec<String> {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn a_row_meets_the_goal_or_is_over_it() {
        let (ferrule, xen) = (measured(FERRULE), measured(XEN));
        let rows = rows(&ferrule, Some(&xen));
        let met: Vec<_> = rows.iter().map(|row| (row.name, row.meets_goal())).collect();
        let expected = [("null_call", Some(true)), ("mmap", Some(false)), ("signal_handler", None)];
        assert_eq!(met, expected);
        let table = table(&rows);
        assert_eq!(words(&table, "null_call"), ["null_call", "290", "580", "0.50", "goal"]);
        assert_eq!(words(&table, "mmap"), ["mmap", "700", "1000", "0.70", "over"]);
        assert_eq!(words(&table, "signal_handler"), ["signal_handler", "900", "1000", "0.90"]);
        assert_eq!(ferrule.skipped, ["sh_c no /bin/sh"]);
    }

    #[test]
    fn without_a_xen_there_is_no_ratio() {
        let ferrule = measured(FERRULE);
        let rows = rows(&ferrule, None);
        assert!(rows.iter().all(|row| row.meets_goal().is_none()));
        assert_eq!(words(&table(&rows), "mmap"), ["mmap", "700", "-", "-"]);
    }

    #[test]
    fn a_run_that_ended_early_is_no_result() {
        assert!(complete("ferrule", measured(FERRULE)).is_ok());
        assert!(complete("ferrule", measured("STAT mmap 1 1 1 n=1\n")).is_err());
    }
}

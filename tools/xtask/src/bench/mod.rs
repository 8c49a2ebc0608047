//! `bench`: what the primitives of the PV ABI cost, beside Xen.
//!
//! A bench guest (the micro-guest `bench`, or any kernel that prints the same
//! lines) runs twice: with `-icount shift=0`, where TSC ticks are instructions,
//! exactly repeatable; and without, where they are host ticks, which see the
//! TLB misses that instruction counts hide but vary with the host. Beside them
//! stands Xen's recorded column, and with `--against-xen` a given Xen that runs
//! the same guest in the same QEMU.
//!
//! `--processes` measures what lies above: processes of the default guest kernel ([`processes`]);
//! `--split` what blocks and packets cost on the ways through two domains ([`split`]).

mod processes;
mod report;
mod split;
mod xen;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args as ClapArgs;
use serde::Serialize;

use crate::emulator::{Machine, Watch};
use crate::outcome::{Outcome, Reason};
use crate::toolchain::Toolchain;
use crate::transcript::Lines;
use crate::workspace::Workspace;
use crate::{build, domains, qemu, terminal};
use report::{Measured, Report};

/// The micro-guest that measures.
pub const GUEST: &str = "bench";

/// What `bench` takes.
#[derive(ClapArgs)]
pub struct Args {
    /// The bench guest, an ELF file [default: the micro-guest `bench`]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Its command line
    #[arg(long, value_name = "STRING", default_value = "", hide_default_value = true)]
    append: String,
    /// Also write everything as JSON (`-` for standard output instead of the table)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run this Xen (uncompressed, with CONFIG_PV32) beside Ferrule
    #[arg(long, value_name = "IMAGE")]
    against_xen: Option<PathBuf>,
    /// Instead measure what making a domain costs domain 0, beside more and more others
    #[arg(long, conflicts_with_all = ["kernel", "append", "json", "against_xen", "no_ticks"])]
    domains: bool,
    /// Instead measure what processes cost, in the manner of lmbench; fails if a row takes more than
    /// 0.6 of the instructions that it takes on the Xen
    #[arg(long, conflicts_with_all = ["kernel", "append", "domains", "no_ticks"])]
    processes: bool,
    /// Instead measure what blocks and packets cost on their ways through a domU, the hypervisor and
    /// domain 0
    #[arg(long, conflicts_with_all = ["kernel", "append", "against_xen", "domains", "processes", "no_ticks"])]
    split: bool,
    /// Keep the figures in the project's history, tests/figures
    #[arg(long, requires = "split")]
    record: bool,
    /// Leave out the runs that count host ticks
    #[arg(long)]
    no_ticks: bool,
    /// Boot this hypervisor image instead of building one
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    hypervisor: Option<PathBuf>,
    /// Seconds that one run may take
    #[arg(long, value_name = "S", default_value_t = 300)]
    timeout: u64,
}

#[derive(Serialize)]
struct Json<'a> {
    unit: &'a str,
    qemu: (u32, u32),
    cpu: &'a str,
    xen_recorded: &'a str,
    recorded: &'a [xen::Row],
    report: &'a Report,
}

/// Measures and prints.
pub fn run(args: &Args) -> Result<()> {
    terminal::clean_up_on_signals();
    if args.domains {
        return domains::bench(Duration::from_secs(args.timeout));
    }
    if args.processes {
        return processes::run(args);
    }
    if args.split {
        return split::run(args);
    }
    let ws = Workspace::here();
    let version = qemu::version()?;
    let kernel = kernel(args, &ws)?;
    let hypervisor = match &args.hypervisor {
        Some(image) => image.clone(),
        None => build::hypervisor(&ws, &Toolchain::find()?)?,
    };
    let ferrule = Machine {
        hypervisor,
        hypervisor_args: "console=com1 debug-exit dom0_max_vcpus=2".into(),
        kernel,
        kernel_args: args.append.clone(),
        initrd: None,
        memory_mib: 512,
        cpus: 1,
        devices: Vec::new(),
        disks: Vec::new(),
        icount: Some(0),
        gdb: false,
        memory_file: None,
        console: None,
        network: None,
    };
    let limit = Duration::from_secs(args.timeout);
    let mut report =
        Report { instructions: measure("ferrule", &ferrule, limit)?, ..Report::default() };
    let without = |machine: &Machine| Machine { icount: None, ..machine.clone() };
    if !args.no_ticks {
        report.ticks = Some(measure("ferrule", &without(&ferrule), limit)?);
    }
    if let Some(image) = &args.against_xen {
        let xen = xen_machine(image, &ferrule)?;
        report.xen_instructions = Some(measure("xen", &xen, limit)?);
        if !args.no_ticks {
            report.xen_ticks = Some(measure("xen", &without(&xen), limit)?);
        }
    }
    let json = Json {
        unit: "instructions or host ticks per operation",
        qemu: version,
        cpu: qemu::cpu(version),
        xen_recorded: xen::PROVENANCE,
        recorded: xen::RECORDED,
        report: &report,
    };
    let json = serde_json::to_string_pretty(&json)?;
    match &args.json {
        Some(path) if path == Path::new("-") => println!("{json}"),
        other => {
            if let Some(path) = other {
                fs::write(path, json)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
            print(&report, version);
        }
    }
    if !report.instructions.complete {
        bail!("the bench guest did not finish");
    }
    Ok(())
}

fn kernel(args: &Args, ws: &Workspace) -> Result<PathBuf> {
    if let Some(kernel) = &args.kernel {
        fs::File::open(kernel).with_context(|| format!("cannot read {}", kernel.display()))?;
        return Ok(kernel.clone());
    }
    let guests = build::micro_guests(ws, &Toolchain::find()?)?;
    let found = guests.into_iter().find(|(name, _)| name == GUEST);
    let (_, path) = found.with_context(|| {
        format!("tests/guests has no guest called {GUEST}: give a bench guest with --kernel FILE")
    })?;
    Ok(path)
}

/// The same machine under Xen, as its recorded column was made.
fn xen_machine(image: &Path, ferrule: &Machine) -> Result<Machine> {
    let head = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    if head.starts_with(&[0x1f, 0x8b]) {
        bail!("{} is compressed: unpack it first (gunzip)", image.display());
    }
    Ok(Machine {
        hypervisor: image.to_path_buf(),
        hypervisor_args: "com1=115200,8n1 console=com1 dom0_mem=64M,max:64M dom0_max_vcpus=2 \
                          noreboot"
            .into(),
        ..ferrule.clone()
    })
}

/// One run. It ends with the guest's `BENCH-DONE` at the latest: Xen would go on.
fn measure(name: &str, machine: &Machine, limit: Duration) -> Result<Measured> {
    let unit = if machine.icount.is_some() { "instructions" } else { "host ticks" };
    eprintln!("bench: {name}, {unit} …");
    let mut measured = Measured::default();
    let mut lines = Lines::default();
    let mut emulator = qemu::start(machine)?;
    let outcome = emulator.watch(Some(limit), &mut |bytes| {
        lines.feed(bytes, |line| measured.line(line));
        Ok(if measured.complete { Watch::Enough } else { Watch::On })
    })?;
    lines.finish(|line| measured.line(line));
    if !measured.complete {
        let why = match outcome {
            Outcome::Shutdown(Reason::Poweroff) => "it powered off early".into(),
            other => other.describe(),
        };
        eprintln!("bench: {name}: no BENCH-DONE ({why}); its last lines:");
        lines.tail().iter().for_each(|line| eprintln!("  | {line}"));
        if measured.rows.is_empty() {
            bail!("{name} measured nothing");
        }
    }
    Ok(measured)
}

fn print(report: &Report, version: (u32, u32)) {
    print!("{}", report.table());
    let (met, goals) = report.goals();
    println!("\n{met} of {goals} goals met (half of Xen's recorded count or less)");
    println!("here: QEMU {}.{} TCG, -cpu {}, 1 CPU", version.0, version.1, qemu::cpu(version));
    println!("recorded: {}", xen::PROVENANCE);
    for (what, lines) in
        [("failed", &report.instructions.failed), ("skipped", &report.instructions.skipped)]
    {
        for line in lines {
            println!("{what}: {line}");
        }
    }
}

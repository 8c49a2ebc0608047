//! `trace`: what a run did, for the Perfetto UI, and where its time went.
//!
//! The hypervisor keeps its records in memory ([`memory`] says how), and QEMU's memory is a
//! file here: so nothing has to be sent out while the machine runs, and what is there at the
//! end is there however it ended.

mod memory;
mod names;
pub mod perfetto;
mod spans;
mod summary;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args as ClapArgs;

use crate::scratch::Scratch;
use crate::workspace::Workspace;
use crate::{run, terminal};
use spans::Spans;

/// What `trace` takes: what `run` takes, and where the trace goes.
#[derive(ClapArgs)]
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    run: run::Args,
    /// The file to write, for <https://ui.perfetto.dev>
    #[arg(long, value_name = "FILE", default_value = "trace.json")]
    out: PathBuf,
    /// Memory for records, for each CPU; the newest stay
    #[arg(long, value_name = "SIZE", default_value = "16M")]
    size: String,
}

/// PCs have their memory without a gap up to here, in MiB: beyond, places in the file differ.
const MOST_MEMORY_MIB: u32 = 3072;

/// Boots, waits for the end, writes the trace and prints its summary.
pub fn run(args: &Args) -> Result<ExitCode> {
    terminal::clean_up_on_signals();
    ensure!(args.run.emulator == run::Kind::Qemu, "only QEMU's memory can be looked at");
    ensure!(
        args.run.memory <= MOST_MEMORY_MIB,
        "--memory is at most {MOST_MEMORY_MIB} for a trace"
    );
    let ws = Workspace::here();
    let scratch = Scratch::new()?;
    let file = scratch.path().join("memory");
    let mut machine = run::machine(&args.run, &ws)?;
    machine.hypervisor_args.push_str(&format!(" trace={}", args.size));
    machine.memory_file = Some(file.clone());
    let code = run::boot(&args.run, &ws, &machine)?;
    let trace = memory::read(&file)?;
    let spans = Spans::of(&trace);
    let json = perfetto::json(&spans);
    fs::write(&args.out, serde_json::to_string(&json)?)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    let count: usize = trace.cpus.iter().map(Vec::len).sum();
    eprintln!("trace: {count} records in {}", args.out.display());
    if trace.lost > 0 {
        eprintln!("trace: {} older records had no room: a larger --size keeps them", trace.lost);
    }
    print!("{}", summary::text(&spans));
    Ok(code)
}

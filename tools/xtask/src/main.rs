//! The project's build tool: `cargo xtask VERB`, one module per verb.
//!
//! `tools/run` and `tools/test` prepare the machine and then call the verbs of
//! the same names. Results go to standard output, progress and messages to
//! standard error. Exit codes: 0 done, 1 failed, 2 wrong usage; `run` has more,
//! see its help.

mod addresses;
mod bench;
mod bench_store;
mod bochs;
mod build;
mod busybox;
mod cargo;
mod child;
mod cpio;
mod disk;
mod doc;
mod domains;
mod emulator;
mod fairness;
mod image;
mod iso;
mod lint;
mod network;
mod outcome;
mod qemu;
mod run;
mod scratch;
mod session;
mod shell;
mod size;
mod soak;
mod support;
mod symbols;
mod terminal;
mod test;
mod toolchain;
mod trace;
mod transcript;
mod verdict;
mod volume;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Build, run, test and measure Ferrule",
    after_help = "tools/run and tools/test are the verbs run and test after a look at whether the\n\
                  machine has what they need; they install what is missing on Debian."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build hypervisor, guest kernel, programs and micro-guests
    Build(build::Args),
    /// Build the Multiboot image target/ferrule
    Image,
    /// Make a disc image that boots on BIOS and UEFI machines
    Iso(iso::Args),
    /// Boot domain 0 in an emulator, the terminal as its console
    Run(run::Args),
    /// Run every test: on the host, in QEMU and in Bochs
    Test(test::Args),
    /// Boot as `run` does, and write what happened for the Perfetto UI
    Trace(trace::Args),
    /// Measure the primitives of the PV ABI, beside Xen's figures
    Bench(bench::Args),
    /// Measure XenStore's server with one domain and with a thousand
    BenchStore(bench_store::Args),
    /// Check that busy vCPUs share the CPUs as they are owed
    Fairness(fairness::Args),
    /// Make random hypercalls on a simulated machine, by the million
    Soak(soak::Args),
    /// The same, guided by coverage: runs cargo-fuzz
    Fuzz(soak::FuzzArgs),
    /// Print image size, Ring 0's memory and boot figures
    Size(size::Args),
    /// Name the functions at addresses of a backtrace
    Symbols(addresses::Args),
    /// Check formatting, clippy, the unsafe budget and the direction of imports
    Lint(lint::Args),
    /// Write the documentation, warnings as errors
    Doc(doc::Args),
    /// Bring the table of hypercalls in ARCHITECTURE.md up to date
    Support(support::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.verb {
        Verb::Build(args) => build::run(args).map(|()| ExitCode::SUCCESS),
        Verb::Image => image_verb().map(|()| ExitCode::SUCCESS),
        Verb::Iso(args) => iso::run(args).map(|()| ExitCode::SUCCESS),
        Verb::Run(args) => run::run(args),
        Verb::Test(args) => test::run(args),
        Verb::Trace(args) => trace::run(args),
        Verb::Bench(args) => bench::run(args).map(|()| ExitCode::SUCCESS),
        Verb::BenchStore(args) => bench_store::run(args).map(|()| ExitCode::SUCCESS),
        Verb::Fairness(args) => fairness::run(args),
        Verb::Soak(args) => soak::run(args).map(|()| ExitCode::SUCCESS),
        Verb::Fuzz(args) => soak::fuzz(args).map(|()| ExitCode::SUCCESS),
        Verb::Size(args) => size::run(args).map(|()| ExitCode::SUCCESS),
        Verb::Symbols(args) => addresses::run(args).map(|()| ExitCode::SUCCESS),
        Verb::Lint(args) => lint::run(args).map(|()| ExitCode::SUCCESS),
        Verb::Doc(args) => doc::run(args).map(|()| ExitCode::SUCCESS),
        Verb::Support(args) => support::run(args).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Builds the image and prints where it is, for other tools to take.
fn image_verb() -> anyhow::Result<()> {
    let ws = workspace::Workspace::here();
    let image = build::hypervisor(&ws, &toolchain::Toolchain::find()?)?;
    println!("{}", ws.shown(&image));
    Ok(())
}

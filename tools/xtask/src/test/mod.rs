//! `test`: every test of the project with one summary.
//!
//! Groups, in the order they run: formatting, Cargo's tests on the host beside the builds,
//! micro-guests in QEMU, transcripts of the default guest, `run` itself, discs, the same guests in Bochs,
//! and the checks that compile everything again (clippy, rustdoc). What boots, and what builds in
//! different folders, runs two at a time. The last line is alone on its line:
//! `N passed, N failed, N skipped`.

mod boot;
mod commands;
mod disks;
mod host;
mod link;
mod manifest;
mod network;
mod runner;
mod transcripts;
mod volumes;
mod web;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args as ClapArgs, ValueEnum};
use serde::Deserialize;

use crate::build::Part;
use crate::cargo::BareMetal;
use crate::run::Kind;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;
use crate::{bench, doc, fairness, lint, soak, support, terminal};
use boot::Builds;
use manifest::Manifest;
use runner::{Ended, Test, run_all};

/// What `test` takes.
#[derive(ClapArgs)]
pub struct Args {
    /// Only tests whose name contains one of these words
    names: Vec<String>,
    /// Only this group; may be given several times
    #[arg(long, value_enum, value_name = "GROUP")]
    group: Vec<Group>,
    /// Short for --group host
    #[arg(long)]
    host: bool,
    /// Short for --group guests
    #[arg(long)]
    guests: bool,
    /// Short for --group lint
    #[arg(long)]
    lint: bool,
    /// Leave out Bochs
    #[arg(long)]
    no_bochs: bool,
    /// Print the names of the tests and run none
    #[arg(long)]
    list: bool,
}

/// What a test is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Group {
    /// Cargo's tests and a short soak: hypercalls through the real dispatch, on a simulated machine
    Host,
    /// Everything that boots can be built
    Build,
    /// Micro-guests in QEMU
    Guests,
    /// Transcripts of the default guest in QEMU
    Shell,
    /// What a person types: exit codes of `run`, keys at a terminal
    Run,
    /// The GRUB disc under SeaBIOS and OVMF
    Disc,
    /// Micro-guests and transcripts in Bochs
    Bochs,
    /// Formatting, clippy, rustdoc, unsafe budget, direction of imports
    Lint,
}

/// Runs what was asked for; exit code 1 if anything failed.
pub fn run(args: &Args) -> Result<ExitCode> {
    terminal::clean_up_on_signals();
    let ws = Workspace::here();
    let toolchain = Toolchain::find()?;
    let builds = Builds::new(&ws, &toolchain);
    let mut tests = all(&ws, &toolchain, &builds)?;
    tests.retain(|test| wanted(args, test.group, &test.name));
    if args.list {
        tests.iter().for_each(|test| println!("{}", test.title()));
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("test: {} tests with {}", tests.len(), toolchain.describe());
    let began = Instant::now();
    let totals = run_all(&tests);
    if tests.is_empty() {
        eprintln!("test: no test has such a name; `--list` prints them");
    }
    println!("in {:.0} s", began.elapsed().as_secs_f32());
    println!("{} passed, {} failed, {} skipped", totals.passed, totals.failed, totals.skipped);
    let good = totals.failed == 0 && !tests.is_empty();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn wanted(args: &Args, group: Group, name: &str) -> bool {
    let short = [(args.host, Group::Host), (args.guests, Group::Guests), (args.lint, Group::Lint)];
    let mut groups = args.group.clone();
    groups.extend(short.iter().filter(|(given, _)| *given).map(|(_, group)| *group));
    (groups.is_empty() || groups.contains(&group))
        && !(args.no_bochs && group == Group::Bochs)
        && (args.names.is_empty() || args.names.iter().any(|word| name.contains(word.as_str())))
}

/// Every test there is, in the order they run.
fn all<'a>(
    ws: &'a Workspace,
    toolchain: &'a Toolchain,
    builds: &'a Builds<'a>,
) -> Result<Vec<Test<'a>>> {
    let check = |name: &str, run: fn(&Workspace, &Toolchain) -> Result<String>| {
        Test::new(Group::Lint, name, move || Ended::of(run(ws, toolchain)))
    };
    let mut tests = vec![
        check("formatting", |ws, toolchain| lint::formatting(ws, toolchain, false)),
        check("unsafe-budget", |ws, _| lint::unsafety::check(ws)),
        check("layers", |ws, _| lint::layers::check(ws)),
        // Cargo builds for the host beside what is built for bare metal: their folders differ.
        host::tests(ws, toolchain).parallel(),
        builds.test("hypervisor", Part::Hypervisor).parallel(),
        builds.test("guest-kernel", Part::Guest).parallel(),
        builds.test("micro-guests", Part::MicroGuests).parallel(),
        // Alone: what boots from here on is not to wait for Cargo's lock.
        host::doc_tests(ws, toolchain),
    ];
    let guests = micro_guest_names(ws, toolchain)?;
    let manifest = Manifest::read(&ws.join("tests/guests/manifest"), &guests)?;
    let transcripts = transcripts::read_all(&ws.join("tests/transcripts"))?;
    let domains = transcripts::read_all(&ws.join("tests/transcripts/domains"))?;
    let with_disks = transcripts::read_all(&ws.join("tests/transcripts/disks"))?;
    let with_volumes = transcripts::read_all(&ws.join("tests/transcripts/volumes"))?;
    for kind in [Kind::Qemu, Kind::Bochs] {
        for guest in &guests {
            let entry = manifest.entry(guest);
            if entry.only.is_some_and(|only| only != kind) {
                continue;
            }
            // Bochs is for what is strict in it, not for several CPUs.
            let cpus = if kind == Kind::Bochs { vec![1] } else { entry.cpus.clone() };
            tests.extend(
                cpus.into_iter().map(|cpus| boot::micro_guest(builds, guest, &entry, kind, cpus)),
            );
        }
        tests.extend(transcripts.iter().map(|one| boot::shell(builds, one.clone(), kind)));
        if kind == Kind::Qemu {
            tests.extend(domains.iter().map(|one| boot::domains(builds, one.clone())));
            tests.extend(with_disks.iter().map(|one| disks::test(builds, one.clone())));
            tests.extend(with_volumes.iter().map(|one| volumes::test(builds, one.clone())));
            tests.extend(commands::all(builds));
            tests.push(web::test(builds));
            tests.push(network::test(builds));
            tests.extend(link::all(builds));
            tests.push(boot::disc(builds, "disc-bios", false));
            tests.push(boot::disc(builds, "disc-uefi", true));
        }
    }
    // One that builds for the host, then those for bare metal beside it.
    tests.push(check("clippy-host", lint::clippy_host).parallel());
    for what in BareMetal::ALL {
        let name = format!("clippy-{}", what.package());
        let run = move || Ended::of(lint::clippy_bare(ws, toolchain, what));
        tests.push(Test::new(Group::Lint, &name, run).parallel());
    }
    tests.push(check("rustdoc", doc::host).parallel());
    for what in BareMetal::LIBRARIES {
        let name = format!("rustdoc-{}", what.package());
        let run = move || Ended::of(doc::bare(ws, toolchain, what));
        tests.push(Test::new(Group::Lint, &name, run).parallel());
    }
    tests.push(check("support-table", support::check));
    tests.push(Test::new(Group::Host, "soak", move || Ended::of(soak::check(ws, toolchain))));
    Ok(tests)
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<PackageTarget>,
}

#[derive(Deserialize)]
struct PackageTarget {
    name: String,
    kind: Vec<String>,
}

/// The micro-guests' names, without building them.
fn micro_guest_names(ws: &Workspace, toolchain: &Toolchain) -> Result<Vec<String>> {
    let mut command = toolchain.cargo();
    command.current_dir(ws.root()).args(["metadata", "--no-deps", "--format-version", "1"]);
    let output = command.output().context("cannot start cargo")?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let mut names: Vec<String> = metadata
        .packages
        .into_iter()
        .filter(|package| package.name == BareMetal::MicroGuests.package())
        .flat_map(|package| package.targets)
        .filter(|target| target.kind.iter().any(|kind| kind == "bin"))
        .map(|target| target.name)
        // They measure; they have no verdict.
        .filter(|name| name != bench::GUEST && !fairness::GUESTS.contains(&name.as_str()))
        .collect();
    names.sort();
    Ok(names)
}

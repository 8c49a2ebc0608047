//! `bench --split`: what a block or a packet costs on its way through a domU, the hypervisor and domain 0.
//!
//! A machine with one CPU runs under QEMU with the plugin `tools/counter`, which counts the instructions
//! of each side and leaves time alone: disks and networks of the host's make `-icount` unrepeatable. A
//! domU has two disks and a network interface. At its shell, or at domain 0's, a command does the same
//! thing N times and then 3 N times ([`cases`]); a look at the counts before and after each, while the
//! machine has nothing to do, tells what 2 N of them cost, without what a command costs besides.
//!
//! **The bound** is the row `ring alone`: a flush of a disk in memory. It takes the whole way that a read
//! takes (the caller sleeps, front ring, event, back end's task, back ring, event, the caller wakes), but
//! moves no data and touches no grant. What a row of 4 KiB has beyond it is data and grants.
//!
//! Beside the counts stands how fast data goes from the domU's disk to the host and back ([`soak::split`]),
//! without the plugin; that is this host's as much as Ferrule's.
//!
//! Packets are frames of TCP that the other end's stack throws away. `send` is from the domU to domain 0,
//! `receive` from domain 0 to the domU.

mod cases;
mod counts;
mod history;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Args;
use super::report::aligned;
use crate::disk::{Access, Disk};
use crate::emulator::Machine;
use crate::run::DOMAIN_0_MIB;
use crate::scratch::Scratch;
use crate::shell::{self, PROMPT, Shell};
use crate::soak::split::Speed;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;
use crate::{build, qemu, soak};
use cases::{At, CASES, Case};
use counts::{Counter, Counts};
use history::{Record, Row};

/// Bytes of each disk.
const DISK: u64 = 16 << 20;
/// How often a row is measured; the least counts.
const TIMES: usize = 4;
/// MiB that are moved each way to see how fast that is.
const MOVED_MIB: u32 = 16;

/// Measures, prints and keeps.
pub fn run(args: &Args) -> Result<()> {
    let (ws, toolchain, version) = (Workspace::here(), Toolchain::find()?, qemu::version()?);
    if args.hypervisor.is_none() {
        build::hypervisor(&ws, &toolchain)?;
    }
    build::guest(&ws, &toolchain)?;
    let counter = build::counter(&ws, &toolchain)?;
    let before = history::last(&ws)?;
    let scratch = Scratch::new()?;
    let disk = scratch.path().join("disk");
    fs::write(&disk, vec![0; DISK as usize])?;
    let machine = Machine {
        hypervisor: args.hypervisor.clone().unwrap_or_else(|| ws.image()),
        hypervisor_args: format!("console=com1 debug-exit dom0_mem={DOMAIN_0_MIB}M"),
        kernel_args: "nodomains".into(),
        initrd: Some(ws.domain_0_initrd()),
        disks: vec![Disk { file: disk, access: Access::ReadWrite, serial: None }],
        ..Machine::of(&ws)
    };
    let (emulator, socket) = qemu::start_counted(&machine, &counter)?;
    let mut seen = Vec::new();
    let shell = Shell::new(emulator, Duration::from_secs(args.timeout), &mut seen)?;
    let measured = measure(shell, &Counter(socket));
    let rows = measured.inspect_err(|_| {
        eprintln!("{}", shell::end(&String::from_utf8_lossy(&seen)));
    })?;
    // Without Debian's busybox, or without a network, there is nobody to move anything.
    let speed = soak::split::through(MOVED_MIB)
        .inspect_err(|error| eprintln!("bench: nothing was moved: {error:#}"))
        .ok();
    let record = Record { version: history::version(&ws), qemu: version, rows, speed };
    let json = serde_json::to_string_pretty(&record)?;
    if let Some(path) = args.json.as_ref().filter(|path| *path != Path::new("-")) {
        fs::write(path, &json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.json.as_deref() == Some(Path::new("-")) {
        println!("{json}");
    } else {
        print!("{}", table(&record, before.as_ref()));
        if let Some(speed) = record.speed {
            let Speed { out_of_domu, into_domu } = speed;
            println!(
                "\nthe domU's disk to the host {out_of_domu:.1} MiB/s, the host to its disk \
                 {into_domu:.1} MiB/s (TCP, QEMU's user network)"
            );
        }
        println!("\nQEMU {}.{} TCG, -cpu {}, 1 CPU", version.0, version.1, qemu::cpu(version));
    }
    if args.record { history::add(&ws, &record) } else { Ok(()) }
}

/// Measures all rows.
fn measure(mut shell: Shell<'_>, counter: &Counter) -> Result<Vec<Row>> {
    shell.wait_for(PROMPT)?;
    let counts = counter.read_when_quiet()?;
    ensure!(counts.domu == 0.0 && counts.domain0 > 0.0, "no telling domains apart: {counts:?}");
    shell.type_line(&format!(
        "xl create -c /etc/xen/auto/shell.cfg 'disk=[\"vdev=xvda,target=ram:16M\",\"phy:vda,xvdb,w\"]' \
         'vif=[\"mac={}\"]' 'extra=\"ip=off\"'",
        cases::DOMU
    ))?;
    shell.wait_for("Ferrule guest kernel")?;
    shell.wait_for(PROMPT)?;
    let mut rows = Vec::new();
    let (domu, domain0): (Vec<_>, _) = CASES.iter().partition(|case| case.at == At::Domu);
    for case in domu {
        rows.push(row(&mut shell, counter, case)?);
    }
    shell.leave_console()?;
    for case in domain0 {
        rows.push(row(&mut shell, counter, case)?);
    }
    shell.finish("poweroff")?;
    Ok(rows)
}

/// Measures a row.
fn row(shell: &mut Shell<'_>, counter: &Counter, case: &Case) -> Result<Row> {
    eprintln!("bench: {} …", case.name);
    let mut best: Option<Counts> = None;
    for _ in 0..TIMES {
        let few = cost(shell, counter, case, case.few)?;
        let many = cost(shell, counter, case, 3 * case.few)?;
        let Some((few, many)) = few.zip(many) else { continue };
        let counts = (many - few).part(2.0 * case.few as f64);
        if best.is_none_or(|best| counts.total() < best.total()) {
            best = Some(counts);
        }
    }
    let counts = best.with_context(|| format!("{}: packets were lost each time", case.name))?;
    ensure!(counts.domu > 0.0 && counts.domain0 > 0.0, "{}: {counts:?}", case.name);
    Ok(Row { name: case.name.into(), unit: case.unit.into(), counts })
}

/// What a command costs that does it `count` times. None: it has not done it so often, since packets were
/// lost; a bridge does not say when it is full, and this host may have had something else to do.
fn cost(
    shell: &mut Shell<'_>,
    counter: &Counter,
    case: &Case,
    count: u64,
) -> Result<Option<Counts>> {
    let line = (case.line)(count);
    let before = counter.read_when_quiet()?;
    let said = shell.say(&line, PROMPT)?;
    ensure!(said.contains(" us"), "{line}: {}", said.trim());
    let counts = counter.read_when_quiet()? - before;
    let has_lost = said.contains(" lost") && !said.contains(" 0 lost");
    Ok((!has_lost).then_some(counts))
}

/// A table for a person, beside what was recorded last.
fn table(record: &Record, before: Option<&Record>) -> String {
    let mut cells = vec![
        ["instructions per", "", "domU", "hypervisor", "domain 0", "all", "recorded", "ratio"]
            .map(String::from)
            .to_vec(),
    ];
    cells.extend(record.rows.iter().map(|Row { name, unit, counts }| {
        let number = |count: f64| format!("{count:.0}");
        let recorded = before.and_then(|before| before.find(name)).map(Counts::total);
        let ratio = recorded.map(|recorded| format!("{:.2}", counts.total() / recorded));
        vec![
            name.clone(),
            unit.clone(),
            number(counts.domu),
            number(counts.hypervisor),
            number(counts.domain0),
            number(counts.total()),
            recorded.map_or("-".into(), number),
            ratio.unwrap_or("-".into()),
        ]
    }));
    aligned(&cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_compares_with_what_was_recorded() {
        let record = |domu| {
            let counts = Counts { domu, hypervisor: 20.0, domain0: 30.4, programs: 0.0 };
            let row = Row { name: "read".into(), unit: "block".into(), counts };
            Record { version: None, qemu: (7, 2), rows: vec![row], speed: None }
        };
        let words = |table: String| -> Vec<String> {
            table.lines().last().unwrap().split_whitespace().map(String::from).collect()
        };
        let alone = words(table(&record(10.0), None));
        assert_eq!(alone, ["read", "block", "10", "20", "30", "60", "-", "-"]);
        let beside = words(table(&record(10.0), Some(&record(70.4))));
        assert_eq!(beside[5..], ["60", "121", "0.50"]);
    }

    #[test]
    fn rows_have_names_of_their_own_and_fit_the_disks() {
        for (number, case) in CASES.iter().enumerate() {
            assert!(CASES[..number].iter().all(|other| other.name != case.name), "{}", case.name);
            let blocks = 3 * case.few * u64::from(case.unit == "block");
            assert!(blocks * 4096 <= DISK, "{}", case.name);
            assert!((case.line)(1).len() < 70, "a line of a terminal");
        }
    }
}

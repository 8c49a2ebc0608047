//! `size`: what Ring 0 weighs: the image by sections, memory it keeps, boot time.
//!
//! Xen 4.17 for comparison: a 3.7 MiB image in memory, 4.4 MiB + 0.91 % of RAM kept
//! from domain 0, about 1.1 s from QEMU's start to a tiny guest's first line, and
//! 112 million instructions of its own until then on 512 MiB.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args as ClapArgs;
use object::{Object, ObjectSection};

use crate::emulator::{Machine, Watch};
use crate::outcome::hypervisor_text;
use crate::toolchain::Toolchain;
use crate::transcript::{Lines, exec_word};
use crate::workspace::Workspace;
use crate::{build, qemu, terminal};

/// What `size` takes.
#[derive(ClapArgs)]
pub struct Args {
    /// Memory of the machine that is booted, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    memory: u32,
    /// Only the image: boot nothing
    #[arg(long)]
    no_boot: bool,
    /// List the largest functions, too
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20")]
    functions: Option<usize>,
}

/// Prints everything.
pub fn run(args: &Args) -> Result<()> {
    terminal::clean_up_on_signals();
    let ws = Workspace::here();
    let toolchain = Toolchain::find()?;
    build::hypervisor(&ws, &toolchain)?;
    let linked = fs::read(ws.hypervisor_elf())?;
    let file = object::File::parse(&*linked)?;
    let mut total = 0;
    println!("image");
    for section in file.sections().filter(|section| section.address() != 0 && section.size() != 0) {
        total += section.size();
        println!("  {:18} {:>10}", section.name().unwrap_or("?"), kib(section.size()));
    }
    println!("  {:18} {:>10}   (Xen 4.17: 3.7 MiB)", "in memory", kib(total));
    println!("  {:18} {:>10}", "file with symbols", kib(fs::metadata(ws.image())?.len()));
    if let Some(count) = args.functions {
        functions(&file, count);
    }
    if !args.no_boot {
        build::guest(&ws, &toolchain)?;
        boot(&ws, args.memory)?;
    }
    Ok(())
}

fn functions(file: &object::File<'_>, count: usize) {
    use object::ObjectSymbol;
    let mut all: Vec<_> = file
        .symbols()
        .filter(|symbol| symbol.kind() == object::SymbolKind::Text)
        .filter_map(|symbol| Some((symbol.size(), symbol.name().ok()?)))
        .collect();
    all.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    println!("functions");
    for (size, name) in all.into_iter().take(count) {
        println!("  {size:>8}  {:#}", rustc_demangle::demangle(name));
    }
}

/// What a boot's log tells.
#[derive(Debug, Default, PartialEq)]
struct Boot {
    /// Memory that Ring 0 keeps, and all there is, in KiB.
    memory_kib: Option<(u64, u64)>,
    /// The hypervisor's clock at its last line before the guest's first.
    stamp_s: Option<f64>,
    /// Whether the guest's first line has come.
    guest: bool,
}

impl Boot {
    fn line(&mut self, line: &str) {
        let Some(text) = hypervisor_text(line) else {
            self.guest |= !line.trim().is_empty() && self.stamp_s.is_some();
            return;
        };
        if let Some(kept) = ring0_memory(text) {
            self.memory_kib = Some(kept);
        }
        let stamp = line.split(['[', ']']).nth(1).and_then(|stamp| stamp.trim().parse().ok());
        if !self.guest && stamp.is_some() {
            self.stamp_s = stamp;
        }
    }
}

/// `memory: Ring 0 uses N KiB of M KiB`.
fn ring0_memory(text: &str) -> Option<(u64, u64)> {
    let (_, rest) = text.split_once("Ring 0 uses ")?;
    let mut words = rest.split_whitespace();
    let kept = words.next()?.parse().ok()?;
    let all = words.nth(2)?.parse().ok()?;
    Some((kept, all))
}

fn boot(ws: &Workspace, memory_mib: u32) -> Result<()> {
    let machine =
        Machine { kernel_args: exec_word("cat /etc/motd"), memory_mib, ..Machine::of(ws) };
    let began = Instant::now();
    let real = watch(&machine)?;
    let seconds = began.elapsed().as_secs_f64();
    let counted = watch(&Machine { icount: Some(0), ..machine })?;
    println!("memory of {memory_mib} MiB");
    match real.memory_kib {
        Some((kept, all)) => {
            let xen = 4.4 * 1024.0 + 0.0091 * all as f64;
            let aim = 1024.0 + 0.007 * all as f64;
            println!("  {:18} {:>10}", "kept by Ring 0", kib(kept * 1024));
            println!("  {:18} {:>10}   (4.4 MiB + 0.91 %)", "Xen 4.17", kib(xen as u64 * 1024));
            println!("  {:18} {:>10}   (1 MiB + 0.7 %)", "aim", kib(aim as u64 * 1024));
        }
        None => println!("  the hypervisor printed no line `Ring 0 uses N KiB of M KiB`"),
    }
    println!("boot");
    println!("  {:18} {seconds:>8.2} s   (Xen 4.17: 1.1 s)", "QEMU to guest");
    if let Some(stamp) = counted.stamp_s {
        println!(
            "  {:18} {:>8.1} M   (Xen 4.17: 112 M; aim: 10 M)",
            "instructions",
            stamp * 1000.0
        );
    }
    Ok(())
}

/// Boots until the guest's first line.
fn watch(machine: &Machine) -> Result<Boot> {
    let mut boot = Boot::default();
    let mut lines = Lines::default();
    let mut emulator = qemu::start(machine)?;
    let outcome = emulator.watch(Some(Duration::from_secs(60)), &mut |bytes| {
        lines.feed(bytes, |line| boot.line(line));
        Ok(if boot.guest { Watch::Enough } else { Watch::On })
    })?;
    if !boot.guest {
        lines.tail().iter().for_each(|line| eprintln!("  | {line}"));
        bail!("no line of the guest came: {}", outcome.describe());
    }
    Ok(boot)
}

fn kib(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_log_is_read() {
        let mut boot = Boot::default();
        for line in [
            "SeaBIOS",
            "(FR) [0.001] Ferrule 0.1.0",
            "(FR) [0.004] memory: Ring 0 uses 4500 KiB of 524288 KiB",
            "(FR) [0.009] d0 starts",
            "guest kernel",
            "(FR) [0.500] d0 later",
        ] {
            boot.line(line);
        }
        let expected =
            Boot { memory_kib: Some((4500, 524_288)), stamp_s: Some(0.009), guest: true };
        assert_eq!(boot, expected);
    }
}

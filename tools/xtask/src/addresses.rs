//! Names for addresses: the verb `symbols`, and the backtraces of guests that crash.
//!
//! The hypervisor carries its own symbols and prints names; of a guest it knows
//! addresses only. The files that Cargo linked have the names.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use object::{Object, ObjectSymbol, SymbolKind};

use crate::workspace::Workspace;

/// What `symbols` takes.
#[derive(ClapArgs)]
pub struct Args {
    /// Addresses in hexadecimal, with or without 0x
    #[arg(required = true)]
    addresses: Vec<String>,
    /// A linked ELF file with symbols [default: hypervisor and guest kernel]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Prints a line per address.
pub fn run(args: &Args) -> Result<()> {
    let ws = Workspace::here();
    let files = match &args.file {
        Some(file) => vec![file.clone()],
        None => vec![ws.hypervisor_elf(), ws.guest_kernel_elf()],
    };
    let mut functions = Functions::default();
    for file in files {
        functions.add(&file)?;
    }
    for text in &args.addresses {
        let digits = text.trim_start_matches("0x");
        let address = u64::from_str_radix(digits, 16)
            .with_context(|| format!("{text} is no hexadecimal address"))?;
        println!("{address:#x}  {}", functions.name(address).unwrap_or("?".into()));
    }
    Ok(())
}

/// Functions of linked files, by address.
#[derive(Default)]
pub struct Functions {
    /// (address, size in bytes, demangled name), sorted.
    all: Vec<(u64, u64, String)>,
}

impl Functions {
    /// Reads the functions of a linked file.
    pub fn add(&mut self, path: &Path) -> Result<()> {
        let bytes = fs::read(path)
            .with_context(|| format!("cannot read {} (build it first)", path.display()))?;
        let file = object::File::parse(&*bytes)?;
        self.all.extend(
            file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text).filter_map(
                |symbol| {
                    let name = format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?));
                    Some((symbol.address(), symbol.size(), name))
                },
            ),
        );
        self.all.sort();
        Ok(())
    }

    /// The function that an address lies in; assembly has no sizes, so the nearest below counts.
    pub fn name(&self, address: u64) -> Option<String> {
        let after = self.all.partition_point(|(start, _, _)| *start <= address);
        let (start, size, name) = self.all.get(after.checked_sub(1)?)?;
        let offset = address - start;
        let inside = offset < *size || (*size == 0 && offset < 4096);
        inside.then(|| format!("{name}+{offset:#x}"))
    }

    /// A line of the hypervisor's report on a crashed vCPU (`d0v0   0x8010102c`) with the names
    /// of the addresses in it.
    pub fn annotate(&self, line: &str) -> String {
        let reported = line.starts_with("(FR) [") && line.contains("] error: d");
        let names: Vec<String> = line
            .split_whitespace()
            .filter(|_| reported)
            .filter_map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok())
            .filter_map(|address| self.name(address))
            .collect();
        if names.is_empty() { line.to_string() } else { format!("{line}  {}", names.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions() -> Functions {
        Functions { all: vec![(0x1000, 0x10, "a".into()), (0x1010, 0, "entry".into())] }
    }

    #[test]
    fn addresses_are_inside_of_functions() {
        let functions = functions();
        assert_eq!(functions.name(0x100f).unwrap(), "a+0xf");
        assert_eq!(functions.name(0x1014).unwrap(), "entry+0x4");
        assert_eq!(functions.name(0x9000), None);
        assert_eq!(functions.name(0xfff), None);
    }

    #[test]
    fn a_crash_report_gets_names() {
        let functions = functions();
        let line = "(FR) [0.078] error: d0v0   0x0000100c";
        assert_eq!(functions.annotate(line), format!("{line}  a+0xc"));
        for line in ["0x1000 is printed by the guest", "(FR) [0.078] error: d0v0 eip 00001000"] {
            assert_eq!(functions.annotate(line), line);
        }
    }
}

//! `iso`: a disc image that boots Ferrule on BIOS and UEFI machines, by GRUB.
//!
//! On BIOS, GRUB loads the image by Multiboot1 as QEMU's `-kernel` does. On UEFI
//! it does so by Multiboot2, because Multiboot1 cannot pass on where the ACPI
//! tables are. GRUB passes command lines without the name of the file, which the
//! hypervisor knows of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args as ClapArgs;

use crate::build;
use crate::emulator::Machine;
use crate::scratch::Scratch;
use crate::toolchain::{Toolchain, program_in_path};
use crate::workspace::Workspace;

/// What `iso` takes.
#[derive(ClapArgs)]
pub struct Args {
    /// Where to write the image [default: target/ferrule.iso]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// A PV kernel to boot as domain 0 instead of the guest kernel
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// An initrd for --kernel
    #[arg(long, value_name = "FILE", requires = "kernel")]
    initrd: Option<PathBuf>,
    /// Domain 0's command line
    #[arg(long, value_name = "STRING", default_value = "", hide_default_value = true)]
    append: String,
    /// The hypervisor's command line
    #[arg(long, value_name = "STRING", default_value = "console=com1")]
    hypervisor_args: String,
    /// Seconds that GRUB shows its menu
    #[arg(long, value_name = "S", default_value_t = 2)]
    menu: u32,
}

/// Builds what goes on the disc, writes it and prints where it is.
pub fn run(args: &Args) -> Result<()> {
    let ws = Workspace::here();
    let toolchain = Toolchain::find()?;
    check_programs()?;
    let hypervisor = build::hypervisor(&ws, &toolchain)?;
    if args.kernel.is_none() {
        build::guest(&ws, &toolchain)?;
    }
    let machine = Machine {
        hypervisor,
        hypervisor_args: args.hypervisor_args.clone(),
        initrd: if args.kernel.is_some() { args.initrd.clone() } else { Some(ws.initrd()) },
        kernel: args.kernel.clone().unwrap_or_else(|| ws.guest_kernel()),
        kernel_args: args.append.clone(),
        memory_mib: 0,
        cpus: 0,
        devices: Vec::new(),
        disks: Vec::new(),
        icount: None,
        gdb: false,
        memory_file: None,
        console: None,
        network: None,
    };
    let output = args.output.clone().unwrap_or_else(|| ws.target().join("ferrule.iso"));
    write(&output, &machine, args.menu)?;
    println!("{}", ws.shown(&output));
    Ok(())
}

/// Says what is missing before anything is built.
pub fn check_programs() -> Result<()> {
    let missing: Vec<_> = ["grub-mkrescue", "xorriso", "mformat"]
        .into_iter()
        .filter(|name| program_in_path(name).is_none())
        .collect();
    if !missing.is_empty() {
        bail!(
            "missing: {}; on Debian `tools/setup test` installs them (packages grub-common, \
             grub-pc-bin, grub-efi-amd64-bin, xorriso, mtools)",
            missing.join(", ")
        );
    }
    Ok(())
}

/// Writes a disc with a machine's hypervisor, kernel and initrd.
pub fn write(output: &Path, machine: &Machine, menu_seconds: u32) -> Result<()> {
    let scratch = Scratch::new()?;
    let boot = scratch.path().join("boot");
    fs::create_dir_all(boot.join("grub"))?;
    let copy = |from: &Path, name: &str| {
        fs::copy(from, boot.join(name)).with_context(|| format!("cannot read {}", from.display()))
    };
    copy(&machine.hypervisor, "ferrule")?;
    copy(&machine.kernel, "kernel")?;
    if let Some(initrd) = &machine.initrd {
        copy(initrd, "initrd")?;
    }
    fs::write(boot.join("grub/grub.cfg"), menu(machine, menu_seconds))?;
    let made = Command::new("grub-mkrescue")
        // Fonts, themes and translations are most of its size and show nothing here.
        .args(["--fonts=", "--themes=", "--locales=", "-o"])
        .arg(std::path::absolute(output)?)
        .arg(scratch.path())
        .output()
        .context("cannot run grub-mkrescue; on Debian `tools/setup test` installs it")?;
    if !made.status.success() || !output.exists() {
        let said = String::from_utf8_lossy(&made.stderr);
        let lines: Vec<_> = said.lines().collect();
        let last = &lines[lines.len().saturating_sub(6)..];
        bail!("grub-mkrescue failed:\n{}", last.join("\n"));
    }
    Ok(())
}

/// GRUB's menu.
fn menu(machine: &Machine, seconds: u32) -> String {
    let hypervisor = quote(&machine.hypervisor_args);
    let kernel = quote(&machine.kernel_args);
    let entry = |version: &str| {
        let initrd = match machine.initrd {
            Some(_) => format!("    module{version} /boot/initrd\n"),
            None => String::new(),
        };
        format!(
            "    multiboot{version} /boot/ferrule{hypervisor}\n    \
             module{version} /boot/kernel{kernel}\n{initrd}"
        )
    };
    format!(
        "set timeout={seconds}\n\
         menuentry 'Ferrule' {{\n  if [ \"$grub_platform\" = efi ]; then\n{}  else\n{}  fi\n}}\n",
        entry("2"),
        entry(""),
    )
}

/// The words of a command line for GRUB's script language, each after a blank.
fn quote(line: &str) -> String {
    line.split_whitespace().map(|word| format!(" '{}'", word.replace('\'', r"'\''"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_menu_boots_both_ways() {
        let machine = Machine {
            hypervisor: "x".into(),
            hypervisor_args: "console=com1 debug-exit".into(),
            kernel: "k".into(),
            kernel_args: "exec=a%0Ab it's;$x".into(),
            initrd: Some("i".into()),
            memory_mib: 0,
            cpus: 0,
            devices: Vec::new(),
            disks: Vec::new(),
            icount: None,
            gdb: false,
            memory_file: None,
            console: None,
            network: None,
        };
        let menu = menu(&machine, 0);
        assert!(menu.contains("    multiboot /boot/ferrule 'console=com1' 'debug-exit'\n"));
        assert!(menu.contains("    multiboot2 /boot/ferrule 'console=com1' 'debug-exit'\n"));
        assert!(menu.contains(r"    module /boot/kernel 'exec=a%0Ab' 'it'\''s;$x'"));
        assert!(menu.contains("    module2 /boot/initrd\n"));
        assert!(menu.starts_with("set timeout=0\n"));
        assert!(!super::menu(&Machine { initrd: None, ..machine }, 0).contains("initrd"));
    }
}

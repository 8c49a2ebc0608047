//! `run`: boots domain 0 on Ferrule in an emulator, the terminal as its console.
//!
//! Three ways: at a terminal (or with keys piped in), with `--exec LINES` for a
//! transcript and the guest's exit state, and with `--kernel FILE` for any other
//! PV kernel, whose console comes out as it is.
//!
//! In the first way, other programs of the host reach domain 0 while it runs: by the sockets in
//! the machine's directory (see `link`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args as ClapArgs, ValueEnum};
use link::host::Link;
use link::machine::Machines;

use crate::disk::{self, Access, Disk};
use crate::emulator::{Emulator, Machine};
use crate::network::{FIRST, Forward, Net, Network, Protocol};
use crate::outcome::EXIT_CODES;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;
use crate::{bochs, build, iso, qemu, scratch, session, terminal, transcript};

/// The least memory of domain 0 beside other domains, MiB.
pub const DOMAIN_0_MIB: u32 = 96;
/// The serial number of the disk that the default domain `web` has its root on, as its file
/// (guest-kernel/domains/auto/web.cfg) has it.
const WEB_SERIAL: &str = "web";
/// Seconds that `--exec` may take if nothing else is said.
const EXEC_TIMEOUT_S: u64 = 120;

/// What `run` takes.
#[derive(ClapArgs)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{EXIT_CODES}\n\n{EXAMPLES}"))]
pub struct Args {
    /// Run these lines in the guest's shell, print the transcript, exit with its state
    ///
    /// Lines are separated by newlines or `;`. The transcript goes to standard output; boot
    /// messages and the hypervisor's lines are shown (on standard error) only with -v, or if
    /// something goes wrong.
    #[arg(long, value_name = "LINES")]
    pub exec: Option<String>,
    /// Boot this PV kernel (an ELF file) as domain 0 instead of the guest kernel
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,
    /// An initrd for domain 0 [default: the guest kernel's own; none with --kernel]
    #[arg(long, value_name = "FILE")]
    pub initrd: Option<PathBuf>,
    /// Give domain 0 this disk image, `vda` for the first one; read-only with `,ro` (QEMU only)
    ///
    /// The file is the disk, byte by byte: `truncate -s 64M disk.img` makes an empty one. What domain 0
    /// or a domain of its (`disk=['phy:vda,xvda,w']`) writes is in the file once it is flushed.
    ///
    /// With `,serial=NUMBER` it is called `disk/by-id/virtio-NUMBER`, too. By the number `web` the default
    /// domain of that name finds its root: target/web.img is plugged in under it, behind all others,
    /// and what is written there is the machine's alone and gone with it. To keep that, plug in a copy
    /// instead: `cp target/web.img my.img; tools/run --disk my.img,serial=web`.
    #[arg(long = "disk", value_name = "FILE[,ro][,serial=NUMBER]")]
    pub disks: Vec<Disk>,
    /// Do not have domain 0 make the domain `shell`, and give it all memory
    #[arg(long)]
    pub no_domu: bool,
    /// With --exec or --icount: leave memory for other domains, and what to make them of in /boot
    #[arg(long, conflicts_with = "no_domu")]
    pub domu: bool,
    /// Domain 0's command line
    #[arg(long, value_name = "STRING", default_value = "", hide_default_value = true)]
    pub append: String,
    /// Memory of the machine in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=65536))]
    pub memory: u32,
    /// CPUs of the machine [default: 2; 1 with --icount and in Bochs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub cpus: Option<u32>,
    /// Virtual CPUs of domain 0 (dom0_max_vcpus=N) [default: the hypervisor decides]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32))]
    pub vcpus: Option<u32>,
    /// More words for the hypervisor's command line, e.g. "loglvl=debug dom0_mem=64M"
    #[arg(long, value_name = "STRING", default_value = "", hide_default_value = true)]
    pub hypervisor_args: String,
    /// End it after this many seconds, exit code 124 [default: none; 120 with --exec]
    #[arg(long, value_name = "S")]
    pub timeout: Option<u64>,
    /// The machine's network card: user, tap=NAME or none [default: user at a terminal, else none]
    ///
    /// The user network is QEMU's own and needs no rights. A tap device is one of this host's; its
    /// other end is yours to set up.
    #[arg(long, value_name = "NET")]
    pub net: Option<Net>,
    /// Have a port of this host (of 127.0.0.1) lead to a domain's: HOST:GUEST or HOST:ADDRESS:GUEST,
    /// with /udp if it is not TCP; may be repeated [default: 8080:80 at a terminal]
    ///
    /// Without an address it is the first that the user network gives out, 10.0.2.15: domain 0 does
    /// not ask for one, so that is the first domain's which does.
    #[arg(long, value_name = "PORTS")]
    pub forward: Vec<Forward>,
    /// The name by which other programs find the machine [default: ferrule, or ferrule-2, …]
    ///
    /// Domain 0 can be reached at a terminal by default, and with --exec if a name is given.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["kernel", "icount"])]
    pub machine: Option<String>,
    /// Do without a way from the host to domain 0
    #[arg(long, conflicts_with = "machine")]
    pub no_link: bool,
    /// Count instructions: one is one nanosecond of virtual time, exactly repeatable (one CPU)
    #[arg(long)]
    pub icount: bool,
    /// Stop before the first instruction and wait for gdb; prints what to type
    #[arg(long)]
    pub gdb: bool,
    /// The emulator
    #[arg(long, value_enum, default_value_t = Kind::Qemu)]
    pub emulator: Kind,
    /// Boot this hypervisor image instead of building one
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub hypervisor: Option<PathBuf>,
    /// With --exec: show the rest of the console, too, on standard error
    #[arg(long, short)]
    pub verbose: bool,
}

const EXAMPLES: &str = "Examples:
  tools/run                                   a shell in the guest
  tools/run --exec 'cat /etc/motd; ps'        a transcript, for scripts
  tools/run --kernel my-kernel.elf --append 'debug' --timeout 60
  tools/run --disk disk.img                   with a disk of domain 0's, `vda`
  tools/run --emulator bochs --exec 'sensitive'
  tools/run --gdb                             from the first instruction on";

/// An emulator that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Fast; counts instructions; does not enforce segment limits
    Qemu,
    /// Slow and true to the manual; boots through GRUB
    Bochs,
}

impl Kind {
    /// Boots a machine on it.
    pub fn start(self, machine: &Machine) -> Result<Emulator> {
        match self {
            Self::Qemu => qemu::start(machine),
            Self::Bochs => bochs::start(machine),
        }
    }
}

impl Args {
    /// Whether domain 0 finds memory for other domains, and what to make them of.
    fn has_domu(&self) -> bool {
        let own = self.kernel.is_none() && self.initrd.is_none() && !self.no_domu;
        own && (self.domu || self.exec.is_none() && !self.icount && self.emulator == Kind::Qemu)
    }
}

/// Builds, boots, and tells by the exit code how it ended.
pub fn run(args: &Args) -> Result<ExitCode> {
    terminal::clean_up_on_signals();
    let ws = Workspace::here();
    let machine = match machine(args, &ws) {
        Ok(machine) => machine,
        Err(error) => {
            eprintln!("run: {error:#}");
            return Ok(ExitCode::from(2));
        }
    };
    boot(args, &ws, &machine)
}

/// Builds what is missing, boots `machine`, and tells by the exit code how it ended.
pub fn boot(args: &Args, ws: &Workspace, machine: &Machine) -> Result<ExitCode> {
    build_missing(args, ws)?;
    if args.gdb {
        eprintln!("run: waiting for gdb; in another terminal, type:");
        eprintln!(
            "    gdb {} -ex 'target remote 127.0.0.1:{}' -ex 'hbreak ferrule_main' -ex continue",
            ws.shown(&ws.hypervisor_elf()),
            qemu::GDB_PORT
        );
    }
    // Outlives the emulator, and removes the machine's directory.
    let link = match wants_link(args).then(|| link(args)) {
        None => None,
        Some(Ok(link)) => Some(link),
        Some(Err(error)) if args.machine.is_none() => {
            eprintln!("run: no other program can reach domain 0: {error:#}");
            None
        }
        Some(Err(error)) => return Err(error),
    };
    let console = link.as_ref().map(|link| link.console().clone());
    let mut machine = Machine { console, ..machine.clone() };
    // Who built has said why there is none.
    machine.disks.retain(|disk| disk.file != ws.web_disk() || disk.file.exists());
    let limit = args.timeout.or(args.exec.as_ref().map(|_| EXEC_TIMEOUT_S));
    let limit = limit.map(Duration::from_secs);
    let emulator = args.emulator.start(&machine)?;
    let linked = args.kernel.clone().unwrap_or_else(|| ws.guest_kernel_elf());
    match &args.exec {
        Some(_) => session::exec(emulator, limit, args.verbose, &linked),
        None => session::console(emulator, limit, &linked),
    }
}

/// Whether the default guest runs as long as a person wants, at a speed that nobody measures.
fn for_a_person(args: &Args) -> bool {
    args.kernel.is_none() && args.exec.is_none() && !args.icount && args.emulator == Kind::Qemu
}

/// Whether other programs are to reach domain 0: if it is ours, and runs as long as a person wants,
/// or under a name that was given.
fn wants_link(args: &Args) -> bool {
    let named = args.kernel.is_none() && args.emulator == Kind::Qemu && args.machine.is_some();
    named || for_a_person(args) && !args.no_link
}

/// Makes the machine's directory and serves the sockets in it.
fn link(args: &Args) -> Result<Link> {
    let running = Machines::of_user()?.create(args.machine.as_deref())?;
    let directory = running.found().directory.clone();
    scratch::remove_at_end(&directory);
    Link::start(running).with_context(|| format!("cannot make sockets in {}", directory.display()))
}

/// The machine that the arguments describe, after every check that needs no build.
pub fn machine(args: &Args, ws: &Workspace) -> Result<Machine> {
    let network = network(args)?;
    let own = args.append.split_whitespace().any(|word| word.starts_with("ip="));
    let address = network.as_ref().filter(|_| !own && args.kernel.is_none());
    let words = [
        (!args.append.is_empty()).then(|| args.append.clone()),
        address.and_then(Network::word).map(str::to_string),
        args.exec.as_deref().map(transcript::exec_word),
    ];
    let kernel_args = words.into_iter().flatten().collect::<Vec<_>>().join(" ");
    transcript::check_command_line(&kernel_args)?;
    if let Some(kernel) = &args.kernel {
        check_kernel(kernel)?;
    }
    disk::check_all(&args.disks)?;
    for file in [&args.initrd, &args.hypervisor].into_iter().flatten() {
        fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let cpus = match (args.icount, args.cpus) {
        (true, Some(2..)) => bail!("--icount counts exactly on one CPU only: leave out --cpus"),
        (true, _) => 1,
        (false, cpus) => cpus.unwrap_or(2),
    };
    let mut hypervisor_args = "console=com1 debug-exit".to_string();
    if let Some(vcpus) = args.vcpus {
        hypervisor_args.push_str(&format!(" dom0_max_vcpus={vcpus}"));
    }
    if args.has_domu() {
        hypervisor_args.push_str(&format!(" dom0_mem={}M", (args.memory / 4).max(DOMAIN_0_MIB)));
    }
    if for_a_person(args) {
        // For `xl top`.
        hypervisor_args.push_str(" perfc");
    }
    if !args.hypervisor_args.is_empty() {
        hypervisor_args.push(' ');
        hypervisor_args.push_str(&args.hypervisor_args);
    }
    let own_initrd = match args.has_domu() {
        true => Some(ws.domain_0_initrd()),
        false => args.kernel.is_none().then(|| ws.initrd()),
    };
    let machine = Machine {
        hypervisor: args.hypervisor.clone().unwrap_or_else(|| ws.image()),
        hypervisor_args,
        kernel: args.kernel.clone().unwrap_or_else(|| ws.guest_kernel()),
        kernel_args,
        initrd: args.initrd.clone().or(own_initrd),
        memory_mib: args.memory,
        // Bochs emulates CPUs in turn: one is quicker.
        cpus: if args.emulator == Kind::Bochs { args.cpus.unwrap_or(1) } else { cpus },
        devices: Vec::new(),
        disks: disks(args, ws),
        icount: args.icount.then_some(0),
        gdb: args.gdb,
        memory_file: None,
        console: None,
        network,
    };
    if args.emulator == Kind::Bochs {
        bochs::check(&machine)?;
        iso::check_programs()?;
    } else {
        qemu::version()?;
    }
    Ok(machine)
}

/// The disks that the arguments describe, with the one for the default domain `web` behind the others,
/// whose letters stay what they are. Whether it could be made shows when it is built.
fn disks(args: &Args, ws: &Workspace) -> Vec<Disk> {
    let mut disks = args.disks.clone();
    let has_web = disks.iter().any(|disk| disk.serial.as_deref() == Some(WEB_SERIAL));
    if for_a_person(args) && args.has_domu() && !has_web {
        let serial = Some(WEB_SERIAL.into());
        disks.push(Disk { file: ws.web_disk(), access: Access::Private, serial });
    }
    disks
}

/// The network that the arguments describe.
fn network(args: &Args) -> Result<Option<Network>> {
    let mut forwards =
        args.forward.iter().map(|forward| forward.reserve()).collect::<Result<Vec<_>>>()?;
    let net = match &args.net {
        Some(net) => net.clone(),
        None if !forwards.is_empty() => Net::User,
        None if for_a_person(args) => {
            let usual = Forward { protocol: Protocol::Tcp, host: 8080, address: FIRST, guest: 80 };
            match usual.reserve() {
                Ok(usual) => forwards.push(usual),
                Err(error) => eprintln!("run: no web server will be seen from here: {error:#}"),
            }
            Net::User
        }
        // A transcript is to be the same everywhere, and counted instructions exact.
        None => Net::None,
    };
    Network::new(net, forwards)
}

fn build_missing(args: &Args, ws: &Workspace) -> Result<()> {
    if args.hypervisor.is_some() && args.kernel.is_some() {
        return Ok(());
    }
    let toolchain = Toolchain::find()?;
    if args.hypervisor.is_none() {
        build::hypervisor(ws, &toolchain)?;
    }
    if args.kernel.is_none() {
        build::guest(ws, &toolchain)?;
    }
    Ok(())
}

/// Says what is wrong with a kernel file before a machine is started for it.
fn check_kernel(path: &Path) -> Result<()> {
    let shown = path.display();
    let bytes = fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    match &bytes[..] {
        [0x7f, b'E', b'L', b'F', ..] => Ok(()),
        [0x1f, 0x8b, ..] => bail!("{shown} is compressed with gzip: unpack it first (gunzip)"),
        [0xfd, b'7', b'z', ..] => bail!("{shown} is compressed with xz: unpack it first (unxz)"),
        _ if bytes.get(0x202..0x206) == Some(b"HdrS") => bail!(
            "{shown} is a Linux bzImage, not an ELF file: take the vmlinux inside of it \
             (scripts/extract-vmlinux of the Linux source)"
        ),
        [] => bail!("{shown} is empty"),
        _ => bail!("{shown} is not an ELF file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_kernel_is_told_apart() {
        let dir = crate::scratch::Scratch::new().unwrap();
        let error = |bytes: &[u8]| {
            let file = dir.path().join("kernel");
            fs::write(&file, bytes).unwrap();
            check_kernel(&file).map_err(|error| error.to_string())
        };
        assert!(error(b"\x7fELF\x01\x01\x01").is_ok());
        assert!(error(b"\x1f\x8b\x08").unwrap_err().contains("gunzip"));
        assert!(error(b"").unwrap_err().contains("is empty"));
        assert!(error(b"#!/bin/sh").unwrap_err().contains("not an ELF file"));
        let mut linux = vec![0; 0x400];
        linux[0x202..0x206].copy_from_slice(b"HdrS");
        assert!(error(&linux).unwrap_err().contains("bzImage"));
        assert!(check_kernel(Path::new("/no/such/kernel")).is_err());
    }
}

//! QEMU: its command line for a [`Machine`], by its version.
//!
//! The serial port is QEMU's standard input and output (pipes, no monitor on
//! them), so every key reaches the guest. Files are linked into a scratch folder
//! that QEMU runs in: `-initrd` splits at commas and blanks, which names in there
//! do not have.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::child;
use crate::disk::{Access, Disk};
use crate::emulator::{Emulator, Machine};
use crate::network::Network;
use crate::scratch::Scratch;

const PROGRAM: &str = "qemu-system-x86_64";
/// TCG below this version makes far returns in Ring 3 with supervisor rights, which SMAP then
/// refuses even where they are legitimate.
const SMAP_WORKS_FROM: (u32, u32) = (9, 1);
/// Where `--gdb` listens.
pub const GDB_PORT: u16 = 1234;

/// QEMU's version, e.g. (7, 2), asked once.
pub fn version() -> Result<(u32, u32)> {
    static VERSION: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    let version = VERSION.get_or_init(|| {
        let output = Command::new(PROGRAM).arg("--version").output().ok()?;
        parse_version(&String::from_utf8_lossy(&output.stdout))
    });
    version.with_context(|| {
        format!(
            "cannot run {PROGRAM}; on Debian `tools/setup run` installs it, elsewhere the \
             package is called qemu-system-x86 or qemu-system-x86_64"
        )
    })
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("QEMU emulator version ")?.split(['.', ' ', '(']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The CPU model for a version of QEMU.
pub fn cpu(version: (u32, u32)) -> &'static str {
    if version < SMAP_WORKS_FROM { "max,smap=off" } else { "max" }
}

/// Boots a machine.
pub fn start(machine: &Machine) -> Result<Emulator> {
    start_with(machine, |_| Vec::new())
}

/// Boots a machine with a plugin of QEMU's, `library`, that is told to listen at the socket which
/// comes back.
pub fn start_counted(machine: &Machine, library: &Path) -> Result<(Emulator, PathBuf)> {
    let mut socket = PathBuf::new();
    let emulator = start_with(machine, |folder| {
        socket = folder.join("counts");
        // Of the names of files in options only commas are special.
        let quoted = |path: &Path| path.display().to_string().replace(',', ",,");
        let plugin = format!("file={},socket={}", quoted(library), quoted(&socket));
        vec!["-plugin".into(), plugin]
    })?;
    Ok((emulator, socket))
}

/// Boots a machine with more arguments, made for the folder that QEMU runs in.
fn start_with(machine: &Machine, more: impl FnOnce(&Path) -> Vec<String>) -> Result<Emulator> {
    let version = version()?;
    let scratch = Scratch::new()?;
    scratch.link("ferrule", &machine.hypervisor)?;
    scratch.link("kernel", &machine.kernel)?;
    if let Some(initrd) = &machine.initrd {
        scratch.link("initrd", initrd)?;
    }
    for (number, disk) in machine.disks.iter().enumerate() {
        scratch.link(&format!("disk{number}"), &disk.file)?;
    }
    let mut command = Command::new(PROGRAM);
    // What a machine alone writes to a disk is in the folder, too.
    command.current_dir(scratch.path()).env("TMPDIR", scratch.path());
    command.args(arguments(machine, version)?);
    command.args(more(scratch.path()));
    run(command, scratch)
}

/// Boots from a disc image instead, with `firmware` in place of SeaBIOS if given.
pub fn start_disc(
    iso: &Path,
    firmware: Option<&Path>,
    memory_mib: u32,
    cpus: u32,
) -> Result<Emulator> {
    let scratch = Scratch::new()?;
    scratch.link("disc", iso)?;
    let mut command = Command::new(PROGRAM);
    command.current_dir(scratch.path());
    command.args(machine_arguments(memory_mib, cpus, None, version()?));
    command.args(["-drive", "file=disc,format=raw,media=cdrom,readonly=on"]);
    if let Some(firmware) = firmware {
        scratch.link("firmware", firmware)?;
        command.args(["-bios", "firmware"]);
    }
    run(command, scratch)
}

fn run(mut command: Command, scratch: Scratch) -> Result<Emulator> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child::spawn(&mut command)?;
    let output = child.stdout.take().context("no standard output")?;
    let input = child.stdin.take().context("no standard input")?;
    Ok(Emulator::new(child, output, Some(Box::new(input)), scratch, false))
}

/// QEMU's arguments; files are called `ferrule`, `kernel`, `initrd`, `disk0` and so on.
fn arguments(machine: &Machine, version: (u32, u32)) -> Result<Vec<String>> {
    let mut arguments =
        machine_arguments(machine.memory_mib, machine.cpus, machine.icount, version);
    let mut modules = "kernel".to_string();
    if !machine.kernel_args.is_empty() {
        if machine.kernel_args.contains('\n') {
            bail!("a guest's command line is one line");
        }
        modules = format!("kernel {}", machine.kernel_args.replace(',', ",,"));
    }
    if machine.initrd.is_some() {
        modules.push_str(",initrd");
    }
    for word in ["-kernel", "ferrule", "-append", &machine.hypervisor_args, "-initrd", &modules] {
        arguments.push(word.to_string());
    }
    if let Some(file) = &machine.memory_file {
        let backend = format!(
            "memory-backend-file,id=ram,size={}M,share=on,mem-path={}",
            machine.memory_mib,
            file.display().to_string().replace(',', ",,")
        );
        arguments.extend(["-object".into(), backend]);
        arguments.extend(["-machine".into(), "memory-backend=ram".into()]);
    }
    if let Some(socket) = &machine.console {
        let socket = socket.display().to_string().replace(',', ",,");
        arguments.extend(["-chardev".into(), format!("socket,id=console,path={socket}")]);
        // The driver in domain 0 knows modern devices.
        arguments.extend(["-device".into(), "virtio-serial-pci,disable-legacy=on".into()]);
        arguments.extend(["-device".into(), "virtconsole,chardev=console".into()]);
    }
    arguments.extend(machine.disks.iter().enumerate().flat_map(disk_arguments));
    arguments.extend(machine.network.iter().flat_map(Network::arguments));
    for device in &machine.devices {
        arguments.extend(["-device".into(), device.clone()]);
    }
    if machine.gdb {
        arguments.extend(["-S".into(), "-gdb".into(), format!("tcp:127.0.0.1:{GDB_PORT}")]);
    }
    Ok(arguments)
}

/// A disk, whose file is called `disk` and its number.
fn disk_arguments((number, disk): (usize, &Disk)) -> [String; 4] {
    let access = match disk.access {
        Access::ReadWrite => "",
        Access::ReadOnly => ",readonly=on",
        Access::Private => ",snapshot=on",
    };
    let file = format!("file=disk{number},format=raw,discard=unmap{access}");
    let serial = disk.serial.as_ref().map_or(String::new(), |serial| format!(",serial={serial}"));
    [
        "-drive".into(),
        format!("if=none,id=disk{number},{file}"),
        "-device".into(),
        format!("virtio-blk-pci,drive=disk{number},disable-legacy=on{serial}"),
    ]
}

/// The machine without what it boots.
fn machine_arguments(
    memory_mib: u32,
    cpus: u32,
    icount: Option<u8>,
    version: (u32, u32),
) -> Vec<String> {
    let threads = if cpus > 1 && icount.is_none() { "multi" } else { "single" };
    let mut arguments: Vec<String> = [
        "-nodefaults -no-user-config -no-reboot -display none -machine pc",
        "-chardev stdio,id=serial0,signal=off -serial chardev:serial0",
        "-device isa-debug-exit,iobase=0xf4,iosize=4",
    ]
    .iter()
    .flat_map(|line| line.split(' '))
    .map(str::to_string)
    .collect();
    arguments.extend(["-accel".into(), format!("tcg,thread={threads}")]);
    arguments.extend(["-cpu".into(), cpu(version).into()]);
    arguments.extend(["-m".into(), format!("{memory_mib}M"), "-smp".into(), cpus.to_string()]);
    if let Some(shift) = icount {
        arguments.extend(["-icount".into(), format!("shift={shift},sleep=off")]);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            hypervisor: "ferrule".into(),
            hypervisor_args: "console=com1 debug-exit".into(),
            kernel: "guest".into(),
            kernel_args: "root=a,b quiet".into(),
            initrd: Some("initrd".into()),
            memory_mib: 256,
            cpus: 2,
            devices: Vec::new(),
            disks: Vec::new(),
            icount: None,
            gdb: false,
            memory_file: None,
            console: None,
            network: None,
        }
    }

    fn after<'a>(arguments: &'a [String], name: &str) -> &'a str {
        let at = arguments.iter().position(|word| word == name).expect(name);
        &arguments[at + 1]
    }

    #[test]
    fn versions_are_read() {
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright";
        assert_eq!(parse_version(debian), Some((7, 2)));
        assert_eq!(parse_version("QEMU emulator version 10.0.2"), Some((10, 0)));
        assert_eq!(parse_version("something else"), None);
        assert_eq!(cpu((7, 2)), "max,smap=off");
        assert_eq!(cpu((10, 0)), "max");
    }

    #[test]
    fn commas_of_a_command_line_are_doubled() {
        let arguments = arguments(&machine(), (7, 2)).unwrap();
        assert_eq!(after(&arguments, "-initrd"), "kernel root=a,,b quiet,initrd");
        assert_eq!(after(&arguments, "-append"), "console=com1 debug-exit");
        assert_eq!(after(&arguments, "-accel"), "tcg,thread=multi");
    }

    #[test]
    fn the_console_is_a_socket_of_any_name() {
        let machine = Machine { console: Some("/run/a,b".into()), ..machine() };
        let arguments = arguments(&machine, (7, 2)).unwrap();
        assert!(arguments.contains(&"socket,id=console,path=/run/a,,b".to_string()));
    }

    #[test]
    fn disks_are_as_they_are_asked_for() {
        let disk = |text: &str| text.parse::<Disk>().unwrap();
        let private = Disk { access: Access::Private, ..disk("c,serial=web") };
        let disks = vec![disk("a"), disk("b,ro"), private];
        let arguments = arguments(&Machine { disks, ..machine() }, (7, 2)).unwrap();
        for argument in [
            "if=none,id=disk0,file=disk0,format=raw,discard=unmap",
            "virtio-blk-pci,drive=disk0,disable-legacy=on",
            "if=none,id=disk1,file=disk1,format=raw,discard=unmap,readonly=on",
            "if=none,id=disk2,file=disk2,format=raw,discard=unmap,snapshot=on",
            "virtio-blk-pci,drive=disk2,disable-legacy=on,serial=web",
        ] {
            assert!(arguments.iter().any(|word| word == argument), "{argument}");
        }
    }

    #[test]
    fn counting_instructions_is_single_threaded() {
        let machine =
            Machine { icount: Some(0), initrd: None, kernel_args: "".into(), ..machine() };
        let arguments = arguments(&machine, (7, 2)).unwrap();
        assert_eq!(after(&arguments, "-initrd"), "kernel");
        assert_eq!(after(&arguments, "-accel"), "tcg,thread=single");
        assert_eq!(after(&arguments, "-icount"), "shift=0,sleep=off");
    }
}

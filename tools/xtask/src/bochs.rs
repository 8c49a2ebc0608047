//! Bochs: slower than QEMU, but true to the manual where QEMU's TCG is not
//! (segment limits, privilege of far transfers in Ring 3).
//!
//! Bochs boots a GRUB disc made for the occasion. Its serial port is a TCP
//! connection to us on the loopback interface. It has no exit device, so the
//! outcome is read from the hypervisor's last line. Debian's build contains
//! Bochs' debugger, which waits for a command first: it is given `continue`.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::child;
use crate::emulator::{Emulator, Machine};
use crate::iso;
use crate::scratch::Scratch;

/// A model with SMEP, SMAP, PCID and invariant TSC. Later ones state a TSC frequency by CPUID,
/// which is not that of [`INSTRUCTIONS_PER_SECOND`].
const CPU: &str = "broadwell_ult";
/// Instructions per second of virtual time: near to what a desktop does in real time.
const INSTRUCTIONS_PER_SECOND: u32 = 50_000_000;
/// How long Bochs may take to open its serial port.
const CONNECT: Duration = Duration::from_secs(20);

/// Boots a machine.
pub fn start(machine: &Machine) -> Result<Emulator> {
    let scratch = Scratch::new()?;
    // Without an exit device, "end" would mean to restart the machine.
    let hypervisor_args = format!("{} noreboot", machine.hypervisor_args);
    let on_disc = Machine { hypervisor_args, ..machine.clone() };
    iso::write(&scratch.path().join("disc"), &on_disc, 0)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no loopback interface")?;
    let port = listener.local_addr()?.port();
    fs::write(scratch.path().join("bochsrc"), configuration(machine, port))?;
    fs::write(scratch.path().join("start"), "continue\n")?;
    let mut command = Command::new("bochs");
    command
        .current_dir(scratch.path())
        .args(["-q", "-f", "bochsrc", "-rc", "start"])
        // Its text display draws on a terminal that nobody looks at.
        .env("TERM", "vt100")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = child::spawn(&mut command)?;
    let serial = accept(&listener, &mut child).inspect_err(|_| {
        let _ = child.kill();
        let _ = child.wait();
    })?;
    let input = serial.try_clone()?;
    Ok(Emulator::new(child, serial, Some(Box::new(input)), scratch, true))
}

fn accept(listener: &TcpListener, child: &mut Child) -> Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + CONNECT;
    loop {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false)?;
            return Ok(stream);
        }
        if let Some(status) = child.try_wait()? {
            let mut said = String::new();
            if let Some(pipe) = child.stderr.as_mut() {
                let _ = std::io::Read::read_to_string(pipe, &mut said);
            }
            let why: Vec<_> = said.lines().filter(|line| line.contains("PANIC")).collect();
            bail!("Bochs ended at once with {status}: {}", why.join("; "));
        }
        if Instant::now() > deadline {
            bail!("Bochs did not open its serial port within {} s", CONNECT.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn configuration(machine: &Machine, port: u16) -> String {
    format!(
        "memory: guest={memory}, host={memory}
cpu: model={CPU}, count={cpus}, ips={INSTRUCTIONS_PER_SECOND}, reset_on_triple_fault=0
clock: sync=none, time0=utc
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path=disc, status=inserted
boot: cdrom
display_library: term
speaker: enabled=0
com1: enabled=1, mode=socket-client, dev=127.0.0.1:{port}
log: log
panic: action=fatal
error: action=report
info: action=ignore
",
        memory = machine.memory_mib,
        cpus = machine.cpus,
    )
}

/// What Bochs cannot do that a machine asks for.
pub fn check(machine: &Machine) -> Result<()> {
    if machine.icount.is_some() || machine.gdb {
        bail!("--icount and --gdb are QEMU's; leave them out with --emulator bochs");
    }
    let board = machine.devices.is_empty() && machine.disks.is_empty() && machine.network.is_none();
    if !board {
        bail!("devices beside the board's are QEMU's");
    }
    if machine.memory_mib > 2048 {
        bail!("Bochs takes at most 2048 MiB of memory");
    }
    Ok(())
}

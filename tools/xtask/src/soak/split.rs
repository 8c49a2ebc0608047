//! `soak --split`: a gibibyte each way through the split drivers of disk and network at once.
//!
//! A domU has two disks of the machine's and a network interface. A program in it reads the first disk
//! and sends what is there to this host; another takes what this host sends, and writes it to the second.
//! So each byte goes through a ring of blocks and a ring of packets, domain 0's drivers and QEMU's devices.
//! What it has to be is known here, where disk and stream are made ([`Pattern`]), and compared: out of the
//! domU as it comes, into it by the disk's image afterwards.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::disk::{Access, Disk};
use crate::emulator::Machine;
use crate::network::{Net, Network};
use crate::scratch::Scratch;
use crate::shell::{self, PROMPT, Shell};
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;
use crate::{build, busybox, qemu, terminal};

/// Memory of domain 0 and of the machine, MiB: the domU has 32.
const MEMORY_MIB: [u32; 2] = [96, 256];
/// How long the machine may take before anything is moved, and for a MiB each way.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(40), Duration::from_secs(3));
/// How an address in QEMU's user network begins, and how often somebody looks whether the domU has one.
const ADDRESS: &str = "10.0.2.";
const GLANCE: Duration = Duration::from_millis(200);
/// Bytes of a MiB.
const MIB: u64 = 1 << 20;
/// Bytes that are compared, or sent, at a time.
const PART: usize = 64 << 10;
/// MiB between two lines that say how far it is.
const PROGRESS: u64 = 64;

/// How fast it was, MiB a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// From the domU's disk to this host.
    pub out_of_domu: f64,
    /// From this host to the domU's disk.
    pub into_domu: f64,
}

/// Moves so many MiB each way, and tells.
pub fn run(mib: u32) -> Result<()> {
    terminal::clean_up_on_signals();
    let begun = Instant::now();
    let speed = through(mib)?;
    println!(
        "soak: {mib} MiB out of the domU with {:.2} MiB/s, as many into it with {:.2} MiB/s, {} s in all: \
         every byte is right",
        speed.out_of_domu,
        speed.into_domu,
        begun.elapsed().as_secs()
    );
    Ok(())
}

/// Moves so many MiB each way; fails if any byte is not what it has to be.
pub fn through(mib: u32) -> Result<Speed> {
    let (ws, toolchain) = (Workspace::here(), Toolchain::find()?);
    build::hypervisor(&ws, &toolchain)?;
    build::guest(&ws, &toolchain)?;
    busybox::obtain(&ws).context("the domU's programs are Debian's busybox")?;
    let scratch = Scratch::new()?;
    let [from, to] = ["from", "to"].map(|name| scratch.path().join(name));
    Pattern::new(1).write(&mut File::create(&from)?, mib)?;
    File::create(&to)?.set_len(u64::from(mib) * MIB)?;
    let disk = |file: &Path, access| Disk { file: file.into(), access, serial: None };
    let network = Network::new(Net::User, Vec::new())?;
    let word = network.as_ref().and_then(Network::word).unwrap_or_default();
    let machine = Machine {
        hypervisor_args: format!("console=com1 debug-exit dom0_mem={}M", MEMORY_MIB[0]),
        kernel_args: format!("nodomains {word}"),
        initrd: Some(ws.domain_0_initrd()),
        memory_mib: MEMORY_MIB[1],
        cpus: 2,
        disks: vec![disk(&from, Access::ReadOnly), disk(&to, Access::ReadWrite)],
        network,
        ..Machine::of(&ws)
    };
    let patience = PATIENCE.0 + PATIENCE.1 * mib;
    let mut seen = Vec::new();
    let shell = Shell::new(qemu::start(&machine)?, patience, &mut seen)?;
    let moved = use_domain(shell, mib);
    if moved.is_err() {
        eprintln!("{}", shell::end(&String::from_utf8_lossy(&seen)));
    }
    let speed = moved?;
    eprintln!("soak: comparing the second disk's image …");
    Pattern::new(2).compare(&mut File::open(&to)?, mib, "the disk's image")?;
    Ok(speed)
}

/// Has a domU move everything.
fn use_domain(mut shell: Shell<'_>, mib: u32) -> Result<Speed> {
    shell.wait_for(PROMPT)?;
    shell.type_line(
        "xl create -c /etc/xen/auto/shell.cfg 'disk=[\"phy:vda,xvda,r\",\"phy:vdb,xvdb,w\"]' 'vif=[\"\"]'",
    )?;
    shell.wait_for("Ferrule guest kernel")?;
    shell.wait_for(PROMPT)?;
    // It gets an address by DHCP, whenever that is.
    while !shell.say("ifconfig", PROMPT)?.contains(ADDRESS) {
        thread::sleep(GLANCE);
    }
    let out_of_domu = timed("out of the domU", mib, |listener, port| {
        let receiver = thread::spawn(move || receive(&listener, mib));
        command(&mut shell, &format!("nc 10.0.2.2 {port} </dev/xvda"))?;
        receiver.join().map_err(|_| anyhow!("the receiver panicked"))?
    })?;
    let into_domu = timed("into the domU", mib, |listener, port| {
        let sender = thread::spawn(move || send(&listener, mib));
        command(&mut shell, &format!("nc 10.0.2.2 {port} >/dev/xvdb"))?;
        shell.say("sync", PROMPT)?;
        sender.join().map_err(|_| anyhow!("the sender panicked"))?
    })?;
    shell.leave_console()?;
    shell.say("xl destroy shell", PROMPT)?;
    shell.finish("poweroff")?;
    Ok(Speed { out_of_domu, into_domu })
}

/// Runs a line of the domU's busybox. It is short: a terminal's line shows all of it.
fn command(shell: &mut Shell<'_>, line: &str) -> Result<()> {
    let said = shell.say(&format!("sh -c '{line} && echo ok'"), PROMPT)?;
    ensure!(said.lines().any(|line| line == "ok"), "{line}: {}", said.trim());
    Ok(())
}

/// Does something with a port of this host's; how fast it was, MiB a second.
fn timed(what: &str, mib: u32, work: impl FnOnce(TcpListener, u16) -> Result<()>) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    eprintln!("soak: {mib} MiB {what} …");
    let begun = Instant::now();
    work(listener, port).with_context(|| what.to_string())?;
    Ok(f64::from(mib) / begun.elapsed().as_secs_f64())
}

/// Compares what a domU sends.
fn receive(listener: &TcpListener, mib: u32) -> Result<()> {
    let (mut stream, _) = listener.accept()?;
    Pattern::new(1).compare(&mut stream, mib, "what came")
}

/// Sends to a domU.
fn send(listener: &TcpListener, mib: u32) -> Result<()> {
    let (mut stream, _) = listener.accept()?;
    Pattern::new(2).write(&mut stream, mib)?;
    stream.shutdown(Shutdown::Write)?;
    // It goes when it has everything.
    io::copy(&mut stream, &mut io::sink())?;
    Ok(())
}

/// Bytes that look like any, the same for the same seed (a xorshift generator of 64 bits).
struct Pattern(u64);

impl Pattern {
    /// With a seed that is not 0.
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn fill(&mut self, into: &mut [u8]) {
        for word in into.as_chunks_mut::<8>().0 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            *word = self.0.to_le_bytes();
        }
    }

    /// Writes so many MiB.
    fn write(&mut self, to: &mut impl Write, mib: u32) -> Result<()> {
        let (mut to, mut part) = (BufWriter::new(to), vec![0; PART]);
        for _ in 0..u64::from(mib) * MIB / PART as u64 {
            self.fill(&mut part);
            to.write_all(&part)?;
        }
        Ok(to.flush()?)
    }

    /// Reads until the end; fails unless it is so many MiB of this.
    fn compare(&mut self, from: &mut impl Read, mib: u32, what: &str) -> Result<()> {
        let (mut from, mut expected) = (BufReader::new(from), vec![0; PART]);
        let (mut found, bytes) = (vec![0; PART], u64::from(mib) * MIB);
        for at in (0..bytes).step_by(PART) {
            self.fill(&mut expected);
            from.read_exact(&mut found)
                .with_context(|| format!("{what} ends in {at} to {}", at + PART as u64))?;
            if let Some(wrong) = found.iter().zip(&expected).position(|(found, byte)| found != byte)
            {
                bail!("{what} is wrong at byte {}", at + wrong as u64);
            }
            let done = at + PART as u64;
            if done.is_multiple_of(PROGRESS * MIB) {
                eprintln!("soak: {} of {mib} MiB", done / MIB);
            }
        }
        ensure!(from.read(&mut found)? == 0, "{what} is longer than {mib} MiB");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found_and_nothing_else() {
        let mut bytes = Vec::new();
        Pattern::new(1).write(&mut bytes, 1).unwrap();
        assert_eq!(bytes.len() as u64, MIB);
        let compare = |bytes: &[u8], seed| {
            let compared = Pattern::new(seed).compare(&mut &bytes[..], 1, "it");
            compared.map_err(|error| error.to_string())
        };
        assert_eq!(compare(&bytes, 1), Ok(()));
        assert_eq!(compare(&bytes, 2), Err("it is wrong at byte 0".into()));
        assert_eq!(compare(&bytes[..PART + 1], 1), Err("it ends in 65536 to 131072".into()));
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(compare(&longer, 1), Err("it is longer than 1 MiB".into()));
        bytes[700_001] ^= 1;
        assert_eq!(compare(&bytes, 1), Err("it is wrong at byte 700001".into()));
    }
}

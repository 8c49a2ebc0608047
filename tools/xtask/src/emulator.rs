//! A machine under emulation, seen through its serial port.
//!
//! QEMU and Bochs are started elsewhere ([`crate::qemu`], [`crate::bochs`]); from
//! here on they are the same thing: bytes in, bytes out, a deadline and an
//! outcome. Reading happens on a thread of its own, so that the deadline holds
//! whatever the emulator does.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::disk::Disk;
use crate::network::Network;
use crate::outcome::Outcome;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// What to boot and on what machine, whichever emulator it is.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The Multiboot image.
    pub hypervisor: std::path::PathBuf,
    /// The hypervisor's command line.
    pub hypervisor_args: String,
    /// Domain 0's kernel.
    pub kernel: std::path::PathBuf,
    /// Domain 0's command line.
    pub kernel_args: String,
    /// Domain 0's initrd.
    pub initrd: Option<std::path::PathBuf>,
    /// Memory of the machine, in MiB.
    pub memory_mib: u32,
    /// CPUs of the machine.
    pub cpus: u32,
    /// Devices beside the board's, as `-device` takes them (QEMU only).
    pub devices: Vec<String>,
    /// Disks of domain 0's, in order (QEMU only).
    pub disks: Vec<Disk>,
    /// One instruction is two to this power nanoseconds of virtual time (QEMU only).
    pub icount: Option<u8>,
    /// Wait for gdb (QEMU only).
    pub gdb: bool,
    /// Keep the machine's memory in this file (QEMU only).
    pub memory_file: Option<std::path::PathBuf>,
    /// Give it a virtio console that connects to this Unix socket (QEMU only).
    pub console: Option<std::path::PathBuf>,
    /// What its network card is connected to, if it has one (QEMU only).
    pub network: Option<Network>,
}

impl Machine {
    /// One with one CPU on which the default guest runs.
    pub fn of(ws: &Workspace) -> Self {
        Self {
            hypervisor: ws.image(),
            hypervisor_args: "console=com1 debug-exit".into(),
            kernel: ws.guest_kernel(),
            kernel_args: String::new(),
            initrd: Some(ws.initrd()),
            memory_mib: 256,
            cpus: 1,
            devices: Vec::new(),
            disks: Vec::new(),
            icount: None,
            gdb: false,
            memory_file: None,
            console: None,
            network: None,
        }
    }
}

/// Whether to go on watching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Go on.
    On,
    /// Enough was seen: end the emulator.
    Enough,
}

/// A running emulator. Dropping it kills it.
pub struct Emulator {
    child: Child,
    output: Receiver<Vec<u8>>,
    errors: Option<JoinHandle<String>>,
    /// The serial port's other direction.
    input: Option<Box<dyn Write + Send>>,
    outcome_by_lines: bool,
    /// What a line told, and when.
    by_line: Option<(Outcome, Instant)>,
    line: Vec<u8>,
    started: Instant,
    _scratch: Scratch,
}

/// A line after which Bochs' machine only halts; what follows it (a backtrace) may take this long.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl Emulator {
    /// Takes over a started emulator, whose serial port is `output` and `input`.
    pub fn new(
        mut child: Child,
        mut output: impl Read + Send + 'static,
        input: Option<Box<dyn Write + Send>>,
        scratch: Scratch,
        outcome_by_lines: bool,
    ) -> Self {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(size @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..size].to_vec()).is_err() {
                    break;
                }
            }
        });
        let errors = child.stderr.take().map(|mut pipe| {
            thread::spawn(move || {
                let mut text = Vec::new();
                let _ = pipe.read_to_end(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        Self {
            child,
            output: receiver,
            errors,
            input,
            outcome_by_lines,
            by_line: None,
            line: Vec::new(),
            started: Instant::now(),
            _scratch: scratch,
        }
    }

    /// The way to the serial port's receiver, once.
    pub fn take_input(&mut self) -> Option<Box<dyn Write + Send>> {
        self.input.take()
    }

    /// Shows the console's bytes to `see` until the machine ends, `see` has had enough,
    /// or `limit` after the start has passed.
    pub fn watch(
        &mut self,
        limit: Option<Duration>,
        see: &mut dyn FnMut(&[u8]) -> Result<Watch>,
    ) -> Result<Outcome> {
        loop {
            if let Some(outcome) = self.watch_for(Duration::from_secs(60), limit, see)? {
                return Ok(outcome);
            }
        }
    }

    /// As [`Self::watch`], but comes back with nothing after `pause` in any case.
    pub fn watch_for(
        &mut self,
        pause: Duration,
        limit: Option<Duration>,
        see: &mut dyn FnMut(&[u8]) -> Result<Watch>,
    ) -> Result<Option<Outcome>> {
        let back = Instant::now() + pause;
        let mut deadline = limit.map(|limit| self.started + limit);
        loop {
            if let Some((_, said)) = &self.by_line {
                deadline = Some(*said + LAST_WORDS);
            }
            let until = deadline.map_or(back, |deadline| deadline.min(back));
            match self.output.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(bytes) => {
                    let watch = see(&bytes)?;
                    if self.outcome_by_lines && self.by_line.is_none() {
                        self.by_line = self.outcome_in(&bytes).map(|seen| (seen, Instant::now()));
                    }
                    let ended =
                        matches!(self.by_line, Some((Outcome::Shutdown(_) | Outcome::Quit, _)));
                    if ended || watch == Watch::Enough {
                        return Ok(Some(self.stop(Outcome::Stopped)));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        return Ok(Some(self.stop(Outcome::TimedOut)));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return self.end().map(Some),
            }
            if Instant::now() >= back {
                return Ok(None);
            }
        }
    }

    /// Kills the machine; the outcome is what its lines told, or else `outcome`.
    fn stop(&mut self, outcome: Outcome) -> Outcome {
        self.kill();
        self.by_line.take().map_or(outcome, |(seen, _)| seen)
    }

    /// The outcome that the console's lines tell, fed piece by piece.
    fn outcome_in(&mut self, bytes: &[u8]) -> Option<Outcome> {
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            if let Some(outcome) = Outcome::from_line(&String::from_utf8_lossy(&line)) {
                return Some(outcome);
            }
        }
        None
    }

    /// After the serial port closed: the emulator is about to end.
    fn end(&mut self) -> Result<Outcome> {
        let status = self.child.wait()?;
        let errors = self.errors.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        if let Some((outcome, _)) = self.by_line.take() {
            return Ok(outcome);
        }
        let outcome = match (status.code(), status.signal()) {
            (Some(code), _) if !self.outcome_by_lines => Outcome::from_qemu(code),
            (Some(code), _) => Outcome::Failed(format!("Bochs ended with status {code}")),
            (None, Some(signal)) => {
                Outcome::Failed(format!("the emulator was killed (signal {signal})"))
            }
            (None, None) => Outcome::Failed(format!("the emulator ended with {status}")),
        };
        Ok(match outcome {
            Outcome::Failed(why) if !errors.trim().is_empty() => {
                let lines: Vec<_> = errors.trim().lines().collect();
                let last = &lines[lines.len().saturating_sub(8)..];
                Outcome::Failed(format!("{why}:\n{}", last.join("\n")))
            }
            other => other,
        })
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.kill();
    }
}

//! Tests that boot: micro-guests, transcripts of the default guest, and discs.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Group;
use super::manifest::Entry;
use super::runner::{Ended, Test};
use super::transcripts::Expected;
use crate::build;
use crate::busybox;
use crate::emulator::{Emulator, Machine, Watch};
use crate::outcome::{Outcome, Reason};
use crate::run::{DOMAIN_0_MIB, Kind};
use crate::scratch::Scratch;
use crate::toolchain::Toolchain;
use crate::transcript::{self, Lines, Transcript};
use crate::verdict::{Judge, Verdict, is_expected};
use crate::workspace::Workspace;
use crate::{iso, qemu};

/// Where Debian and others put UEFI firmware for QEMU in one file.
const FIRMWARE: [&str; 3] = [
    "/usr/share/ovmf/OVMF.fd",
    "/usr/share/edk2/ovmf/OVMF_CODE.fd",
    "/usr/share/edk2/x64/OVMF.4m.fd",
];
/// Bochs is slower by about this factor.
const BOCHS_PATIENCE: u32 = 3;

/// What boots, built at most once.
pub struct Builds<'a> {
    ws: &'a Workspace,
    toolchain: &'a Toolchain,
    done: Mutex<[Option<Result<(), String>>; 3]>,
}

impl<'a> Builds<'a> {
    /// Nothing is built yet.
    pub fn new(ws: &'a Workspace, toolchain: &'a Toolchain) -> Self {
        Self { ws, toolchain, done: Mutex::new([None, None, None]) }
    }

    /// Builds a part on first use; a failure is told to everyone who needs it.
    pub fn need(&self, part: build::Part) -> Result<(), String> {
        let mut done = self.done.lock().map_err(|_| "the build panicked".to_string())?;
        let slot = &mut done[part as usize];
        if slot.is_none() {
            let (ws, toolchain) = (self.ws, self.toolchain);
            let built = match part {
                build::Part::Hypervisor => build::hypervisor(ws, toolchain).map(|_| ()),
                build::Part::Guest => build::guest(ws, toolchain),
                build::Part::MicroGuests => build::micro_guests(ws, toolchain).map(|_| ()),
            };
            *slot = Some(built.map_err(|error| format!("{error:#}")));
        }
        slot.clone().unwrap_or(Ok(()))
    }

    /// Builds a program of the host's; where it is.
    pub fn program(&self, package: &str) -> Result<PathBuf> {
        let mut command = self.toolchain.cargo();
        command.current_dir(self.ws.root()).args(["build", "--quiet", "--package", package]);
        let output = command.arg("--target-dir").arg(self.ws.target()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(self.ws.target().join("debug").join(package))
    }

    /// The default guest's kernel, and its ramdisk.
    pub fn guest(&self) -> [PathBuf; 2] {
        [self.ws.guest_kernel(), self.ws.initrd()]
    }

    /// The test that a part builds at all.
    pub fn test<'b>(&'b self, name: &str, part: build::Part) -> Test<'b> {
        Test::new(Group::Build, name, move || match self.need(part) {
            Ok(()) => Ended::passed(),
            Err(why) => Ended::failed(why),
        })
    }
}

/// A micro-guest in an emulator, on a machine with `cpus` CPUs.
pub fn micro_guest<'a>(
    builds: &'a Builds<'a>,
    guest: &str,
    entry: &Entry,
    kind: Kind,
    cpus: u32,
) -> Test<'a> {
    let (guest, entry) = (guest.to_string(), entry.clone());
    let (group, name) = match (kind, cpus) {
        (Kind::Bochs, _) => (Group::Bochs, guest.clone()),
        (Kind::Qemu, 1) => (Group::Guests, format!("{guest}-1-cpu")),
        (Kind::Qemu, _) => (Group::Guests, guest.clone()),
    };
    Test::new(group, &name, move || {
        for part in [build::Part::Hypervisor, build::Part::MicroGuests] {
            if builds.need(part).is_err() {
                return Ended::failed("not run: the build failed".into());
            }
        }
        let mut arguments = entry.hypervisor_args.clone();
        if let Some(vcpus) = entry.vcpus {
            arguments.push_str(&format!(" dom0_max_vcpus={vcpus}"));
        }
        let machine = Machine {
            hypervisor: builds.ws.image(),
            hypervisor_args: format!("console=com1 debug-exit {arguments}").trim_end().into(),
            kernel: builds.ws.guests_dir().join(&guest),
            kernel_args: entry.append.clone(),
            initrd: None,
            memory_mib: entry.memory_mib,
            cpus,
            devices: entry.devices.clone(),
            disks: Vec::new(),
            icount: None,
            gdb: false,
            memory_file: None,
            console: None,
            network: None,
        };
        let ended = judge(kind.start(&machine), patience(entry.timeout, kind), &entry.expect);
        ended.with_names_from(&builds.ws.micro_guest_elf(&guest))
    })
    .parallel()
}

fn patience(timeout: Duration, kind: Kind) -> Duration {
    if kind == Kind::Bochs { timeout * BOCHS_PATIENCE } else { timeout }
}

fn judge(emulator: Result<Emulator>, timeout: Duration, expect: &str) -> Ended {
    let (mut lines, mut judge) = (Lines::default(), Judge::default());
    let watched = emulator.and_then(|mut emulator| {
        emulator.watch(Some(timeout), &mut |bytes| {
            lines.feed(bytes, |line| judge.line(line));
            Ok(Watch::On)
        })
    });
    lines.finish(|line| judge.line(line));
    let outcome = match watched {
        Ok(outcome) => outcome,
        Err(error) => return Ended::failed(format!("{error:#}")),
    };
    match judge.verdict(&outcome) {
        verdict if is_expected(&verdict, expect, &outcome) => Ended::passed(),
        Verdict::Skip(why) => Ended::skipped(why),
        verdict => {
            Ended::failed(format!("expected {expect}, got {verdict}")).with_log(&lines.tail())
        }
    }
}

/// A transcript of the default guest in an emulator.
pub fn shell<'a>(builds: &'a Builds<'a>, expected: Expected, kind: Kind) -> Test<'a> {
    let group = if kind == Kind::Bochs { Group::Bochs } else { Group::Shell };
    let name = format!("shell-{}", expected.name);
    let commands = expected.commands.clone();
    transcript(builds, group, &name, expected, kind, move |ws| machine(ws, &commands, kind))
}

/// A transcript of domain 0's shell on a machine with memory for other domains.
pub fn domains<'a>(builds: &'a Builds<'a>, expected: Expected) -> Test<'a> {
    let name = format!("domains-{}", expected.name);
    let commands = expected.commands.clone();
    transcript(builds, Group::Shell, &name, expected, Kind::Qemu, move |_| {
        with_domains(builds, &commands)
    })
}

/// Domain 0's shell with memory for other domains, and what to make them of.
pub fn with_domains(builds: &Builds<'_>, commands: &str) -> Machine {
    Machine {
        hypervisor_args: format!("console=com1 debug-exit dom0_mem={DOMAIN_0_MIB}M"),
        initrd: Some(builds.ws.domain_0_initrd()),
        ..machine(builds.ws, commands, Kind::Qemu)
    }
}

fn transcript<'a>(
    builds: &'a Builds<'a>,
    group: Group,
    name: &str,
    expected: Expected,
    kind: Kind,
    machine: impl Fn(&Workspace) -> Machine + Send + Sync + 'a,
) -> Test<'a> {
    Test::new(group, name, move || {
        if let Err(ended) = default_guest(builds) {
            return ended;
        }
        if expected.needs_busybox()
            && let Err(error) = busybox::obtain(builds.ws)
        {
            return Ended::skipped(format!("no busybox: {error:#}"));
        }
        let timeout = patience(Duration::from_secs(60), kind);
        let ended = hold(kind.start(&machine(builds.ws)), timeout, &expected);
        ended.with_names_from(&builds.ws.guest_kernel_elf())
    })
    .parallel()
}

/// Builds what the default guest needs; how the test ends if that fails.
pub fn default_guest(builds: &Builds<'_>) -> Result<(), Ended> {
    for part in [build::Part::Hypervisor, build::Part::Guest] {
        builds.need(part).map_err(|_| Ended::failed("not run: the build failed".into()))?;
    }
    Ok(())
}

/// The default guest at its own shell, without other domains.
pub fn at_its_shell(builds: &Builds<'_>) -> Machine {
    Machine {
        hypervisor_args: format!("console=com1 debug-exit dom0_mem={DOMAIN_0_MIB}M"),
        kernel_args: "nodomains".into(),
        ..machine(builds.ws, "", Kind::Qemu)
    }
}

fn machine(ws: &Workspace, commands: &str, kind: Kind) -> Machine {
    Machine {
        kernel_args: transcript::exec_word(commands),
        cpus: if kind == Kind::Bochs { 1 } else { 2 },
        ..Machine::of(ws)
    }
}

/// Whether a guest's shell says what is expected, and powers off.
pub fn hold(emulator: Result<Emulator>, timeout: Duration, expected: &Expected) -> Ended {
    let mut seen = Transcript::default();
    let mut out = Vec::new();
    let watched = emulator.and_then(|mut emulator| {
        emulator.watch(Some(timeout), &mut |bytes| {
            seen.feed(bytes, &mut out, &mut std::io::sink())?;
            Ok(Watch::On)
        })
    });
    let outcome = match watched {
        Ok(outcome) => outcome,
        Err(error) => return Ended::failed(format!("{error:#}")),
    };
    if outcome != Outcome::Shutdown(Reason::Poweroff) {
        return Ended::failed(outcome.describe()).with_log(&seen.tail());
    }
    if let Some(difference) = expected.difference(&String::from_utf8_lossy(&out)) {
        return Ended::failed(difference);
    }
    match seen.state() {
        Some(state) if state == expected.state => Ended::passed(),
        Some(state) => Ended::failed(format!("exit state {state}, expected {}", expected.state)),
        None => Ended::failed("the guest told no exit state".into()).with_log(&seen.tail()),
    }
}

/// The GRUB disc, booted by a firmware: `None` is SeaBIOS.
pub fn disc<'a>(builds: &'a Builds<'a>, name: &str, uefi: bool) -> Test<'a> {
    let title = name.to_string();
    Test::new(Group::Disc, name, move || {
        if let Err(ended) = default_guest(builds) {
            return ended;
        }
        let firmware = FIRMWARE.iter().map(PathBuf::from).find(|path| path.exists());
        if uefi && firmware.is_none() {
            return Ended::failed("no UEFI firmware (Debian's package ovmf)".into());
        }
        let commands = "cat /etc/motd";
        let booted = Scratch::new().and_then(|scratch| {
            let disc = scratch.path().join("ferrule.iso");
            iso::write(&disc, &machine(builds.ws, commands, Kind::Qemu), 0)?;
            let firmware = firmware.as_deref().filter(|_| uefi);
            // The disc is open, so its folder may go.
            qemu::start_disc(&disc, firmware, 512, 2).map(|emulator| (emulator, scratch))
        });
        let expected = Expected::any(&title, commands);
        match booted {
            Ok((emulator, _scratch)) => hold(Ok(emulator), Duration::from_secs(120), &expected),
            Err(error) => Ended::failed(format!("{error:#}")),
        }
    })
}

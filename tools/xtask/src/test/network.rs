//! The test of a network among domains, and of what goes wrong with it under load.
//!
//! Domain 0 has a bridge and no card. On it are a server, which sends a file some times over to
//! whoever connects, and a client, which sums what it gets: Debian's `nc` and `md5sum`. While that goes on,
//! back ends crash (which what is connecting survives, too), the server's interface is pulled and
//! plugged in again, and either is destroyed. The bytes that come are the right ones all the same, the
//! others go on, and nothing is left of domains that are gone.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Group;
use super::boot::{self, Builds};
use super::runner::{Ended, Test};
use crate::emulator::Machine;
use crate::shell::{PROMPT, Shell};
use crate::workspace::Workspace;
use crate::{busybox, qemu};

/// How long the machine may take altogether.
const PATIENCE: Duration = Duration::from_secs(300);
/// How many times the file is sent.
const TIMES: usize = 4;
/// What is fetched while nothing goes wrong has at least so many bytes.
const MUCH: usize = 64 << 20;
const FILE: &str = "/bin/busybox";
/// Connections that are made while back ends crash, as often as this; bytes that are taken of each.
const CONNECTIONS: usize = 100;
const CRASHES: usize = 20;
const BEGINNING: usize = 4;

/// The test.
pub fn test<'a>(builds: &'a Builds<'a>) -> Test<'a> {
    Test::new(Group::Run, "run-network", move || {
        if let Err(ended) = boot::default_guest(builds) {
            return ended;
        }
        let ws = Workspace::here();
        if let Err(error) = busybox::obtain(&ws) {
            return Ended::skipped(format!("no busybox: {error:#}"));
        }
        let machine = Machine { initrd: Some(ws.domain_0_initrd()), ..boot::at_its_shell(builds) };
        let mut seen = Vec::new();
        match use_network(&ws, &machine, &mut seen) {
            Ok(()) => Ended::passed(),
            Err(error) => {
                let log: Vec<_> =
                    String::from_utf8_lossy(&seen).lines().map(str::to_string).collect();
                Ended::failed(format!("{error:#}")).with_log(&log)
            }
        }
    })
    .parallel()
}

/// Who is on the bridge, by the last number of the address.
#[derive(Clone, Copy)]
enum Host {
    Server = 2,
    Client = 3,
}

impl Host {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }

    fn vif(self) -> String {
        format!("mac=00:16:3e:00:00:0{}", self as u8)
    }

    /// Has domain 0 make it.
    fn make(self, shell: &mut Shell<'_>) -> Result<()> {
        let start = match self {
            Self::Server => {
                let files = format!("%20{FILE}").repeat(TIMES);
                format!(" start=busybox%20nc%20-ll%20-p%209000%20-e%20/bin/cat{files}")
            }
            Self::Client => String::new(),
        };
        shell.type_line(&format!(
            "xl create /etc/xen/auto/shell.cfg 'name=\"{}\"' 'vif=[\"{}\"]' 'extra=\"ip=10.0.0.{}/24{start}\"'",
            self.name(),
            self.vif(),
            self as u8,
        ))?;
        shell.wait_for("Parsing config")?;
        shell.wait_for(PROMPT)
    }
}

/// What fetches all that the server sends, and sums it.
const FETCH: &str = "nc 10.0.0.2 9000 < /dev/null | md5sum";

/// What connects so many times, and sums the beginnings of what comes.
fn connect(times: usize) -> String {
    format!(
        "for n in $(seq {times}); do nc 10.0.0.2 9000 < /dev/null | head -c {BEGINNING}; done | md5sum"
    )
}

/// The same as [`FETCH`] so many times, with one sum of all.
fn fetch_all(times: usize) -> String {
    format!("for n in $(seq {times}); do nc 10.0.0.2 9000 < /dev/null; done | md5sum")
}

fn use_network(ws: &Workspace, machine: &Machine, seen: &mut Vec<u8>) -> Result<()> {
    let sent = fs::read(busybox::obtain(ws)?)?.repeat(TIMES);
    let fetches = MUCH.div_ceil(sent.len());
    let (sum, sum_of_all) = (sum_of(&sent)?, sum_of(&sent.repeat(fetches))?);
    let mut shell = Shell::new(qemu::start(machine)?, PATIENCE, seen)?;
    let shell = &mut shell;
    shell.wait_for(PROMPT)?;
    shell.say("ifconfig 10.0.0.1/24", PROMPT)?;
    // What is taken once and kept is taken first.
    make_both(shell)?;
    for name in ["server", "client"] {
        destroy(shell, name)?;
    }
    shell.say("holdings keep", PROMPT)?;

    make_both(shell)?;
    at_client(shell, |shell| {
        shell.say("holdings keep", PROMPT)?;
        shell.say("ping 10.0.0.2 1", "10.0.0.2 answers 1 ")?;
        // Too long a line to be echoed in one piece.
        shell.type_line(&format!("busybox sh -c \"{}\"", fetch_all(fetches)))?;
        shell.wait_for(&sum_of_all)
    })?;
    // Back ends of either crash in turn: domains 1 and 2 are gone.
    let crash = |shell: &mut Shell<'_>, times| {
        for path in ["backend/vif/3/0", "backend/vif/4/0"].iter().cycle().take(times) {
            shell.say(&format!("devices restart {path}"), PROMPT)?;
        }
        Ok(())
    };
    while_fetching(shell, (FETCH, &sum), |shell| crash(shell, 3))?;
    let beginnings = sum_of(&sent[..BEGINNING].repeat(CONNECTIONS))?;
    let connect = connect(CONNECTIONS);
    while_fetching(shell, (&connect, &beginnings), |shell| crash(shell, CRASHES))?;
    while_fetching(shell, (FETCH, &sum), |shell| {
        shell.say("xl network-detach server 0", PROMPT)?;
        shell.say(&format!("xl network-attach server {}", Host::Server.vif()), PROMPT)
    })?;
    at_client(shell, |shell| shell.say("holdings compare", "nothing is left: "))?;
    // One end goes, and then the other.
    at_client(shell, |shell| shell.say(&format!("busybox sh -c \"{FETCH}\" &"), "started"))?;
    destroy(shell, "client")?;
    shell.say(&format!("busybox sh -c \"{FETCH}\""), &sum)?;
    shell.say("busybox sh -c \"timeout 2 nc 10.0.0.2 9000 > /dev/null\" &", "started")?;
    destroy(shell, "server")?;
    shell.say("wait", PROMPT)?;
    shell.say("holdings compare", "nothing is left: ")?;
    shell.finish("poweroff")
}

/// Makes server and client, and waits until either answers.
fn make_both(shell: &mut Shell<'_>) -> Result<()> {
    Host::Server.make(shell)?;
    Host::Client.make(shell)?;
    shell.type_line("busybox sh -c \"until nc -w 1 10.0.0.2 9000 < /dev/null | head -c 4 | grep -q ELF; do :; done; until ping -c 1 -W 1 10.0.0.3; do :; done\"")?;
    shell.wait_for("1 packets received")?;
    shell.wait_for(PROMPT)
}

fn destroy(shell: &mut Shell<'_>, name: &str) -> Result<()> {
    shell.say(&format!("xl destroy {name}"), PROMPT).map(drop)
}

/// Does something at the client's console.
fn at_client<T>(
    shell: &mut Shell<'_>,
    act: impl FnOnce(&mut Shell<'_>) -> Result<T>,
) -> Result<()> {
    shell.say("xl console client", "\n")?;
    // Whatever it said before: it says this now.
    shell.type_line("echo x y")?;
    shell.wait_for("\nx y")?;
    act(shell)?;
    // First the client's, and then domain 0's.
    shell.wait_for(PROMPT)?;
    shell.leave_console()
}

/// Has the client fetch by a command, and domain 0 do something meanwhile; the sum must be right.
fn while_fetching<T>(
    shell: &mut Shell<'_>,
    (fetch, sum): (&str, &str),
    act: impl FnOnce(&mut Shell<'_>) -> Result<T>,
) -> Result<()> {
    at_client(shell, |shell| {
        // It may be too long to be echoed in one piece.
        shell.type_line(&format!("busybox sh -c \"{fetch} > /tmp/sum\" &"))?;
        shell.wait_for("started")
    })?;
    act(shell)?;
    at_client(shell, |shell| shell.say("wait; cat /tmp/sum", sum))
}

/// What `md5sum` says of these bytes.
fn sum_of(bytes: &[u8]) -> Result<String> {
    let mut child = Command::new("md5sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("no standard input")?.write_all(bytes)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "md5sum ended with {}", output.status);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(said.split_whitespace().next().unwrap_or_default().into())
}

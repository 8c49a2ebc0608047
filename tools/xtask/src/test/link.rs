//! Tests of the way from the host to domain 0 while it runs: its store, used by others' programs.
//!
//! The clients are Debian's (`xenstore-utils`), pointed at the machine's socket by
//! `XENSTORED_PATH`. What they write is seen at domain 0's shell, and the other way round.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use link::host::Link;
use link::machine::Machines;

use super::Group;
use super::boot::{self, Builds};
use super::runner::{Ended, Test};
use crate::emulator::Machine;
use crate::qemu;
use crate::scratch::Scratch;
use crate::shell::Shell;
use crate::toolchain::program_in_path;

/// How long a machine may take altogether.
const PATIENCE: Duration = Duration::from_secs(120);
/// Programs that use the store at the same time.
const CLIENTS: usize = 40;

/// Every test of this kind.
pub fn all<'a>(builds: &'a Builds<'a>) -> Vec<Test<'a>> {
    vec![
        Test::new(Group::Run, "link-store", move || {
            if let Err(ended) = boot::default_guest(builds) {
                return ended;
            }
            if program_in_path("xenstore-ls").is_none() {
                return Ended::skipped("no xenstore-ls (Debian's package xenstore-utils)".into());
            }
            store(builds)
        })
        .parallel(),
    ]
}

fn store(builds: &Builds<'_>) -> Ended {
    let mut seen = Vec::new();
    match use_store(builds, &mut seen) {
        Ok(()) => Ended::passed(),
        Err(error) => {
            let log: Vec<_> = String::from_utf8_lossy(&seen).lines().map(str::to_string).collect();
            Ended::failed(format!("{error:#}")).with_log(&log)
        }
    }
}

fn use_store(builds: &Builds<'_>, seen: &mut Vec<u8>) -> Result<()> {
    let scratch = Scratch::new()?;
    let link = Link::start(Machines::below(scratch.path())?.create(None)?)?;
    let socket = Machines::below(scratch.path())?.only()?.xenstored();
    let console = Some(link.console().clone());
    let machine = Machine { console, ..boot::at_its_shell(builds) };
    let mut shell = Shell::new(qemu::start(&machine)?, PATIENCE, seen)?;
    shell.wait_for("# ")?;

    let tree = utility(&socket, &["xenstore-ls", "-f"])?;
    for line in ["/tool = ", "/local/domain/0/name = \"Domain-0\"", "/local/domain/0/domid = \"0\""]
    {
        ensure!(tree.contains(line), "xenstore-ls has no {line:?} in\n{tree}");
    }
    // From the host to domain 0's shell, and back.
    utility(&socket, &["xenstore-write", "/tool/test", "from the host"])?;
    shell.say("xenstore read /tool/test", "\nfrom the host\r\n")?;
    shell.say("xenstore write /tool/test here", "# ")?;
    ensure!(utility(&socket, &["xenstore-read", "/tool/test"])? == "here\n", "a write of domain 0");
    // A watch of the host fires for domain 0: once as it is set, once for the write.
    let (watch, mut told) = watching(&socket, "/tool/watched")?;
    shell.say("xenstore write /tool/watched 1", "# ")?;
    let mut line = String::new();
    told.read_line(&mut line)?;
    ensure!(line == "/tool/watched\n", "a watch told {line:?}");
    finish(watch)?;
    use_xl(builds, &mut shell, &socket, scratch.path())?;
    // Many at once, and more bytes than fit a ring or a window.
    let value = "x".repeat(2000);
    let clients = (0..CLIENTS)
        .map(|number| {
            let path = format!("/tool/many/{number}");
            start(&socket, &["xenstore-write", &path, &value])
        })
        .collect::<Result<Vec<_>>>()?;
    for client in clients {
        finish(client)?;
    }
    let tree = utility(&socket, &["xenstore-ls", "-f", "/tool/many"])?;
    ensure!(tree.lines().count() == CLIENTS, "not all of the nodes are there:\n{tree}");
    utility(&socket, &["xenstore-rm", "/tool/many"])?;
    ensure!(utility(&socket, &["xenstore-read", "/tool/many"]).is_err(), "it is not removed");
    shell.finish("poweroff")?;
    drop(link);
    ensure!(Machines::below(scratch.path())?.running()?.is_empty(), "the directory is still there");
    Ok(())
}

/// Verbs of the host's xl are carried out in domain 0: a domain is made of files of the host, and
/// talks to the store over its ring.
fn use_xl(builds: &Builds<'_>, shell: &mut Shell<'_>, socket: &Path, folder: &Path) -> Result<()> {
    let xl = builds.program("xl")?.display().to_string();
    let config = folder.join("made.cfg");
    let [kernel, ramdisk] = builds.guest().map(|file| file.display().to_string());
    let text = format!("name = 'made'\nkernel = '{kernel}'\nramdisk = '{ramdisk}'\nmemory = 32\n");
    fs::write(&config, text)?;
    utility(socket, &[&xl, "create", "-p", &config.display().to_string()])?;
    let list = utility(socket, &[&xl, "list"])?;
    for name in ["Domain-0 ", "made "] {
        ensure!(list.lines().any(|line| line.starts_with(name)), "xl list told\n{list}");
    }
    let feature = "/local/domain/1/control/feature-balloon";
    // Once as it is set, once as the domain's kernel says what it can do.
    let (watch, _told) = watching(socket, feature)?;
    utility(socket, &[&xl, "unpause", "made"])?;
    finish(watch)?;
    ensure!(utility(socket, &["xenstore-read", feature])? == "1\n", "the domain's feature");
    if program_in_path("script").is_some() {
        look_at_top(&xl, socket)?;
    }
    update_store(builds, shell, socket)?;
    // It still hears what it is asked for by its watch, and takes it over its ring.
    utility(socket, &[&xl, "shutdown", "-ww", "made"])?;
    ensure!(utility(socket, &["xenstore-read", feature]).is_err(), "its nodes are still there");
    Ok(())
}

/// `xl top` on a terminal that `script` makes, and that is as wide as the table: it stands on a screen of its
/// own, again at a key, until q.
fn look_at_top(xl: &str, socket: &Path) -> Result<()> {
    const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[Hxl top - ";
    const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
    let line = format!("stty rows 12 cols 79; exec '{xl}' top -d 60");
    let mut top = started(socket, &["script", "-qec", &line, "/dev/null"], Stdio::piped())?;
    let mut keys = top.1.stdin.take().context("no standard input")?;
    let mut told = BufReader::new(top.1.stdout.take().context("no standard output")?);
    let mut screen = String::new();
    for key in [b" ", b"q"] {
        let mut table = Vec::new();
        while !String::from_utf8_lossy(&table).contains("made ") {
            ensure!(told.read_until(b'-', &mut table)? > 0, "top ended: {screen}");
        }
        screen.push_str(&String::from_utf8_lossy(&table));
        keys.write_all(key)?;
    }
    told.read_to_string(&mut screen)?;
    finish(top)?;
    let whole = screen.contains(ENTER) && screen.ends_with(LEAVE);
    // Nothing is cleared behind a full line: that would be its last character.
    ensure!(whole && screen.matches("CALLS/s\r").count() == 2, "top: {screen:?}");
    Ok(())
}

/// The store's server is replaced, from domain 0's shell and from the host: nothing is lost.
fn update_store(builds: &Builds<'_>, shell: &mut Shell<'_>, socket: &Path) -> Result<()> {
    const DONE: &str = "xenstored: the server was replaced: ";
    let cli = builds.program("xenstore-cli")?.display().to_string();
    let (watch, _told) = watching(socket, "/tool/kept")?;
    let before = utility(socket, &["xenstore-ls", "-f", "-p"])?;
    shell.say("xenstore control live-update", DONE)?;
    utility(socket, &[&cli, "control", "live-update"])?;
    shell.wait_for(DONE)?;
    let after = utility(socket, &["xenstore-ls", "-f", "-p"])?;
    ensure!(before == after, "an update made of\n{before}\nthis:\n{after}");
    utility(socket, &["xenstore-write", "/tool/kept", "1"])?;
    finish(watch)?;
    // Requests are logged while that is asked for, those of the domain's ring as the host's.
    shell.say("xenstore control log on", "# ")?;
    utility(socket, &["xenstore-read", "/tool/kept"])?;
    shell.wait_for("(d0): XS_READ \"/tool/kept\\x00\"")?;
    shell.say("xenstore control log off", "# ")?;
    Ok(())
}

/// Sets a watch that ends with its second event; the first, which says that it is set, has come.
fn watching(socket: &Path, path: &str) -> Result<(Started, BufReader<ChildStdout>)> {
    let mut watch = start(socket, &["xenstore-watch", "-n", "2", path])?;
    let mut told = BufReader::new(watch.1.stdout.take().context("no standard output")?);
    let mut line = String::new();
    told.read_line(&mut line)?;
    ensure!(line.trim_end() == path, "a watch of {path} began with {line:?}");
    Ok((watch, told))
}

/// Runs a program that uses the machine; what it printed.
fn utility(socket: &Path, words: &[&str]) -> Result<String> {
    finish(start(socket, words)?)
}

/// What it was asked to do, and the program.
type Started = (String, Child);

fn start(socket: &Path, words: &[&str]) -> Result<Started> {
    started(socket, words, Stdio::null())
}

fn started(socket: &Path, words: &[&str], input: Stdio) -> Result<Started> {
    // A client that hangs ends by itself.
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.as_secs().to_string()).args(words).env("XENSTORED_PATH", socket);
    command.env("FERRULE_MACHINE", socket.parent().context("a socket is in a directory")?);
    command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().with_context(|| format!("cannot start {}", words[0]))?;
    Ok((words.join(" "), child))
}

fn finish((what, child): Started) -> Result<String> {
    let Output { status, stdout, stderr } = child.wait_with_output()?;
    if !status.success() {
        bail!("{what}: {status}: {}", String::from_utf8_lossy(&stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

//! The test of what a person sees: a page of the default domain's web server, by `curl` on this host.
//!
//! The whole way is in it: domain 0 makes the domain, gives it a disk with its root, and bridges its
//! network interface to the card; the domain gets an address by DHCP, and Debian's `httpd` runs a
//! program for each page. Connections come by the thousand, several at a time, while the back end
//! of the interface crashes now and then. What is written at the domain's console is a page, too, and
//! still there when the machine was powered off: `e2fsck` must find the disk in order.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::boot::{Builds, default_guest};
use super::runner::{Ended, Test};
use super::{Group, volumes};
use crate::busybox;
use crate::scratch::Scratch;
use crate::shell;
use crate::toolchain::program_in_path;
use crate::workspace::Workspace;

/// How long the first page may take, from the start of the machine.
const PATIENCE: Duration = Duration::from_secs(150);
/// Between two tries for a page: each fails at once until the domain listens.
const BETWEEN: Duration = Duration::from_millis(500);
/// Connections for pages that a program makes, and for a file.
const PAGES: usize = 200;
const FILES: usize = 1800;
/// Seconds that all of them may take, on a machine that does other things, too.
const LIMIT_S: &str = "200";
/// What the page says.
const ANSWER: [&str; 2] = ["<h1>Domain web answers</h1>", "Its root is /dev/xvda (ext2)."];
/// What is written at the domain's console.
const KEPT: &str = "written-at-the-console";
/// The back end of the domain's interface, and how often it crashes.
const BACK_END: &str = "backend/vif/2/0";
const CRASHES: usize = 5;
/// Between two crashes: while connections go on.
const LULL: Duration = Duration::from_secs(1);

/// The test.
pub fn test<'a>(builds: &'a Builds<'a>) -> Test<'a> {
    Test::new(Group::Run, "run-web", move || {
        if let Err(ended) = default_guest(builds) {
            return ended;
        }
        if program_in_path("curl").is_none() {
            return Ended::skipped("no program `curl` to ask for a page".into());
        }
        let ws = Workspace::here();
        if let Err(error) = busybox::obtain(&ws) {
            return Ended::skipped(format!("no busybox: {error:#}"));
        }
        Ended::of(serve(&ws).map(|()| String::new()))
    })
}

fn serve(ws: &Workspace) -> Result<()> {
    let scratch = Scratch::new()?;
    let (disk, log) = (scratch.path().join("disk"), scratch.path().join("log"));
    fs::copy(ws.web_disk(), &disk).context("the build made no disk for the domain")?;
    let mut machine = Machine::start(&disk, &log)?;
    let served = use_it(&mut machine).with_context(|| {
        let said = fs::read_to_string(&log).unwrap_or_default();
        format!("domain 0's console ends with\n{}\n", shell::end(&said))
    });
    drop(machine);
    served?;
    volumes::check_order(&disk)?;
    let kept = volumes::file(&disk, "/www/kept")?;
    ensure!(kept == format!("{KEPT}\n").into_bytes(), "what was written is not on the disk");
    Ok(())
}

fn use_it(machine: &mut Machine) -> Result<()> {
    let page = machine.wait_for_page("")?;
    ensure!(ANSWER.iter().all(|text| page.contains(text)), "the page says: {page}");
    // The first domain is `shell`.
    machine.type_line("xl console web")?;
    machine.type_line(&format!("busybox sh -c \"echo {KEPT} > /www/kept\""))?;
    let kept = machine.wait_for_page("kept")?;
    ensure!(kept.trim() == KEPT, "the file says: {kept}");
    machine.type_keys("\x1d")?;
    machine.pages("?", PAGES, ANSWER[0])?.finish()?;
    let files = machine.pages("kept?", FILES, KEPT)?;
    for _ in 0..CRASHES {
        thread::sleep(LULL);
        machine.type_line(&format!("devices restart {BACK_END}"))?;
    }
    files.finish()?;
    machine.type_line("poweroff")?;
    let ended = machine.child.wait()?;
    ensure!(ended.success(), "the machine ended with {ended}");
    Ok(())
}

/// A machine with the default domains, which ends with the test.
struct Machine {
    child: Child,
    url: String,
}

impl Machine {
    /// With a disk for the root of `web`, and a file for what domain 0's console says.
    fn start(disk: &Path, log: &Path) -> Result<Self> {
        // Nobody else takes it in the moment between.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let timeout = PATIENCE.as_secs() * 4;
        let child = Command::new(std::env::current_exe()?)
            .args(["run", "--net", "user", "--forward", &format!("{port}:80")])
            .args(["--timeout", &timeout.to_string()])
            .args(["--disk", &format!("{},serial=web", disk.display())])
            .stdin(Stdio::piped())
            .stdout(File::create(log)?)
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, url: format!("http://127.0.0.1:{port}/") })
    }

    /// A page, once there is one.
    fn wait_for_page(&self, name: &str) -> Result<String> {
        let begun = Instant::now();
        loop {
            let output = Command::new("curl")
                .args(["--silent", "--fail", "--max-time", "10", &format!("{}{name}", self.url)])
                .output()?;
            if output.status.success() {
                return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            if begun.elapsed() > PATIENCE {
                bail!("no page /{name}: curl ended with {}", output.status);
            }
            thread::sleep(BETWEEN);
        }
    }

    /// Begins to ask for so many pages, eight at a time, of which each is to have `text` in it.
    fn pages(&self, name: &str, count: usize, text: &'static str) -> Result<Pages> {
        // curl makes a connection for each page, since httpd ends each.
        let curl = Command::new("curl")
            .args(["--no-progress-meter", "--fail", "--max-time", LIMIT_S])
            .args(["--parallel", "--parallel-max", "8"])
            .arg(format!("{}{name}[1-{count}]", self.url))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Pages { curl, count, text })
    }

    /// Types a line at domain 0's console.
    fn type_line(&mut self, line: &str) -> Result<()> {
        self.type_keys(&format!("{line}\r"))
    }

    fn type_keys(&mut self, keys: &str) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("no standard input")?;
        stdin.write_all(keys.as_bytes()).context("the machine ended")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pages that were asked for.
struct Pages {
    curl: Child,
    count: usize,
    text: &'static str,
}

impl Pages {
    /// Waits for all.
    fn finish(self) -> Result<()> {
        let output = self.curl.wait_with_output()?;
        let got = String::from_utf8_lossy(&output.stdout).matches(self.text).count();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let said: Vec<_> = said.lines().take(20).collect();
        ensure!(got == self.count, "{got} pages of {}\n{}", self.count, said.join("\n"));
        Ok(())
    }
}

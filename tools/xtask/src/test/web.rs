//! The test of what a person sees: a page of the default domain's web server, by `curl` on this host.
//!
//! The whole way is in it: domain 0 makes the domain, bridges its network interface to the card, the
//! domain gets an address by DHCP, and Debian's `httpd` runs a program for each page. Then come
//! connections by the hundred, several at a time.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Group;
use super::boot::{Builds, default_guest};
use super::runner::{Ended, Test};
use crate::busybox;
use crate::toolchain::program_in_path;
use crate::workspace::Workspace;

/// How long the first page may take, from the start of the machine.
const PATIENCE: Duration = Duration::from_secs(150);
/// Between two tries for the first page: each fails at once until the domain listens.
const BETWEEN: Duration = Duration::from_millis(500);
/// Connections after the first.
const CONNECTIONS: usize = 200;
/// What the page says.
const ANSWER: &str = "<h1>Domain web answers</h1>";

/// The test.
pub fn test<'a>(builds: &'a Builds<'a>) -> Test<'a> {
    Test::new(Group::Run, "run-web", move || {
        if let Err(ended) = default_guest(builds) {
            return ended;
        }
        if program_in_path("curl").is_none() {
            return Ended::skipped("no program `curl` to ask for a page".into());
        }
        if let Err(error) = busybox::obtain(&Workspace::here()) {
            return Ended::skipped(format!("no busybox: {error:#}"));
        }
        pages().unwrap_or_else(|error| Ended::failed(format!("{error:#}")))
    })
}

/// The machine, which ends with the test.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pages() -> Result<Ended> {
    // Nobody else takes it in the moment between.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let timeout = PATIENCE.as_secs() * 2;
    let child = Command::new(std::env::current_exe()?)
        .args(["run", "--net", "user", "--forward", &format!("{port}:80")])
        .args(["--timeout", &timeout.to_string()])
        // Open as long as the machine is to run.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let _machine = Machine(child);
    let url = format!("http://127.0.0.1:{port}/");
    let begun = Instant::now();
    let page = loop {
        let output = Command::new("curl").args(["--silent", "--max-time", "10", &url]).output()?;
        if output.status.success() {
            break String::from_utf8_lossy(&output.stdout).into_owned();
        }
        if begun.elapsed() > PATIENCE {
            return Ok(Ended::failed(format!("no page: curl ended with {}", output.status)));
        }
        thread::sleep(BETWEEN);
    };
    if !page.contains(ANSWER) {
        return Ok(Ended::failed(format!("the page says: {page}")));
    }
    // curl makes a connection for each page, since httpd ends each.
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--max-time", "100"])
        .args(["--parallel", "--parallel-max", "8", &format!("{url}?[1-{CONNECTIONS}]")])
        .output()?;
    let got = String::from_utf8_lossy(&output.stdout).matches(ANSWER).count();
    Ok(if got == CONNECTIONS {
        Ended::passed()
    } else {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let log: Vec<_> = said.lines().take(20).map(str::to_string).collect();
        Ended::failed(format!("{got} pages of {CONNECTIONS}")).with_log(&log)
    })
}

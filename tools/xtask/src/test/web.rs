//! The test of what a person sees: a page of the default domain's web server, by `curl` on this host.
//!
//! The whole way is in it: domain 0 makes the domain, gives it a disk with its root, and bridges its
//! network interface to the card; the domain gets an address by DHCP, and Debian's `httpd` runs a
//! program for each page. Connections come by the thousand, several at a time; while others carry
//! megabytes, the back end of the interface crashes now and then. What is written at the domain's
//! console is a page, too, and still there when the machine was powered off: `e2fsck` must find the
//! disk in order.
//!
//! No connection is made while the back end crashes: that loses frames, which the ends send again, and
//! when QEMU's user network (libslirp 4.7) gets a SYN-ACK twice it forgets what it has sent since, and
//! the domain waits for it in vain. Connections between domains do not go that way; they are made
//! during crashes in [`network`](super::network).

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
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
/// The back end of the domain's interface, and how often it crashes while so many streams come.
const BACK_END: &str = "backend/vif/2/0";
const CRASHES: usize = 5;
const STREAMS: usize = 8;
/// What each of them carries: the numbers up to here, a line each.
const LAST: usize = 400_000;
/// How long nothing may come of a stream.
const SILENCE: Duration = Duration::from_secs(60);

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
    machine.type_line(&format!("busybox sh -c \"seq {LAST} > /www/lines\""))?;
    machine.type_line(&format!("busybox sh -c \"echo {KEPT} > /www/kept\""))?;
    let kept = machine.wait_for_page("kept")?;
    ensure!(kept.trim() == KEPT, "the file says: {kept}");
    machine.type_keys("\x1d")?;
    machine.pages("?", PAGES, ANSWER[0])?.finish()?;
    machine.pages("kept?", FILES, KEPT)?.finish()?;
    machine.crash_while_streaming()?;
    machine.type_line("poweroff")?;
    let ended = machine.child.wait()?;
    ensure!(ended.success(), "the machine ended with {ended}");
    Ok(())
}

/// A machine with the default domains, which ends with the test.
struct Machine {
    child: Child,
    port: u16,
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
        Ok(Self { child, port })
    }

    fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }

    /// A page, once there is one.
    fn wait_for_page(&self, name: &str) -> Result<String> {
        let begun = Instant::now();
        loop {
            let output = Command::new("curl")
                .args(["--silent", "--fail", "--max-time", "10", &self.url(name)])
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
            .arg(self.url(&format!("{name}[1-{count}]")))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Pages { curl, count, text })
    }

    /// Has the back end crash whenever a further part of all streams has come. Each must be whole.
    fn crash_while_streaming(&mut self) -> Result<()> {
        let lines: String = (1..=LAST).map(|number| format!("{number}\n")).collect();
        let progress = Arc::new(AtomicUsize::new(0));
        let streams: Vec<_> = (0..STREAMS)
            .map(|_| Stream::begin(self.port, Arc::clone(&progress)))
            .collect::<Result<_>>()?;
        let streams: Vec<_> = streams.into_iter().map(Stream::read).collect();
        for crash in 1..=CRASHES {
            let wanted = STREAMS * lines.len() / (CRASHES + 1) * crash;
            // A stream that has failed, too, is at its end.
            while progress.load(Ordering::Relaxed) < wanted
                && !streams.iter().all(JoinHandle::is_finished)
            {
                thread::sleep(Duration::from_millis(1));
            }
            self.type_line(&format!("devices restart {BACK_END}"))?;
        }
        for stream in streams {
            let received = stream.join().expect("a thread that only reads")?;
            let body = received.split_once("\r\n\r\n").context("no header came")?.1;
            ensure!(body == lines, "{} bytes came of {}, or others", body.len(), lines.len());
        }
        Ok(())
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

/// A file that comes.
struct Stream {
    socket: TcpStream,
    received: Vec<u8>,
    progress: Arc<AtomicUsize>,
}

impl Stream {
    /// Asks for the lines, and waits until they begin to come.
    fn begin(port: u16, progress: Arc<AtomicUsize>) -> Result<Self> {
        let mut socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(SILENCE))?;
        socket.write_all(b"GET /lines HTTP/1.0\r\n\r\n")?;
        let mut stream = Self { socket, received: Vec::new(), progress };
        stream.next().context("waiting for a stream to begin")?;
        Ok(stream)
    }

    /// Takes what has come: whether there may be more.
    fn next(&mut self) -> Result<bool> {
        let mut bytes = [0; 1 << 16];
        let count = self.socket.read(&mut bytes)?;
        self.received.extend_from_slice(&bytes[..count]);
        self.progress.fetch_add(count, Ordering::Relaxed);
        Ok(count > 0)
    }

    /// Takes the rest, in a thread.
    fn read(mut self) -> JoinHandle<Result<String>> {
        thread::spawn(move || {
            while self.next().with_context(|| format!("after {} bytes", self.received.len()))? {}
            Ok(String::from_utf8(self.received)?)
        })
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

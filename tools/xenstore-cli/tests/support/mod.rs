//! A server in this process for each test, and the two kinds of tools that ask it.

#![allow(dead_code, reason = "each test file uses a part")]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use clap::Parser;
use tempfile::TempDir;
use xenstored::daemon::Daemon;
use xenstored::options::Options;
use xenstored::wakeup::{Handles, Wakeups};

/// A server that ends with the test.
pub struct Server {
    pub socket: PathBuf,
    handles: Option<Handles>,
    thread: Option<JoinHandle<()>>,
    _directory: TempDir,
}

impl Server {
    /// With nothing in its store but what every store begins with.
    pub fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("xs").tempdir().unwrap();
        let socket = directory.path().join("socket");
        let options = Options::parse_from(["xenstored", "--socket", socket.to_str().unwrap()]);
        let (wakeups, handles) = Wakeups::new().unwrap();
        let daemon = Daemon::start(&options).unwrap();
        let thread = thread::spawn(|| daemon.run(wakeups).unwrap());
        Self { socket, handles: Some(handles), thread: Some(thread), _directory: directory }
    }

    /// With nodes: paths and values, escaped.
    pub fn with(nodes: &[(&str, &str)]) -> Self {
        let server = Self::start();
        for (path, value) in nodes {
            let output = run(server.cli(&["write", path, value]));
            assert!(output.status.success(), "{path}: {}", text(&output.stderr));
        }
        server
    }

    /// `xenstore-cli`.
    pub fn cli(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xenstore-cli"));
        command.args(arguments);
        self.lead(command)
    }

    /// A tool of Debian's package xenstore-utils. The packaged programs start without Xen; the
    /// environment variable is all that libxenstore needs.
    pub fn debian(&self, arguments: &[&str]) -> Command {
        let (verb, rest) = arguments.split_first().unwrap();
        let mut command = Command::new(format!("/usr/bin/xenstore-{verb}"));
        command.args(rest);
        self.lead(command)
    }

    fn lead(&self, mut command: Command) -> Command {
        command.env("XENSTORED_PATH", &self.socket).stdin(Stdio::null());
        command
    }

    /// All nodes with values and permissions.
    pub fn dump(&self) -> String {
        text(&run(self.debian(&["ls", "-f", "-p"])).stdout)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handles = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub fn run(mut command: Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

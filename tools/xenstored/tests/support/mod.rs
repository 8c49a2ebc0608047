//! A daemon of its own for each test, and a client that speaks the bare protocol.

#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use xenstore::wire::{Framer, Header, Message, MessageType};

/// Where a test's sockets and files are. It goes with the test.
pub fn directory() -> TempDir {
    tempfile::Builder::new().prefix("xs").tempdir().unwrap()
}

/// The program with these arguments; messages go to the test's output.
pub fn xenstored(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xenstored"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// What a program printed on standard error.
pub fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A daemon that is ready.
pub struct Daemon {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub socket: PathBuf,
    pub directory: TempDir,
}

impl Daemon {
    pub fn start() -> Self {
        Self::start_in(directory(), &[])
    }

    /// One whose socket is `socket` in this directory.
    pub fn start_in(directory: TempDir, arguments: &[&str]) -> Self {
        let socket = directory.path().join("socket");
        let mut command = xenstored(&["--socket", socket.to_str().unwrap()]);
        command.args(arguments);
        Self::await_ready(command, directory)
    }

    /// A command that becomes such a daemon.
    pub fn await_ready(mut command: Command, directory: TempDir) -> Self {
        let socket = directory.path().join("socket");
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut daemon = Self { child, stdout, socket, directory };
        assert_eq!(daemon.next_line(), "ready\n");
        daemon
    }

    /// The next line on its standard output; empty at its end.
    pub fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it with a signal and gives the exit code (none: the signal killed it) and what it had.
    pub fn end(mut self, signal: Signal) -> (Option<i32>, TempDir) {
        self.signal(signal);
        let code = self.child.wait().unwrap().code();
        // `Drop` has nothing left to do; the directory goes to the caller.
        let directory = std::mem::replace(&mut self.directory, directory());
        (code, directory)
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.socket)
    }

    /// One of Debian's tools, `ls` for xenstore-ls, with this daemon for its server.
    ///
    /// Package xenstore-utils has them in /usr/bin, unwrapped (in contrast to those of xen-utils-common,
    /// such as xenstore-control, which start only where Xen runs). libxenstore looks at
    /// XENSTORED_PATH first: nothing else is needed.
    pub fn tool(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(format!("/usr/bin/xenstore-{verb}"));
        command.args(arguments).env("XENSTORED_PATH", &self.socket).stdin(Stdio::null());
        command
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bytes of a request.
pub fn request(kind: MessageType, payload: &[u8]) -> Vec<u8> {
    Message { header: Header::unsolicited(kind), payload: payload.to_vec() }.encode()
}

/// A client that sends what it is told, right or wrong.
pub struct Client {
    pub stream: UnixStream,
    framer: Framer,
}

impl Client {
    pub fn connect(socket: &std::path::Path) -> Self {
        Self { stream: UnixStream::connect(socket).unwrap(), framer: Framer::default() }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next message; none if the server has closed the connection.
    pub fn receive(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.framer.next_message().unwrap() {
                return Some(message);
            }
            let mut bytes = [0; 4096];
            // A connection that is closed while requests wait in it is reset.
            let count = self.stream.read(&mut bytes).unwrap_or(0);
            if count == 0 {
                return None;
            }
            self.framer.push(&bytes[..count]);
        }
    }

    /// A request and the message that comes next.
    pub fn ask(&mut self, kind: MessageType, payload: &[u8]) -> Message {
        self.send(&request(kind, payload));
        self.receive().expect("the server closed the connection")
    }

    /// Whether the server answers.
    pub fn is_served(&mut self) -> bool {
        self.send(&request(MessageType::Read, b"/\0"));
        self.receive().is_some()
    }
}

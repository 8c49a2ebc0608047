//! A daemon of its own for each test, a client that speaks the bare protocol, and Debian's tools.

#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use xenstore::wire::{Framer, Header, Message, MessageType};

/// Where a test's sockets and files are. It goes with the test.
pub fn directory() -> TempDir {
    tempfile::Builder::new().prefix("xs").tempdir().unwrap()
}

/// The program with these arguments.
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
    stderr: BufReader<ChildStderr>,
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
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut daemon = Self { child, stdout, stderr, socket, directory };
        if daemon.next_line() != "ready\n" {
            let mut complaint = String::new();
            daemon.stderr.read_to_string(&mut complaint).unwrap();
            panic!("it did not start: {complaint}");
        }
        daemon
    }

    /// The next line on its standard output; empty at its end.
    pub fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// Waits for a message that contains this.
    pub fn await_message(&mut self, part: &str) {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert_ne!(self.stderr.read_line(&mut line).unwrap(), 0, "it ended without `{part}`");
        }
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
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        // A test that waits for what does not come fails.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream, framer: Framer::default() }
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
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.framer.push(&bytes[..count]),
                // Closed while requests were waiting in it.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("the server neither answers nor closes: {error}"),
            }
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

/// One of Debian's tools, `ls` for xenstore-ls, with the server of this socket.
///
/// Package xenstore-utils has them in /usr/bin, unwrapped (in contrast to those of xen-utils-common,
/// such as xenstore-control, which start only where Xen runs). libxenstore looks at XENSTORED_PATH
/// first, then at $XENSTORED_RUNDIR/socket, /var/run/xenstored/socket and /dev/xen/xenbus: naming the
/// socket is all they need.
pub fn tool(socket: &Path, verb: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(format!("/usr/bin/xenstore-{verb}"));
    command.args(arguments).env("XENSTORED_PATH", socket).stdin(Stdio::null());
    command
}

/// What such a tool prints; it must succeed.
pub fn told(socket: &Path, verb: &str, arguments: &[&str]) -> String {
    let output = tool(socket, verb, arguments).output().unwrap();
    let complaint = complaint(&output);
    assert_eq!((output.status.code(), complaint.as_str()), (Some(0), ""), "{verb} {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What such a tool complains; it must fail with exit code 1.
pub fn refused(socket: &Path, verb: &str, arguments: &[&str]) -> String {
    let output = tool(socket, verb, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{verb} {arguments:?}");
    complaint(&output)
}

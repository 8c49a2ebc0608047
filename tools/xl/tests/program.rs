//! The program as a person runs it, against a domain 0 that is a thread with the server's half of
//! the protocol: what it sends, what it shows, how it ends, and that the terminal is as it was.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use link::machine::{Machines, Running};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use tempfile::TempDir;
use xl::remote::server::Event;
use xl::remote::{Request, Server};
use xl::terminal::{ENTER_SCREEN, InputMode, LEAVE_SCREEN, Size, Stream};

/// A directory for machines, and files beside it.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.directory.path().join(name), contents).unwrap();
    }

    /// `xl` in this place, where its machines are found.
    fn xl(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xl"));
        command.args(words).current_dir(self.directory.path());
        command.env("XDG_RUNTIME_DIR", self.directory.path()).env_remove("FERRULE_MACHINE");
        command.stdin(Stdio::null());
        command
    }

    fn machine(&self, name: &str) -> Running {
        Machines::below(self.directory.path()).unwrap().create(Some(name)).unwrap()
    }

    /// A machine whose domain 0 answers one verb.
    fn domain_0<T: Send + 'static>(
        &self,
        answer: impl FnOnce(&mut Domain0) -> T + Send + 'static,
    ) -> (Running, JoinHandle<T>) {
        let running = self.machine("m");
        let listener = UnixListener::bind(running.found().xl()).unwrap();
        let thread = thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            let mut domain_0 = Domain0 { socket, server: Server::default(), files: Vec::new() };
            answer(&mut domain_0)
        });
        (running, thread)
    }
}

/// Domain 0's end of a connection.
struct Domain0 {
    socket: UnixStream,
    server: Server,
    files: Vec<Vec<u8>>,
}

impl Domain0 {
    /// Handles events until `done` says what they came to.
    fn until<T>(&mut self, mut done: impl FnMut(&mut Server, Event<'_>) -> Option<T>) -> T {
        let mut bytes = [0; 4096];
        let mut input: &[u8] = &[];
        loop {
            while let Some(event) = self.server.next(&mut input).unwrap() {
                if let Event::File(index, bytes) = event {
                    self.files.resize(self.files.len().max(index + 1), Vec::new());
                    self.files[index].extend(bytes);
                } else if let Some(result) = done(&mut self.server, event) {
                    assert_eq!(input, b"", "nothing is lost");
                    return result;
                }
            }
            self.flush();
            let count = self.socket.read(&mut bytes).unwrap();
            assert!(count > 0, "the program has gone");
            input = &bytes[..count];
        }
    }

    /// Takes the request and all of its files.
    fn request(&mut self) -> Request {
        let mut request = None;
        self.until(|server, event| match event {
            Event::Start(new) => {
                request = Some(new);
                server.accept();
                None
            }
            Event::Ready => request.take(),
            _ => None,
        })
    }

    fn flush(&mut self) {
        let waiting = self.server.outbox.waiting();
        self.socket.write_all(waiting).unwrap();
        let count = waiting.len();
        self.server.outbox.sent(count);
    }

    fn end(&mut self, status: u8) {
        self.server.exit(status);
        self.flush();
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn ended(output: &Output) -> (Option<i32>, &str, &str) {
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn without_a_machine_it_says_how_to_start_one() {
    let place = Place::new();
    let output = place.xl(&["list"]).output().unwrap();
    assert_eq!(ended(&output), (Some(1), "", "xl: no machine runs; start one with tools/run\n"));
}

#[test]
fn what_needs_no_machine_needs_none() {
    let place = Place::new();
    let out = |words: &[&str]| {
        let output = place.xl(words).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{words:?}");
        text(&output.stdout).to_string()
    };
    assert!(out(&["help"]).starts_with("Usage xl "));
    assert!(out(&["list", "--help"]).starts_with("Usage: xl [-vtTf] list "));
    assert_eq!(out(&["--version"]), concat!("xl (Ferrule) ", env!("CARGO_PKG_VERSION"), "\n"));
    assert!(out(&["--completion", "bash"]).contains("complete -o default -F _xl xl\n"));
    assert_eq!(out(&["complete", "--", "unp"]), "unpause\n");
    assert_eq!(out(&["complete", "--", "--m"]), "--machine\n");
    assert_eq!(out(&["complete", "--", "--machine", "x", "unp"]), "unpause\n");
    assert_eq!(out(&["complete", "--", "--machine", ""]), "");
    let output = place.xl(&["lsit"]).output().unwrap();
    let error = "command not implemented: lsit; did you mean list?\n";
    assert_eq!(ended(&output), (Some(1), "", error));
    place.write("a.cfg", "name = 'a'\nkernel = 'k'\nmemory = 64M\n");
    let output = place.xl(&["create", "a.cfg"]).output().unwrap();
    let error = "Parsing config from a.cfg\na.cfg:3:10: memory: \"64M\" is no number\n    \
        memory = 64M\n             ^\n";
    assert_eq!(ended(&output), (Some(1), "", error));
    let output = place.xl(&["create", "-q", "a.cfg", "memory=64"]).output().unwrap();
    let error = "cannot read the kernel: k: No such file or directory\n";
    assert_eq!(ended(&output), (Some(3), "", error));
    assert!(out(&["create", "-qn", "a.cfg", "memory=64"]).contains("\"kernel\": \"k\""));
    let output = place.xl(&["create", "-q", "."]).output().unwrap();
    let error = "Failed to read config file: .: Not a regular file\n";
    assert_eq!(ended(&output), (Some(3), "", error));
}

#[test]
fn output_and_status_come_back() {
    let place = Place::new();
    let (_running, domain_0) = place.domain_0(|domain_0| {
        let request = domain_0.request();
        domain_0.server.write(Stream::Out, b"Name\n");
        domain_0.server.write(Stream::Err, b"no\n");
        domain_0.end(7);
        request
    });
    let output = place.xl(&["list", "-v"]).output().unwrap();
    assert_eq!(ended(&output), (Some(7), "Name\n", "no\n"));
    let request = domain_0.join().unwrap();
    assert_eq!(request, Request { words: vec!["list".into(), "-v".into()], ..Request::default() });
}

#[test]
fn it_ends_quietly_where_nobody_reads_any_more() {
    let place = Place::new();
    let (_running, domain_0) = place.domain_0(|domain_0| {
        domain_0.request();
        domain_0.server.write(Stream::Out, b"Name\n");
        domain_0.end(0);
    });
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = place.xl(&["list"]).stdout(writer).output().unwrap();
    assert_eq!(ended(&output), (Some(141), "", ""));
    domain_0.join().unwrap();
}

#[test]
fn completion_asks_domain_0_for_names() {
    let place = Place::new();
    let (_running, domain_0) = place.domain_0(|domain_0| {
        let request = domain_0.request();
        domain_0.server.write(Stream::Out, b"web\n");
        domain_0.end(0);
        request.words
    });
    let words = ["complete", "--", "--machine", "m", "pause", "w"];
    let output = place.xl(&words).output().unwrap();
    assert_eq!(ended(&output), (Some(0), "web\n", ""));
    assert_eq!(domain_0.join().unwrap(), ["complete", "--", "pause", "w"]);
}

#[test]
fn files_are_carried() {
    let place = Place::new();
    let kernel: Vec<u8> = (0..5_000_000u32).map(|index| (index % 251) as u8).collect();
    let config = "name = 'a'; kernel = './k'; ramdisk = 'r'";
    place.write("a.cfg", config);
    place.write("k", &kernel);
    place.write("r", "ram");
    let (_running, domain_0) = place.domain_0(|domain_0| {
        let request = domain_0.request();
        domain_0.end(0);
        (request, std::mem::take(&mut domain_0.files))
    });
    let output = place.xl(&["-v", "create", "--", "a.cfg", "memory=64"]).output().unwrap();
    assert_eq!(ended(&output), (Some(0), "", "Parsing config from a.cfg\n"));
    let (request, files) = domain_0.join().unwrap();
    assert_eq!(request.words, ["-v", "create", "--quiet", "--", "a.cfg", "memory=64"]);
    assert_eq!(
        request.files,
        [("a.cfg".into(), config.len() as u64), ("./k".into(), 5_000_000), ("r".into(), 3)]
    );
    assert!(files == [config.as_bytes(), &kernel, b"ram"]);
}

#[test]
fn a_refusal_comes_before_the_files() {
    let place = Place::new();
    place.write("a.cfg", "name = 'a'; kernel = 'k'");
    place.write("k", vec![0; 1_000_000]);
    let (_running, domain_0) = place.domain_0(|domain_0| {
        domain_0.until(|_, event| matches!(event, Event::Start(_)).then_some(()));
        domain_0.server.write(Stream::Err, b"no room\n");
        domain_0.end(3);
        domain_0.files.len()
    });
    let output = place.xl(&["create", "-q", "a.cfg"]).output().unwrap();
    assert_eq!(ended(&output), (Some(3), "", "no room\n"));
    assert_eq!(domain_0.join().unwrap(), 0);
}

#[test]
fn a_domain_0_that_goes_away_or_babbles_is_told() {
    let place = Place::new();
    let (running, domain_0) = place.domain_0(|domain_0| drop(domain_0.request()));
    let output = place.xl(&["list"]).output().unwrap();
    assert_eq!(ended(&output), (Some(1), "", "xl: domain 0 went away before the verb ended\n"));
    domain_0.join().unwrap();
    drop(running);
    let (_running, domain_0) =
        place.domain_0(|domain_0| domain_0.socket.write_all(b"HTTP/1.1 400\r\n").unwrap());
    let output = place.xl(&["list"]).output().unwrap();
    let error =
        "xl: domain 0 and this xl do not understand each other: a frame of kind 72 is not known\n";
    assert_eq!(ended(&output), (Some(1), "", error));
    domain_0.join().unwrap();
}

#[test]
fn a_machine_can_be_named() {
    let place = Place::new();
    let (_running, domain_0) = place.domain_0(|domain_0| {
        domain_0.request();
        domain_0.end(0);
    });
    let other = place.machine("other");
    let output = place.xl(&["list"]).output().unwrap();
    let error =
        "xl: several machines run (m, other); name one with --machine NAME or $FERRULE_MACHINE\n";
    assert_eq!(ended(&output), (Some(1), "", error));
    let output = place.xl(&["--machine", "other", "list"]).output().unwrap();
    let path = other.found().xl();
    let error = format!(
        "xl: the machine does not answer at {}: No such file or directory\n",
        path.display()
    );
    assert_eq!(ended(&output), (Some(1), "", &*error));
    let output = place.xl(&["complete", "--", "--machine", "o"]).output().unwrap();
    assert_eq!(ended(&output), (Some(0), "other\n", ""));
    let output = place.xl(&["--machine=m", "list"]).output().unwrap();
    assert_eq!(ended(&output), (Some(0), "", ""));
    domain_0.join().unwrap();
}

#[test]
fn standard_input_is_left_to_others_unless_keys_are_wanted() {
    let place = Place::new();
    place.write("script", "rest of the script\n");
    let script = || File::open(place.directory.path().join("script")).unwrap();
    let (running, domain_0) = place.domain_0(|domain_0| {
        domain_0.request();
        domain_0.end(0);
    });
    let mut input = script();
    let status = place.xl(&["list"]).stdin(input.try_clone().unwrap()).status().unwrap();
    assert!(status.success());
    let mut rest = String::new();
    input.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "rest of the script\n");
    domain_0.join().unwrap();
    drop(running);
    let (_running, domain_0) = place.domain_0(|domain_0| {
        domain_0.request();
        domain_0.server.set_input_mode(InputMode::Raw);
        let mut typed: Vec<u8> = Vec::new();
        domain_0.until(|_, event| match event {
            Event::Input(bytes) => {
                typed.extend(bytes);
                None
            }
            other => {
                assert_eq!(other, Event::InputEnd);
                Some(())
            }
        });
        domain_0.end(0);
        typed
    });
    let status = place.xl(&["console", "a"]).stdin(script()).status().unwrap();
    assert!(status.success());
    assert_eq!(domain_0.join().unwrap(), b"rest of the script\n");
}

/// A terminal: the person's end, and its name for the program's.
fn terminal() -> (File, PathBuf) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap().into_string().unwrap();
    let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&person, size).unwrap();
    (File::from(person), name.into())
}

fn open_terminal(name: &PathBuf) -> OwnedFd {
    let flags = rustix::fs::OFlags::NOCTTY.bits();
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags as i32)
        .open(name)
        .unwrap()
        .into()
}

fn is_raw(terminal: &OwnedFd) -> bool {
    !tcgetattr(terminal).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
}

#[test]
fn a_console_has_the_terminal_raw_and_gives_it_back() {
    let place = Place::new();
    let (mut person, name) = terminal();
    let watched = open_terminal(&name);
    let here = open_terminal(&name);
    let (_running, domain_0) = place.domain_0(move |domain_0| {
        let request = domain_0.request();
        domain_0.server.set_input_mode(InputMode::Raw);
        domain_0.server.write(Stream::Out, b"login: ");
        let typed = domain_0.until(|_, event| match event {
            Event::Input(bytes) => Some(bytes.to_vec()),
            _ => None,
        });
        let was_raw = is_raw(&here);
        domain_0.server.set_input_mode(InputMode::Line);
        domain_0.end(0);
        (request.size, typed, was_raw)
    });
    let mut command = place.xl(&["console", "a"]);
    command.stdin(open_terminal(&name)).stdout(open_terminal(&name)).stderr(open_terminal(&name));
    let mut child = command.spawn().unwrap();
    let mut shown = [0; 7];
    person.read_exact(&mut shown).unwrap();
    assert_eq!(&shown, b"login: ");
    // Ctrl-C is a key like any other.
    person.write_all(b"\x03").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let (size, typed, was_raw) = domain_0.join().unwrap();
    assert_eq!(size, Some(Size { rows: 30, columns: 100 }));
    assert_eq!((typed, was_raw, is_raw(&watched)), (b"\x03".to_vec(), true, false));
}

#[test]
fn a_screen_of_a_verbs_own_goes_with_it_however_it_ends() {
    let place = Place::new();
    let (mut person, name) = terminal();
    let watched = open_terminal(&name);
    let (_running, domain_0) = place.domain_0(|domain_0| {
        domain_0.request();
        domain_0.server.set_input_mode(InputMode::Screen);
        domain_0.server.write(Stream::Out, b"table");
        domain_0.until(|_, event| match event {
            Event::Resize(size) => Some(size),
            _ => None,
        })
        // And domain 0 is gone, without a word.
    });
    let mut command = place.xl(&["top"]);
    command.stdin(open_terminal(&name)).stdout(open_terminal(&name)).stderr(open_terminal(&name));
    let mut child = command.spawn().unwrap();
    let mut expect = |text: &str| {
        let mut shown = vec![0; text.len()];
        person.read_exact(&mut shown).unwrap();
        assert_eq!(String::from_utf8_lossy(&shown), text);
    };
    expect(&format!("{ENTER_SCREEN}table"));
    assert!(is_raw(&watched));
    let size = Winsize { ws_row: 9, ws_col: 40, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&watched, size).unwrap();
    // No session leads the terminal, so nobody is told of it.
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::WINCH).unwrap();
    assert_eq!(domain_0.join().unwrap(), Some(Size { rows: 9, columns: 40 }));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    expect(&format!("{LEAVE_SCREEN}xl: domain 0 went away before the verb ended\r\n"));
    assert!(!is_raw(&watched));
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let place = Place::new();
    let (mut person, name) = terminal();
    let watched = open_terminal(&name);
    let (_running, domain_0) = place.domain_0(|domain_0| {
        domain_0.request();
        domain_0.server.set_input_mode(InputMode::Raw);
        domain_0.server.write(Stream::Out, b"login: ");
        domain_0.flush();
        // The program closes the connection.
        let mut byte = [0];
        domain_0.socket.read(&mut byte).unwrap()
    });
    let mut command = place.xl(&["console", "a"]);
    command.stdin(open_terminal(&name)).stdout(open_terminal(&name)).stderr(open_terminal(&name));
    let mut child = command.spawn().unwrap();
    let mut shown = [0; 7];
    person.read_exact(&mut shown).unwrap();
    assert!(is_raw(&watched));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!((domain_0.join().unwrap(), is_raw(&watched)), (0, false));
}

//! Carrying a verb to domain 0: one loop over the machine's socket, the keys, and signals.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, poll};

use super::files::{HostFile, reason};
use super::plan::Freight;
use super::progress::Progress;
use super::terminal::{Signals, Taken, show, window};
use link::machine;
use xl::remote::client::Event;
use xl::remote::{Client, Request, Violation};
use xl::terminal::{Blob, InputMode};

/// Bytes that are read at once.
const PIECE: usize = 16 << 10;
/// Bytes of files that wait for the socket, at most.
const AHEAD: usize = 256 << 10;
/// The exit status after a signal, as shells count SIGINT.
const INTERRUPTED: u8 = 130;
/// The exit status where nobody reads any more, as shells count SIGPIPE.
const UNREAD: u8 = 141;

/// Why a verb could not be carried.
pub enum Error {
    /// There is no machine to carry it to.
    Machine(machine::Error),
    /// Its socket does not answer.
    Socket(PathBuf, io::Error),
    /// The words and names are longer than the protocol has room for.
    TooLong,
    /// Domain 0 went away before the verb ended.
    Lost,
    /// Domain 0 said something that makes no sense.
    Violation(Violation),
    /// A file became shorter while it was sent.
    Shorter(String),
    /// The terminal or the socket failed.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(error) => error.fmt(f),
            Self::Socket(path, error) => {
                write!(f, "the machine does not answer at {}: {}", path.display(), reason(error))
            }
            Self::TooLong => f.write_str("the words are too long"),
            Self::Lost => f.write_str("domain 0 went away before the verb ended"),
            Self::Violation(violation) => {
                write!(f, "domain 0 and this xl do not understand each other: {violation}")
            }
            Self::Shorter(name) => write!(f, "{name} became shorter while it was sent"),
            Self::Io(error) => f.write_str(&reason(error)),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// Finds the machine and has domain 0 carry the verb out; its exit status is returned.
pub fn carry(freight: Freight, named: Option<&str>) -> Result<u8, Error> {
    let machine = machine::find(named).map_err(Error::Machine)?;
    let path = machine.xl();
    let socket = UnixStream::connect(&path).map_err(|error| Error::Socket(path, error))?;
    socket.set_nonblocking(true)?;
    let files = freight.files.iter().map(|(name, file)| (name.clone(), file.len())).collect();
    let request = Request { words: freight.words.clone(), size: window(), files };
    let client = Client::new(&request).ok_or(Error::TooLong)?;
    let progress = Progress::of(freight.size());
    let carrier =
        Carrier { socket, client, files: freight.files, progress, taken: None, keys_end: false };
    carrier.run()
}

struct Carrier {
    socket: UnixStream,
    client: Client,
    files: Vec<(String, HostFile)>,
    progress: Progress,
    /// The terminal, while the verb wants keys one by one. Whoever started this program may want what
    /// stands on standard input otherwise.
    taken: Option<Taken>,
    /// There are no more keys.
    keys_end: bool,
}

impl Carrier {
    fn run(mut self) -> Result<u8, Error> {
        let mut signals = Signals::take()?;
        let mut size = window();
        loop {
            self.fill()?;
            let ready = self.wait(&signals)?;
            if ready.end {
                self.progress.end();
                return Ok(INTERRUPTED);
            }
            if ready.window {
                signals.clear_window();
                if size != window() {
                    size = window();
                    size.into_iter().for_each(|size| self.client.resize(size));
                }
            }
            if ready.keys {
                self.type_keys()?;
            }
            if ready.writable {
                self.send()?;
            }
            if ready.readable
                && let Some(status) = self.hear()?
            {
                return Ok(status);
            }
        }
    }

    /// Puts more of the files into the outbox.
    fn fill(&mut self) -> Result<(), Error> {
        let mut bytes = [0; PIECE];
        while let Some((index, missing)) = self.client.wants_file() {
            let sent = self.sent_before(index, missing);
            self.progress.sent(sent);
            if self.client.outbox.waiting().len() >= AHEAD {
                return Ok(());
            }
            let Some((name, file)) = self.files.get(index) else { return Ok(()) };
            let count = file.read_at(file.len() - missing, &mut bytes);
            let count = usize::try_from(missing).unwrap_or(usize::MAX).min(count);
            if count == 0 {
                self.progress.end();
                return Err(Error::Shorter(name.clone()));
            }
            self.client.file(bytes.get(..count).unwrap_or(&bytes));
        }
        if self.client.outbox.waiting().is_empty() {
            self.progress.end();
        }
        Ok(())
    }

    /// How many bytes of files are on their way when this one misses so many.
    fn sent_before(&self, index: usize, missing: u64) -> u64 {
        let whole = self.files.iter().take(index + 1).map(|(_, file)| file.len()).sum::<u64>();
        whole - missing
    }

    fn wait(&self, signals: &Signals) -> Result<Ready, Error> {
        let stdin = io::stdin();
        let mut socket = PollFlags::IN;
        if !self.client.outbox.waiting().is_empty() {
            socket |= PollFlags::OUT;
        }
        let mut wanted = vec![
            PollFd::new(&self.socket, socket),
            PollFd::new(&signals.end, PollFlags::IN),
            PollFd::new(&signals.window, PollFlags::IN),
        ];
        let few_wait = self.client.outbox.waiting().len() < AHEAD;
        let wants_keys = self.taken.is_some() && !self.keys_end;
        if wants_keys && self.client.wants_input() && few_wait {
            wanted.push(PollFd::new(&stdin, PollFlags::IN));
        }
        loop {
            match poll(&mut wanted, None) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Error::Io(error.into())),
                Ok(_) => break,
            }
        }
        let some = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        let is = |index: usize, flags| {
            wanted.get(index).is_some_and(|fd| fd.revents().intersects(flags))
        };
        Ok(Ready {
            readable: is(0, some),
            writable: is(0, PollFlags::OUT),
            end: is(1, some),
            window: is(2, some),
            keys: is(3, some),
        })
    }

    fn type_keys(&mut self) -> Result<(), Error> {
        let mut keys = [0; 4096];
        match io::stdin().lock().read(&mut keys) {
            Ok(0) => {
                self.client.end_input();
                self.keys_end = true;
            }
            Ok(count) => self.client.input(keys.get(..count).unwrap_or(&keys)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Error> {
        match self.socket.write(self.client.outbox.waiting()) {
            Ok(count) => self.client.outbox.sent(count),
            Err(error) if is_passing(&error) => {}
            // What domain 0 said before it closed is still to be read.
            Err(error) if is_lost(&error) => self.client.outbox.sent(usize::MAX),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Shows what has come; the exit status if that was the end.
    fn hear(&mut self) -> Result<Option<u8>, Error> {
        let mut bytes = [0; PIECE];
        let count = match self.socket.read(&mut bytes) {
            Ok(0) => return Err(Error::Lost),
            Ok(count) => count,
            Err(error) if is_passing(&error) => return Ok(None),
            Err(error) if is_lost(&error) => return Err(Error::Lost),
            Err(error) => return Err(error.into()),
        };
        let mut input = bytes.get(..count).unwrap_or(&bytes);
        while let Some(event) = self.client.next(&mut input)? {
            match event {
                Event::Accepted => {}
                Event::Output(stream, bytes) => {
                    self.progress.end();
                    match show(stream, bytes) {
                        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                            return Ok(Some(UNREAD));
                        }
                        shown => shown?,
                    }
                }
                Event::InputMode(mode) => self.set_keys(mode),
                Event::Exit(status) => {
                    self.progress.end();
                    return Ok(Some(status));
                }
            }
        }
        Ok(None)
    }

    fn set_keys(&mut self, mode: InputMode) {
        // What is there is put back before it is taken anew.
        self.taken = None;
        if mode != InputMode::Line {
            self.taken = Some(Taken::take(mode));
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn is_lost(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

/// What a wait has found.
struct Ready {
    readable: bool,
    writable: bool,
    end: bool,
    window: bool,
    keys: bool,
}

//! A connection to the server, as the verbs use it.

use std::cell::Cell;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use pv_abi::errno::Errno;
use xenstore::client::{self, Transaction, Transport};

use crate::failure::Failure;

/// A client over a socket.
pub type Client = client::Client<Socket>;
/// Why a request failed.
pub type Error = client::Error<Lost>;

/// The server's socket.
pub struct Socket {
    stream: UnixStream,
    /// When waiting for the server ends, if ever.
    deadline: Cell<Option<Instant>>,
}

/// Why a socket carries nothing any more.
#[derive(Debug)]
pub enum Lost {
    /// The deadline has come.
    TimeUp,
    /// The connection is broken.
    Broken(io::Error),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimeUp => f.write_str("the time is up"),
            Self::Broken(error) => write!(f, "the connection to the server is lost: {error}"),
        }
    }
}

impl Socket {
    /// One that is connected.
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, deadline: Cell::new(None) }
    }

    /// From then on waiting fails with [`Lost::TimeUp`].
    pub fn wait_until(&self, deadline: Option<Instant>) {
        self.deadline.set(deadline);
    }

    /// How long to wait now; None: for ever.
    fn patience(&self) -> Result<Option<Duration>, Lost> {
        let Some(deadline) = self.deadline.get() else { return Ok(None) };
        match deadline.checked_duration_since(Instant::now()) {
            None | Some(Duration::ZERO) => Err(Lost::TimeUp),
            patience => Ok(patience),
        }
    }
}

impl Transport for Socket {
    type Error = Lost;

    fn send(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        self.stream.write_all(bytes).map_err(Lost::Broken)
    }

    fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Lost> {
        loop {
            self.stream.set_read_timeout(self.patience()?).map_err(Lost::Broken)?;
            match self.stream.read(bytes) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                // A server that ends while a request is on its way resets the connection.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(0),
                done => return done.map_err(Lost::Broken),
            }
        }
    }
}

/// Does something in one transaction, and again from the start whenever somebody else has got in its
/// way. A failure drops what it did.
///
/// # Errors
/// Those of `work`, and of starting and ending transactions.
pub fn in_transaction<R>(
    client: &mut Client,
    mut work: impl FnMut(&mut Transaction<'_, Socket>) -> Result<R, Failure>,
) -> Result<R, Failure> {
    loop {
        let started = client.transaction();
        let mut transaction = started
            .map_err(|error| Failure::new(format!("cannot start a transaction: {error}")))?;
        let result = work(&mut transaction)?;
        match transaction.commit() {
            Err(Error::Refused(Errno::EAGAIN)) => {}
            Err(error) => {
                let sentence = format!("nothing was changed: the transaction failed: {error}");
                return Err(Failure::new(sentence));
            }
            Ok(()) => return Ok(result),
        }
    }
}

//! What interrupts the loop from outside.
//!
//! A signal handler may do next to nothing, so each signal writes a byte to a stream that the loop
//! reads like any other. Whoever embeds the daemon in a program of its own holds the writing ends.

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// The reading ends.
pub struct Wakeups {
    /// A byte, or the end of the stream: end the daemon.
    pub(crate) stop: mio::net::UnixStream,
    /// A byte: write the state file.
    pub(crate) save: mio::net::UnixStream,
}

/// The writing ends. A byte to either; when they are dropped the daemon ends.
pub struct Handles {
    /// Ends the daemon.
    pub stop: UnixStream,
    /// Writes the state file.
    pub save: UnixStream,
}

impl Wakeups {
    /// Reading ends that wake up when bytes are written to the handles.
    ///
    /// # Errors
    /// The system has no more sockets to give.
    pub fn new() -> io::Result<(Self, Handles)> {
        let (stop, stop_handle) = UnixStream::pair()?;
        let (save, save_handle) = UnixStream::pair()?;
        for stream in [&stop, &save] {
            stream.set_nonblocking(true)?;
        }
        let [stop, save] = [stop, save].map(mio::net::UnixStream::from_std);
        Ok((Self { stop, save }, Handles { stop: stop_handle, save: save_handle }))
    }

    /// SIGTERM and SIGINT end the daemon, SIGHUP writes the state file.
    ///
    /// # Errors
    /// The signals cannot be taken.
    pub fn from_signals() -> Result<Self> {
        let register = || -> io::Result<Self> {
            let (wakeups, handles) = Self::new()?;
            pipe::register(SIGTERM, handles.stop.try_clone()?)?;
            pipe::register(SIGINT, handles.stop)?;
            pipe::register(SIGHUP, handles.save)?;
            Ok(wakeups)
        };
        register().context("cannot take signals")
    }
}

/// Takes what bytes there are; whether there were any, or the stream ended.
pub(crate) fn woken(stream: &mut mio::net::UnixStream) -> bool {
    let mut woken = false;
    let mut bytes = [0; 16];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => woken = true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return woken,
        }
    }
}

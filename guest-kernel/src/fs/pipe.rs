//! Pipes: a bounded queue of bytes between two open files.
//!
//! What is written in one piece of at most [`ATOMIC`] bytes stays in one piece, whoever else writes.

use super::file::{FIFO, File, Flags, Ready, Result, Status};
use crate::errno::{EAGAIN, EINTR, ENOMEM, EPIPE};
use crate::signal::SIGPIPE;
use crate::sync::Guarded;
use crate::task::{scheduler, signal};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use ring1::events::Masked;

/// Bytes that a pipe holds, as Linux's.
const CAPACITY: usize = 64 << 10;
/// Bytes that are written in one piece (`PIPE_BUF`).
const ATOMIC: usize = 4096;
/// Channels of pipes begin here, above the fixed ones and below those of children.
const CHANNELS: u32 = 0x100;

struct State {
    bytes: VecDeque<u8>,
    readers: bool,
    writers: bool,
}

impl State {
    /// Takes as many bytes as there are: how many.
    fn take(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.bytes.len());
        let (first, second) = self.bytes.as_slices();
        let (start, rest) = into.split_at_mut(count.min(first.len()));
        start.copy_from_slice(&first[..start.len()]);
        let rest = &mut rest[..count - start.len()];
        rest.copy_from_slice(&second[..rest.len()]);
        self.bytes.drain(..count);
        count
    }

    /// Puts in as many bytes as there is room for, or all, or none: how many.
    fn put(&mut self, from: &[u8]) -> Result<usize> {
        let room = CAPACITY - self.bytes.len();
        if from.len() <= ATOMIC && from.len() > room {
            return Ok(0);
        }
        let count = from.len().min(room);
        self.bytes.try_reserve(count).map_err(|_| ENOMEM)?;
        self.bytes.extend(&from[..count]);
        Ok(count)
    }
}

struct Pipe {
    state: Guarded<State>,
    channel: u32,
}

/// The end to read from; closed when dropped.
pub struct Reader(Arc<Pipe>);
/// The end to write to; closed when dropped.
pub struct Writer(Arc<Pipe>);

/// Makes a pipe.
pub fn new() -> (Reader, Writer) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let channel = CHANNELS + NEXT.fetch_add(1, Ordering::Relaxed) % 0x1000_0000;
    let state = State { bytes: VecDeque::new(), readers: true, writers: true };
    let pipe = Arc::new(Pipe { state: Guarded::new(state), channel });
    (Reader(Arc::clone(&pipe)), Writer(pipe))
}

impl File for Reader {
    fn status(&self) -> Result<Status> {
        Ok(Status::anonymous(FIFO | 0o600))
    }

    fn read(&self, _: u64, into: &mut [u8], flags: Flags) -> Result<usize> {
        let _masked = Masked::new();
        loop {
            let (count, writers) = self.0.state.with(|state| (state.take(into), state.writers));
            if count > 0 || !writers || into.is_empty() {
                scheduler::wake(self.0.channel);
                return Ok(count);
            }
            if flags.is_nonblocking() {
                return Err(EAGAIN);
            }
            if signal::is_pending() {
                return Err(EINTR);
            }
            scheduler::sleep(self.0.channel, 0);
        }
    }

    fn ready(&self) -> Ready {
        self.0.state.with(|state| {
            let bytes = if state.bytes.is_empty() { Ready::empty() } else { Ready::READ };
            bytes | if state.writers { Ready::empty() } else { Ready::HANGUP }
        })
    }

    fn channel(&self) -> u32 {
        self.0.channel
    }
}

impl File for Writer {
    fn status(&self) -> Result<Status> {
        Ok(Status::anonymous(FIFO | 0o600))
    }

    fn write(&self, _: u64, from: &[u8], flags: Flags) -> Result<usize> {
        let _masked = Masked::new();
        loop {
            let put = self.0.state.with(|state| state.readers.then(|| state.put(from)));
            let Some(count) = put.transpose()? else {
                signal::raise(SIGPIPE);
                return Err(EPIPE);
            };
            if count > 0 || from.is_empty() {
                scheduler::wake(self.0.channel);
                return Ok(count);
            }
            if flags.is_nonblocking() {
                return Err(EAGAIN);
            }
            if signal::is_pending() {
                return Err(EINTR);
            }
            scheduler::sleep(self.0.channel, 0);
        }
    }

    fn ready(&self) -> Ready {
        self.0.state.with(|state| {
            let room = state.bytes.len() + ATOMIC <= CAPACITY;
            let room = if room { Ready::WRITE } else { Ready::empty() };
            room | if state.readers { Ready::empty() } else { Ready::ERROR }
        })
    }

    fn channel(&self) -> u32 {
        self.0.channel
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.state.with(|state| state.readers = false);
        scheduler::wake(self.0.channel);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.state.with(|state| state.writers = false);
        scheduler::wake(self.0.channel);
    }
}

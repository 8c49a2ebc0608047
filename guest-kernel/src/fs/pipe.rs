//! Pipes: a bounded queue of bytes between two open files.

use crate::arch::events::Masked;
use crate::shell::kernel::Errno;
use crate::sync::Guarded;
use crate::syscall::errno::{EINTR, EPIPE};
use crate::task::{scheduler, signal};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

/// Bytes that a pipe holds.
const CAPACITY: usize = 4096;
/// Channels of pipes begin here, above the fixed ones and below those of children.
const CHANNELS: u32 = 0x100;

struct State {
    bytes: VecDeque<u8>,
    readers: bool,
    writers: bool,
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

impl Reader {
    /// Reads what there is, at least a byte; 0 when nobody will ever write.
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let _masked = Masked::new();
        loop {
            let (count, writers) = self.0.state.with(|state| {
                let count = buffer.len().min(state.bytes.len());
                for (slot, byte) in buffer.iter_mut().zip(state.bytes.drain(..count)) {
                    *slot = byte;
                }
                (count, state.writers)
            });
            if count > 0 || !writers || buffer.is_empty() {
                scheduler::wake(self.0.channel);
                return Ok(count);
            }
            if signal::is_pending() {
                return Err(EINTR);
            }
            scheduler::sleep(self.0.channel, 0);
        }
    }
}

impl Writer {
    /// Writes what has room, at least a byte.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let _masked = Masked::new();
        loop {
            let (count, readers) = self.0.state.with(|state| {
                let count = bytes.len().min(CAPACITY - state.bytes.len());
                if state.readers {
                    state.bytes.extend(&bytes[..count]);
                }
                (count, state.readers)
            });
            if !readers {
                let _ = signal::send(scheduler::current().pid, signal::SIGPIPE);
                return Err(EPIPE);
            }
            if count > 0 || bytes.is_empty() {
                scheduler::wake(self.0.channel);
                return Ok(count);
            }
            if signal::is_pending() {
                return Err(EINTR);
            }
            scheduler::sleep(self.0.channel, 0);
        }
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

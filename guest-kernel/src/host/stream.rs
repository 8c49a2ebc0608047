//! A channel as a stream that one task reads and writes, waiting as needed.

use crate::arch::events::Masked;
use crate::task::scheduler;
use link::ChannelId;

/// The other side has closed the channel, or it is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed;

/// A channel of the running task. Dropping it closes it; what was written still arrives.
pub struct Stream {
    id: ChannelId,
    wake: u32,
}

impl Stream {
    /// Takes over an accepted channel for the running task.
    pub fn new(id: ChannelId) -> Self {
        let wake = scheduler::LINK_TASKS + scheduler::current().pid;
        super::set_wake(id, wake);
        Self { id, wake }
    }

    /// Reads some bytes, at least one.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Closed> {
        let _masked = Masked::new();
        loop {
            let taken = super::receive(self.id, |bytes| {
                let taken = bytes.len().min(buffer.len());
                buffer[..taken].copy_from_slice(&bytes[..taken]);
                taken
            });
            match taken {
                0 if super::is_closed(self.id) => return Err(Closed),
                0 => scheduler::sleep(self.wake, 0),
                taken => return Ok(taken),
            }
        }
    }

    /// Writes all bytes.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), Closed> {
        let _masked = Masked::new();
        while !bytes.is_empty() {
            let sent = super::send(self.id, bytes).ok_or(Closed)?;
            bytes = &bytes[sent..];
            if sent == 0 {
                scheduler::sleep(self.wake, 0);
            }
        }
        Ok(())
    }

    /// Whether there is something to read, or nobody left to write it.
    pub fn is_readable(&self) -> bool {
        super::has_received(self.id) || super::is_closed(self.id)
    }

    /// What is woken when something happens to the channel.
    pub fn wake(&self) -> u32 {
        self.wake
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        super::close(self.id);
    }
}

//! A channel as a stream of one task, which waits as needed.

use crate::task::scheduler;
use crate::waker::Waker;
use link::ChannelId;
use ring1::events::Masked;
use xl::remote::{Channel, Incoming};

/// A channel of the running task. Dropping it closes it; what was sent still arrives.
pub struct Stream {
    id: ChannelId,
    channel: u32,
}

impl Stream {
    /// Takes over an accepted channel for the running task.
    pub fn new(id: ChannelId) -> Self {
        let channel = scheduler::STREAMS + scheduler::current().pid;
        super::set_waker(id, Waker::channel(channel));
        Self { id, channel }
    }

    /// The scheduler's channel that is woken when something happens to the stream.
    pub fn channel(&self) -> u32 {
        self.channel
    }

    fn is_readable(&self) -> bool {
        super::has_received(self.id) || super::is_closed(self.id)
    }
}

impl Channel for Stream {
    fn receive(&mut self, into: &mut [u8]) -> Incoming {
        // Asked first: what came before the end is not to be missed.
        let closed = super::is_closed(self.id);
        let taken = super::receive(self.id, |bytes| {
            let taken = bytes.len().min(into.len());
            into[..taken].copy_from_slice(&bytes[..taken]);
            taken
        });
        match taken {
            0 if closed => Incoming::Closed,
            0 => Incoming::Nothing,
            taken => Incoming::Bytes(taken),
        }
    }

    fn has_incoming(&mut self) -> bool {
        self.is_readable()
    }

    fn send(&mut self, bytes: &[u8]) -> usize {
        let _masked = Masked::new();
        loop {
            match super::send(self.id, bytes) {
                None => return 0,
                Some(0) if !bytes.is_empty() => scheduler::sleep(self.channel, 0),
                Some(sent) => return sent,
            }
        }
    }

    fn wait(&mut self) {
        let _masked = Masked::new();
        while !self.is_readable() {
            scheduler::sleep(self.channel, 0);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        super::close(self.id);
    }
}

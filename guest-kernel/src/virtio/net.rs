//! The virtio network card: frames in each direction, a page at a time.
//!
//! Virtio 1.2, section 5.1; one pair of queues. In front of each frame is a header, which says
//! nothing here: checksums and segments are not left to the device, since QEMU's user network
//! takes neither. Without a control queue the device passes on frames for all addresses, which a
//! bridge needs.

use super::pair::{Error, Pair};
use crate::mm::PAGE;
use alloc::boxed::Box;
use bitflags::bitflags;
use virtio_drivers::transport::Transport;

/// Vendor and device of a network card that is no legacy one.
const ID: u32 = 0x1041_1af4;
/// Bytes in front of a frame.
const HEADER: usize = 12;
/// Bytes of the longest frame.
pub const FRAME: usize = PAGE as usize - HEADER;

bitflags! {
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        const MAC = 1 << 5;
        const VERSION_1 = 1 << 32;
    }
}

/// The device.
pub struct Card {
    pair: Box<Pair>,
    mac: [u8; 6],
}

impl Card {
    /// The machine's network card, ready to receive.
    pub fn new() -> Result<Self, Error> {
        let pair = Pair::new(ID, Features::all())?;
        let mac = pair.transport().read_config_space(0)?;
        Ok(Self { pair, mac })
    }

    /// Its own address, which a bridge has no use for but to derive another's from.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// The wire it interrupts by.
    pub fn irq(&self) -> u32 {
        self.pair.irq()
    }

    /// Takes note of an interrupt: the wire is quiet afterwards.
    pub fn acknowledge(&mut self) {
        self.pair.acknowledge();
    }

    /// Calls `f` with the frames that have come, at most a queue of them. Whether any had come.
    pub fn receive(&mut self, mut f: impl FnMut(&[u8])) -> Result<bool, Error> {
        self.pair.receive(|bytes| {
            f(bytes.get(HEADER..).ok_or(Error::Device)?);
            Ok(())
        })
    }

    /// Sends a frame of at most [`FRAME`] bytes. False: no page is free; an interrupt says when one
    /// is.
    pub fn send(&mut self, frame: &[u8]) -> Result<bool, Error> {
        if !self.pair.has_room()? {
            // The device may have sent some just before it was asked to tell.
            self.pair.tell_of_room(true);
            if !self.pair.has_room()? {
                return Ok(false);
            }
        }
        self.pair.tell_of_room(false);
        let sent = self.pair.send(HEADER + frame.len(), |bytes| {
            let (header, body) = bytes.split_at_mut(HEADER);
            header.fill(0);
            body.copy_from_slice(frame);
        })?;
        self.pair.flush();
        Ok(sent)
    }
}

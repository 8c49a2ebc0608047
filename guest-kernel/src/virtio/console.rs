//! The virtio console: a stream of bytes in each direction, a page at a time.
//!
//! Virtio 1.2, section 5.3; port 0 alone. QEMU gives the pages that were sent back while it is
//! notified, unless whoever listens on the host does not.

use super::pair::{Error, Pair};
use crate::mm::PAGE;
use alloc::boxed::Box;
use bitflags::bitflags;

/// Vendor and device of a console that is no legacy one.
const ID: u32 = 0x1043_1af4;

bitflags! {
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        const VERSION_1 = 1 << 32;
    }
}

/// The device.
pub struct Console(Box<Pair>);

impl Console {
    /// The machine's console, ready to receive.
    pub fn new() -> Result<Self, Error> {
        Ok(Self(Pair::new(ID, Features::all())?))
    }

    /// The wire it interrupts by.
    pub fn irq(&self) -> u32 {
        self.0.irq()
    }

    /// Takes note of an interrupt: the wire is quiet afterwards.
    pub fn acknowledge(&mut self) {
        self.0.acknowledge();
    }

    /// Calls `f` with what has come, page by page. Whether any had come.
    pub fn receive(&mut self, mut f: impl FnMut(&[u8])) -> Result<bool, Error> {
        self.0.receive(|bytes| {
            f(bytes);
            Ok(())
        })
    }

    /// Sends as much of `bytes` as there are pages for; how many bytes.
    pub fn transmit(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.0.has_room()?;
        let mut taken = 0;
        for part in bytes.chunks(PAGE as usize) {
            if !self.0.send(part.len(), |page| page.copy_from_slice(part))? {
                break;
            }
            taken += part.len();
        }
        if taken > 0 {
            self.0.flush();
        }
        // An interrupt says when there is room again.
        self.0.tell_of_room(taken < bytes.len());
        Ok(taken)
    }
}

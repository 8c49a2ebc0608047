//! The own end of the bridge of domain 0, or of a driver domain, as an interface.
//!
//! Nothing lies between it and the [hub](super::hub) but memory, so checksums are left out; what
//! came by a wire is compared once, here.

use super::hub::Port;
use super::{Busy, Interface, Mac, Offload, offload};
use crate::waker::Waker;
use alloc::vec::Vec;
use xenbus::net::bridge::{Behind, Refused};

/// The interface.
pub struct OwnEnd {
    mac: Mac,
    port: Port,
}

impl OwnEnd {
    /// With this address.
    ///
    /// # Errors
    /// As [`Port::plug`].
    pub fn new(mac: Mac) -> Result<OwnEnd, Refused> {
        // Nobody listens before a stack says so.
        let nobody = Waker { call: |_| (), argument: 0 };
        Ok(OwnEnd { mac, port: Port::plug(Behind::Device(mac), offload::COPES, nobody)? })
    }
}

impl Interface for OwnEnd {
    fn mac(&self) -> Mac {
        self.mac
    }

    fn offload(&self) -> Offload {
        Offload { transmit: true, receive: true }
    }

    fn is_up(&self) -> bool {
        true
    }

    fn send(&self, frame: &[u8]) -> Result<(), Busy> {
        if let Some(frame) = offload::outgoing(frame) {
            self.port.input(frame);
        }
        Ok(())
    }

    fn receive(&self, into: &mut Vec<u8>) -> bool {
        while let Some(frame) = self.port.take() {
            if frame.is_sound() {
                *into = frame.bytes;
                return true;
            }
        }
        false
    }

    fn set_waker(&self, waker: Waker) {
        self.port.set_waker(waker);
    }
}

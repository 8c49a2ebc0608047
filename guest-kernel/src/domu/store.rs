//! The way to XenStore: the page of rings that the start info names, as a client's transport.
#![allow(unsafe_code)] // UNSAFETY: the page is shared with domain 0.

use crate::arch::abi::StartInfo;
use crate::arch::calls;
use crate::arch::events::{self, Masked};
use crate::mm::{PAGE, p2m};
use crate::ports;
use crate::task::scheduler::{self, STORE_RING};
use core::ptr::NonNull;
use pv_abi::types::{Mfn, Port};
use xenbus::memory::{Corrupt, Mapped};
use xenbus::store_page::GuestEnd;
use xenstore::client::Transport;

/// The ring.
pub struct Ring {
    end: GuestEnd<Mapped>,
    port: Port,
}

impl Ring {
    /// Takes the page and the port that the start info names. None: the domain has no XenStore.
    pub fn attach(start_info: &StartInfo) -> Option<Ring> {
        let pfn = p2m::pfn(Mfn::new(u64::from(start_info.store_mfn)))?;
        let base = NonNull::new(p2m::pointer::<u8>(pfn))?;
        // SAFETY: 1. The builder laid the page out for this and mapped it; the frame allocator keeps
        // it. 2. Nothing else in this kernel reaches it.
        let memory = unsafe { Mapped::new(base, PAGE as usize) };
        let port = Port::new(start_info.store_evtchn);
        let end = GuestEnd::attach(memory).ok()?;
        ports::set(port, || scheduler::wake(STORE_RING));
        events::unmask_port(port);
        Some(Ring { end, port })
    }

    /// Waits until `f` has moved some bytes, and tells domain 0.
    fn wait_for(
        &mut self,
        mut f: impl FnMut(&mut GuestEnd<Mapped>) -> Result<usize, Corrupt>,
    ) -> Result<usize, Corrupt> {
        let _masked = Masked::new();
        loop {
            let moved = f(&mut self.end)?;
            if moved > 0 {
                // The port is the builder's, and bound.
                let _ = calls::evtchn_send(self.port);
                return Ok(moved);
            }
            scheduler::sleep(STORE_RING, 0);
        }
    }
}

impl Transport for Ring {
    type Error = Corrupt;

    fn send(&mut self, mut bytes: &[u8]) -> Result<(), Corrupt> {
        while !bytes.is_empty() {
            let sent = self.wait_for(|end| end.write(bytes))?;
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8]) -> Result<usize, Corrupt> {
        self.wait_for(|end| end.read(into))
    }
}

//! Rings of other domains: the page through which each talks to the store.
//!
//! The page is mapped by the grant that a domain's builder gives domain 0 for it, as Xen's daemon does
//! whatever frame it is told; the domain's port, which waits for domain 0, is bound. A domain that breaks its ring is told why in the page, and is not listened to
//! any more until it asks for empty rings.

use crate::grant::Granted;
use crate::ports::{self, Channels};
use crate::sync::Guarded;
use alloc::collections::BTreeSet;
use pv_abi::errno::Errno;
use pv_abi::grant_table::GNTTAB_RESERVED_XENSTORE;
use pv_abi::types::{DomId, GrantRef, Port};
use ring1::events::{self, Masked};
use xenbus::access::Events;
use xenbus::store_page::{Failure, StoreEnd};

/// Domains that have rung since they were asked for.
static RANG: Guarded<BTreeSet<DomId>> = Guarded::new(BTreeSet::new());

/// A domain's port has rung: it has written, or made room.
fn rung(domain: u32) {
    RANG.with(|rang| rang.insert(DomId::new(domain as u16)));
    super::rung();
}

/// Domains that have rung since this was asked last.
pub fn take_rung() -> BTreeSet<DomId> {
    RANG.with(core::mem::take)
}

/// The daemon's end of a domain's ring. The port is closed and the page unmapped when it is dropped.
pub struct Ring {
    domain: DomId,
    port: Port,
    end: StoreEnd<Granted>,
    /// The domain broke it.
    failed: bool,
}

impl Ring {
    /// Maps the page and binds the port that a domain was introduced with.
    pub fn new(domain: DomId, port: u32) -> Result<Self, Errno> {
        let memory = Granted::map(domain, &[GrantRef::new(GNTTAB_RESERVED_XENSTORE)])?;
        let end = StoreEnd::attach(memory).map_err(|_| Errno::EINVAL)?;
        let _masked = Masked::new();
        let port = Channels.bind(domain, Port::new(port))?;
        // It rings at once, for what the domain has written before.
        ports::set_with(port, rung, domain.raw().into());
        events::unmask_port(port);
        Ok(Self { domain, port, end, failed: false })
    }

    /// Whose it is.
    pub fn domain(&self) -> DomId {
        self.domain
    }

    /// Takes bytes of requests; how many.
    pub fn read(&mut self, into: &mut [u8]) -> Option<usize> {
        if self.failed {
            return Some(0);
        }
        let read = self.end.read(into);
        self.done(read.map_err(|_| ()))
    }

    /// Gives bytes of replies; how many.
    pub fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.failed {
            return Some(bytes.len());
        }
        let written = self.end.write(bytes);
        self.done(written.map_err(|_| ()))
    }

    /// Tells the domain of what was moved, or that it broke the ring.
    fn done(&mut self, moved: Result<usize, ()>) -> Option<usize> {
        match moved {
            Ok(0) => Some(0),
            Ok(count) => {
                self.notify();
                Some(count)
            }
            Err(()) => {
                self.fail(Failure::RingIndex);
                Some(0)
            }
        }
    }

    /// Whether the domain asks for empty rings.
    pub fn wants_reset(&self) -> bool {
        self.end.wants_reset()
    }

    /// Empties the rings.
    pub fn reset(&mut self) {
        self.end.reset();
        self.failed = false;
        self.notify();
    }

    /// Says that a message cannot be, and does not listen any more.
    pub fn give_up(&mut self) {
        self.fail(Failure::Protocol);
    }

    fn fail(&mut self, failure: Failure) {
        self.end.fail(failure);
        self.failed = true;
        self.notify();
    }

    /// If it cannot be told, the domain is going.
    fn notify(&self) {
        let _ = Channels.send(self.port);
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // It may have gone with the domain.
        let _ = Channels.close(self.port);
    }
}

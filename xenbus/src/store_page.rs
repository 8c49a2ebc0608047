//! The page through which a domain talks to XenStore (`struct xenstore_domain_interface`).
//!
//! Two rings of bytes, requests one way, replies and watch events the other; what the bytes mean is
//! the business of the crate `xenstore`. [`GuestEnd`] is the domain's, [`StoreEnd`] the server's.
//! As with every [stream](crate::stream), who got more than 0 from a call sends an event.
//!
//! **Connecting again.** A domain that does not know what its predecessor left in the rings (a
//! kernel started by a kernel) asks for empty ones: it writes `connection`, sends an event and
//! keeps off until the server has reset the page and written `connection` back. What the server
//! knew of the connection (watches, transactions, a half-read request) is forgotten. Both need the
//! server's word that it can do so, in `server_features`.
//!
//! **Errors.** A server that gives a connection up says why in `error`, for the domain's log.

use core::mem::offset_of;

use pv_abi::io::xs_wire::{
    XENSTORE_CONNECTED, XENSTORE_ERROR_COMM, XENSTORE_ERROR_NONE, XENSTORE_ERROR_PROTO,
    XENSTORE_ERROR_RINGIDX, XENSTORE_RECONNECT, XENSTORE_RING_SIZE, XENSTORE_SERVER_FEATURE_ERROR,
    XENSTORE_SERVER_FEATURE_RECONNECTION, XenstoreDomainInterface as Page,
};

use crate::memory::{Corrupt, SharedMemory, TooSmall};
use crate::stream::{Place, Reader, Writer};

const REQUESTS: Place = Place {
    data: offset_of!(Page, req),
    size: XENSTORE_RING_SIZE as u32,
    cons: offset_of!(Page, req_cons),
    prod: offset_of!(Page, req_prod),
};
const REPLIES: Place = Place {
    data: offset_of!(Page, rsp),
    size: XENSTORE_RING_SIZE as u32,
    cons: offset_of!(Page, rsp_cons),
    prod: offset_of!(Page, rsp_prod),
};
const FEATURES: usize = offset_of!(Page, server_features);
const CONNECTION: usize = offset_of!(Page, connection);
const ERROR: usize = offset_of!(Page, error);

/// Why a server gave a connection up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `XENSTORE_ERROR_COMM`: it could not reach the domain.
    Communication,
    /// `XENSTORE_ERROR_RINGIDX`: an index that cannot be.
    RingIndex,
    /// `XENSTORE_ERROR_PROTO`: a message that cannot be.
    Protocol,
}

/// The domain's end.
#[derive(Debug)]
pub struct GuestEnd<M> {
    memory: M,
    requests: Writer,
    replies: Reader,
    /// We asked for a reset that the server has not made yet.
    reconnecting: bool,
}

impl<M: SharedMemory> GuestEnd<M> {
    /// Takes over the page of the start info, with what is in it.
    ///
    /// # Errors
    /// The memory is smaller than the page's contents.
    pub fn attach(memory: M) -> Result<GuestEnd<M>, TooSmall> {
        let requests = Writer::attach(&memory, REQUESTS)?;
        let replies = Reader::attach(&memory, REPLIES)?;
        Ok(GuestEnd { memory, requests, replies, reconnecting: false })
    }

    /// Writes as many bytes of requests as fit; returns how many: none while a reset is under way.
    ///
    /// # Errors
    /// The server broke the ring.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Corrupt> {
        if self.is_connected() { self.requests.write(&self.memory, bytes) } else { Ok(0) }
    }

    /// Reads as many bytes of replies as wait and fit; returns how many: none while a reset is
    /// under way.
    ///
    /// # Errors
    /// The server broke the ring.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, Corrupt> {
        if self.is_connected() { self.replies.read(&self.memory, into) } else { Ok(0) }
    }

    /// Asks for empty rings; returns whether the server can give them. If so, the caller sends an
    /// event, and [`is_connected`](GuestEnd::is_connected) says when it is done.
    pub fn reconnect(&mut self) -> bool {
        if self.memory.load(FEATURES) & XENSTORE_SERVER_FEATURE_RECONNECTION == 0 {
            return false;
        }
        self.reconnecting = true;
        self.memory.store(CONNECTION, XENSTORE_RECONNECT);
        true
    }

    /// Whether no reset is under way.
    pub fn is_connected(&mut self) -> bool {
        if self.reconnecting && self.memory.load(CONNECTION) == XENSTORE_CONNECTED {
            self.requests.resume(&self.memory);
            self.replies.resume(&self.memory);
            self.reconnecting = false;
        }
        !self.reconnecting
    }

    /// What the server says went wrong, if it says so.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        if self.memory.load(FEATURES) & XENSTORE_SERVER_FEATURE_ERROR == 0 {
            return None;
        }
        match self.memory.load(ERROR) {
            XENSTORE_ERROR_COMM => Some(Failure::Communication),
            XENSTORE_ERROR_RINGIDX => Some(Failure::RingIndex),
            XENSTORE_ERROR_PROTO => Some(Failure::Protocol),
            _ => None,
        }
    }
}

/// The server's end.
#[derive(Debug)]
pub struct StoreEnd<M> {
    memory: M,
    requests: Reader,
    replies: Writer,
}

impl<M: SharedMemory> StoreEnd<M> {
    /// Takes a domain's page over with what is in it, and says what this server can do.
    ///
    /// # Errors
    /// The memory is smaller than the page's contents.
    pub fn attach(memory: M) -> Result<StoreEnd<M>, TooSmall> {
        let requests = Reader::attach(&memory, REQUESTS)?;
        let replies = Writer::attach(&memory, REPLIES)?;
        memory
            .store(FEATURES, XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR);
        Ok(StoreEnd { memory, requests, replies })
    }

    /// Reads as many bytes of requests as wait and fit; returns how many.
    ///
    /// # Errors
    /// The domain broke the ring.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, Corrupt> {
        self.requests.read(&self.memory, into)
    }

    /// Writes as many bytes of replies as fit; returns how many.
    ///
    /// # Errors
    /// The domain broke the ring.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Corrupt> {
        self.replies.write(&self.memory, bytes)
    }

    /// How many bytes of replies can be written now.
    ///
    /// # Errors
    /// The domain broke the ring.
    pub fn room(&self) -> Result<usize, Corrupt> {
        self.replies.room(&self.memory)
    }

    /// Whether the domain asks for a [reset](StoreEnd::reset): to be asked at each event, before
    /// the rings are looked at.
    #[must_use]
    pub fn wants_reset(&self) -> bool {
        self.memory.load(CONNECTION) == XENSTORE_RECONNECT
    }

    /// Empties the rings and says so. The caller forgets what it knew of the connection, before,
    /// and sends an event, after.
    pub fn reset(&mut self) {
        self.requests.reset(&self.memory);
        self.replies.reset(&self.memory);
        self.memory.store(ERROR, XENSTORE_ERROR_NONE);
        // The domain sees empty rings before it sees this.
        self.memory.store(CONNECTION, XENSTORE_CONNECTED);
    }

    /// Says why the connection is given up. The caller sends an event, and leaves the rings alone
    /// until the domain wants a reset.
    pub fn fail(&mut self, failure: Failure) {
        let error = match failure {
            Failure::Communication => XENSTORE_ERROR_COMM,
            Failure::RingIndex => XENSTORE_ERROR_RINGIDX,
            Failure::Protocol => XENSTORE_ERROR_PROTO,
        };
        self.memory.store(ERROR, error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{PAGE_SIZE, Words};

    fn ends() -> (Words, GuestEnd<Words>, StoreEnd<Words>) {
        let memory = Words::pages(1);
        let guest = GuestEnd::attach(memory.clone()).expect("a page is enough");
        let store = StoreEnd::attach(memory.clone()).expect("a page is enough");
        (memory, guest, store)
    }

    fn word(memory: &Words, offset: usize) -> u32 {
        memory.load(offset)
    }

    #[test]
    fn requests_go_one_way_and_replies_the_other() {
        let (memory, mut guest, mut store) = ends();
        assert_eq!(guest.write(b"request"), Ok(7));
        assert_eq!(word(&memory, 2052), 7, "req_prod, as Xen has it");
        let mut bytes = [0; 16];
        assert_eq!(store.read(&mut bytes), Ok(7));
        assert_eq!(&bytes[..7], b"request");
        assert_eq!(store.write(b"reply"), Ok(5));
        assert_eq!(guest.read(&mut bytes), Ok(5));
        assert_eq!(&bytes[..5], b"reply");
        assert_eq!(word(&memory, 2056), 5, "rsp_cons, as Xen has it");
    }

    #[test]
    fn a_full_ring_takes_no_more() {
        let (_, mut guest, mut store) = ends();
        assert_eq!(guest.write(&[1; 2000]), Ok(1024));
        assert_eq!(guest.write(&[1]), Ok(0));
        assert_eq!(store.room(), Ok(1024));
        assert_eq!(store.write(&[2; 1000]), Ok(1000));
        assert_eq!(store.room(), Ok(24));
    }

    #[test]
    fn a_successor_gets_empty_rings() {
        let (memory, mut first, mut store) = ends();
        assert_eq!(first.write(b"half a req"), Ok(10));
        assert_eq!(store.write(b"a reply that nobody reads"), Ok(25));
        let mut guest = GuestEnd::attach(memory.clone()).expect("a page is enough");
        assert!(guest.reconnect());
        assert_eq!(guest.write(b"early"), Ok(0), "keeps off meanwhile");
        assert_eq!(guest.read(&mut [0; 4]), Ok(0));
        assert!(store.wants_reset());
        store.reset();
        assert!(!store.wants_reset());
        assert!(guest.is_connected());
        assert_eq!(guest.write(b"new"), Ok(3));
        let mut bytes = [0; 16];
        assert_eq!(store.read(&mut bytes), Ok(3));
        assert_eq!(&bytes[..3], b"new");
        assert_eq!(guest.read(&mut bytes), Ok(0));
    }

    #[test]
    fn a_server_that_cannot_reset_is_not_asked() {
        let memory = Words::pages(1);
        let mut guest = GuestEnd::attach(memory.clone()).expect("a page is enough");
        assert!(!guest.reconnect());
        assert_eq!(word(&memory, CONNECTION), XENSTORE_CONNECTED);
        assert_eq!(guest.write(b"x"), Ok(1));
        memory.store(ERROR, XENSTORE_ERROR_PROTO);
        assert_eq!(guest.failure(), None, "the field is not known to be one");
    }

    #[test]
    fn failures_are_told() {
        let (memory, mut guest, mut store) = ends();
        assert_eq!(guest.failure(), None);
        for failure in [Failure::Communication, Failure::RingIndex, Failure::Protocol] {
            store.fail(failure);
            assert_eq!(guest.failure(), Some(failure));
        }
        memory.store(ERROR, 99);
        assert_eq!(guest.failure(), None, "not one that we know");
        store.fail(Failure::RingIndex);
        assert!(guest.reconnect());
        store.reset();
        assert_eq!(guest.failure(), None);
    }

    #[test]
    fn indices_that_cannot_be_are_errors() {
        let (memory, mut guest, mut store) = ends();
        memory.store(REQUESTS.prod, 1025);
        assert_eq!(store.read(&mut [0; 8]), Err(Corrupt { ours: 0, theirs: 1025 }));
        memory.store(REPLIES.prod, u32::MAX);
        assert_eq!(guest.read(&mut [0; 8]), Err(Corrupt { ours: 0, theirs: u32::MAX }));
        memory.store(REQUESTS.cons, 1);
        assert_eq!(guest.write(b"x"), Err(Corrupt { ours: 0, theirs: 1 }));
        memory.store(REPLIES.cons, 1);
        assert_eq!(store.write(b"x"), Err(Corrupt { ours: 0, theirs: 1 }));
    }

    #[test]
    fn the_rest_of_the_page_is_left_alone() {
        let (memory, mut guest, mut store) = ends();
        let _ = guest.write(&[0xff; 2000]);
        let _ = store.write(&[0xff; 2000]);
        store.fail(Failure::Protocol);
        let mut rest = [1; PAGE_SIZE - size_of::<Page>()];
        memory.copy_out(size_of::<Page>(), &mut rest);
        assert!(rest.iter().all(|&byte| byte == 0));
    }
}

//! What a half of a driver needs of its domain: events, grants and the store.
//!
//! A guest kernel implements these with hypercalls and its XenStore connection; tests with
//! tables in one process, and may refuse at will. Numbers and errors are Xen's, so that an
//! implementation passes on what its hypercall says.

use alloc::string::String;
use alloc::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, GrantRef, Port};

use crate::memory::SharedMemory;

/// Event channels (`EVTCHNOP_*`).
pub trait Events {
    /// A new port that `remote` may bind to.
    ///
    /// # Errors
    /// ENOSPC and others of `EVTCHNOP_alloc_unbound`.
    fn alloc_unbound(&mut self, remote: DomId) -> Result<Port, Errno>;

    /// A new port of ours, bound to `port` of `remote`, which that domain made for us. An event
    /// waits at it from the start: some may have been sent before.
    ///
    /// # Errors
    /// EINVAL where it did not, and others of `EVTCHNOP_bind_interdomain`.
    fn bind(&mut self, remote: DomId, port: Port) -> Result<Port, Errno>;

    /// Sends an event to the other end. All that was written to memory before is seen by who takes
    /// it.
    ///
    /// # Errors
    /// EINVAL where the port is none of ours.
    fn send(&mut self, port: Port) -> Result<(), Errno>;

    /// Closes a port of ours. The other end, if any, becomes unbound again and can be bound to once
    /// more.
    ///
    /// # Errors
    /// EINVAL where the port is none of ours.
    fn close(&mut self, port: Port) -> Result<(), Errno>;
}

/// Pages that we made for another domain, each with its grant.
#[derive(Debug)]
pub struct Shared<M> {
    /// The pages, side by side.
    pub memory: M,
    /// A grant for each page, in order.
    pub grants: Vec<GrantRef>,
}

/// Grant tables: memory of ours for others, memory of others for us.
pub trait Grants {
    /// Memory of ours.
    type Own: SharedMemory;
    /// Memory of another domain.
    type Foreign: SharedMemory;

    /// So many zeroed pages, granted to `with`, to read and write.
    ///
    /// # Errors
    /// ENOMEM, ENOSPC: there is no memory, or no grant.
    fn share(&mut self, with: DomId, pages: usize) -> Result<Shared<Self::Own>, Errno>;

    /// Takes the grants back and frees the pages.
    ///
    /// # Errors
    /// Gives the pages back as they were while the other domain has one of them mapped: freed
    /// memory would be within its reach.
    fn end(&mut self, shared: Shared<Self::Own>) -> Result<(), Shared<Self::Own>>;

    /// Maps pages of `of`, side by side, to read and write.
    ///
    /// # Errors
    /// EINVAL, EPERM and others of `GNTTABOP_map_grant_ref`, for one of the grants; then none is
    /// mapped.
    fn map(&mut self, of: DomId, grants: &[GrantRef]) -> Result<Self::Foreign, Errno>;

    /// Gives up what [`map`](Grants::map) mapped.
    fn unmap(&mut self, memory: Self::Foreign);
}

/// Our side of a [`Piece`].
#[derive(Debug)]
pub enum Local<'a> {
    /// The peer's bytes are copied here. What is here after a failure is anything.
    Into(&'a mut [u8]),
    /// These bytes are copied to the peer.
    From(&'a [u8]),
}

impl Local<'_> {
    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Local::Into(bytes) => bytes.len(),
            Local::From(bytes) => bytes.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Bytes in one page that another domain granted, and where in our memory they go or come from.
#[derive(Debug)]
pub struct Piece<'a> {
    /// The page.
    pub grant: GrantRef,
    /// The first byte in it. With our side's length it must end within the page.
    pub offset: u16,
    /// Our side.
    pub local: Local<'a>,
    /// What became of it.
    pub done: Result<(), Errno>,
}

impl<'a> Piece<'a> {
    /// A piece to be read from the peer's page.
    #[must_use]
    pub fn read(grant: GrantRef, offset: u16, into: &'a mut [u8]) -> Piece<'a> {
        Piece { grant, offset, local: Local::Into(into), done: Ok(()) }
    }

    /// A piece to be written to the peer's page.
    #[must_use]
    pub fn write(grant: GrantRef, offset: u16, from: &'a [u8]) -> Piece<'a> {
        Piece { grant, offset, local: Local::From(from), done: Ok(()) }
    }
}

/// Copies from and to pages that others granted, without mapping them: the hypervisor does it.
pub trait Copies: Grants {
    /// Copies pieces of pages that `with` granted, many in one crossing. Each has an outcome of its
    /// own, in `done`: EINVAL, EPERM and others of `GNTTABOP_copy`; one that fails may have been
    /// done in part, and the others are done nevertheless.
    fn copy(&mut self, with: DomId, pieces: &mut [Piece<'_>]);
}

/// The nodes of XenStore, inside of a transaction or outside.
///
/// Paths may be relative to the domain's own. Errors are those that the store names; EIO where it
/// cannot be reached.
pub trait Nodes {
    /// The value of a node, if there is one.
    ///
    /// # Errors
    /// EACCES and others of the store.
    fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, Errno>;

    /// Writes a node, and makes it and those above where there are none.
    ///
    /// # Errors
    /// EACCES and others of the store.
    fn write(&mut self, path: &str, value: &[u8]) -> Result<(), Errno>;

    /// The names of a node's children, if there is the node.
    ///
    /// # Errors
    /// EACCES and others of the store.
    fn directory(&mut self, path: &str) -> Result<Option<Vec<String>>, Errno>;
}

/// XenStore, as a client sees it: each call is a request and waits for its reply. The client of the
/// crate `xenstore` is one (`store_client`).
pub trait Store: Nodes {
    /// Has an event with `token` come for each change at or below `path`, and one at once.
    ///
    /// # Errors
    /// EEXIST: there is this watch already.
    fn watch(&mut self, path: &str, token: &str) -> Result<(), Errno>;

    /// Takes a watch away.
    ///
    /// # Errors
    /// ENOENT: there is none.
    fn unwatch(&mut self, path: &str, token: &str) -> Result<(), Errno>;

    /// Does `work` in a transaction: all that it writes becomes true at once, or nothing if it
    /// fails. It is done again where others were in the way.
    ///
    /// # Errors
    /// What `work` says; EAGAIN if others are in the way all the time.
    fn transact(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Nodes) -> Result<(), Errno>,
    ) -> Result<(), Errno>;
}

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

    /// A new port of ours, bound to `port` of `remote`, which that domain made for us.
    ///
    /// # Errors
    /// EINVAL where it did not, and others of `EVTCHNOP_bind_interdomain`.
    fn bind(&mut self, remote: DomId, port: Port) -> Result<Port, Errno>;

    /// Sends an event to the other end. All that was written to memory before is seen by who takes it.
    ///
    /// # Errors
    /// EINVAL where the port is none of ours.
    fn send(&mut self, port: Port) -> Result<(), Errno>;

    /// Closes a port of ours. The other end, if any, becomes unbound again and can be bound to once more.
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
    /// EINVAL, EPERM and others of `GNTTABOP_map_grant_ref`, for one of the grants; then none is mapped.
    fn map(&mut self, of: DomId, grants: &[GrantRef]) -> Result<Self::Foreign, Errno>;

    /// Gives up what [`map`](Grants::map) mapped.
    fn unmap(&mut self, memory: Self::Foreign);
}

/// A transaction, or none, as messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction(pub u32);

impl Transaction {
    /// Outside of transactions.
    pub const NONE: Transaction = Transaction(0);
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// What it wrote becomes true.
    Commit,
    /// Nothing happened.
    Abort,
}

/// XenStore, as a client sees it: each call is one request and waits for its reply.
///
/// Paths may be relative to the domain's own. Errors are those that the store names.
pub trait Store {
    /// The value of a node.
    ///
    /// # Errors
    /// ENOENT: there is none.
    fn read(&mut self, within: Transaction, path: &str) -> Result<Vec<u8>, Errno>;

    /// Writes a node, and makes it and those above where there are none.
    ///
    /// # Errors
    /// EACCES and others of the store.
    fn write(&mut self, within: Transaction, path: &str, value: &[u8]) -> Result<(), Errno>;

    /// Removes a node and all below.
    ///
    /// # Errors
    /// ENOENT: there is none.
    fn remove(&mut self, within: Transaction, path: &str) -> Result<(), Errno>;

    /// The names of a node's children.
    ///
    /// # Errors
    /// ENOENT: there is no such node.
    fn directory(&mut self, within: Transaction, path: &str) -> Result<Vec<String>, Errno>;

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

    /// Begins a transaction.
    ///
    /// # Errors
    /// ENOSPC: there are too many.
    fn begin(&mut self) -> Result<Transaction, Errno>;

    /// Ends a transaction.
    ///
    /// # Errors
    /// EAGAIN: others changed meanwhile what it read or wrote; nothing happened, and it may be tried again.
    fn end(&mut self, transaction: Transaction, how: End) -> Result<(), Errno>;
}

/// How often a transaction is tried: others that write the same nodes all the time do not hold us up for good.
const ATTEMPTS: usize = 16;

/// Runs `f` in a transaction, again where others were in the way.
///
/// # Errors
/// What `f` says, and then nothing is written; EAGAIN if others are in the way all the time.
pub fn transaction<S: Store + ?Sized, T>(
    store: &mut S,
    mut f: impl FnMut(&mut S, Transaction) -> Result<T, Errno>,
) -> Result<T, Errno> {
    for _ in 0..ATTEMPTS {
        let transaction = store.begin()?;
        match f(store, transaction) {
            Ok(value) => match store.end(transaction, End::Commit) {
                Ok(()) => return Ok(value),
                Err(Errno::EAGAIN) => {}
                Err(errno) => return Err(errno),
            },
            Err(errno) => {
                // The transaction is gone either way; why `f` failed is what matters.
                let _ = store.end(transaction, End::Abort);
                return Err(errno);
            }
        }
    }
    Err(Errno::EAGAIN)
}

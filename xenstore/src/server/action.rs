//! What a server asks of its embedder.

use alloc::string::String;

use pv_abi::types::DomId;

/// Something that only the embedder can do. The client's reply does not wait for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Map the page of a domain, bind its event channel, and [connect](super::Server::connect) it.
    /// For a domain that is introduced already: bind anew, and start the rings from zero; what the
    /// old connection had is gone.
    Introduce {
        /// The domain.
        domid: DomId,
        /// Frame of the page (`xen/io/xs_wire.h`'s `struct xenstore_domain_interface`).
        gfn: u64,
        /// The domain's unbound port.
        port: u32,
    },
    /// Unbind and unmap: the domain was released. Its connections are closed.
    Release(DomId),
    /// Print a line (`CONTROL print`).
    Print(String),
    /// Log requests from now on, or stop (`CONTROL log`); [`Trace`](crate::wire::Trace) follows them.
    Log(bool),
    /// Call [`live_update`](super::Server::live_update) (`CONTROL live-update`).
    LiveUpdate,
}

//! How much of the store a domain may use.
//!
//! Every limit is per domain and holds for unprivileged ones only; the defaults are Xen 4.17's.
//! Domain 0 is trusted with the store, but not with the server's memory: a client of it that does not
//! take its events is cut off at [`Quotas::backlog`].

/// The limits. 0 is a limit too: nothing of the kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quotas {
    /// Nodes that a domain owns. Past it: `ENOSPC`.
    pub nodes: u32,
    /// Bytes of one node: its value, its permissions, its name. Past it: `ENOSPC`.
    pub node_size: u32,
    /// Entries of one node's permissions. Past it: `ENOSPC`.
    pub permissions: u32,
    /// Watches that are set. Past it: `E2BIG`.
    pub watches: u32,
    /// Transactions that are open. Past it: `ENOSPC`.
    pub transactions: u32,
    /// Nodes that one transaction touches, read or written. Past it: `ENOSPC`.
    pub transaction_nodes: u32,
    /// Requests whose reply, or whose events for others, were not taken yet. At it the server stops
    /// reading from the domain.
    pub outstanding: u32,
    /// Bytes held for the domain: nodes, watches, transactions, what waits to be sent. Past it:
    /// `ENOMEM` for requests, events are dropped, and the server stops reading from the domain.
    pub memory: u32,
    /// Bytes that wait for one client of domain 0. At it the server stops reading from the client;
    /// a client at twice as much is cut off.
    pub backlog: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            nodes: 1000,
            node_size: 2048,
            permissions: 5,
            watches: 128,
            transactions: 10,
            transaction_nodes: 1024,
            outstanding: 20,
            memory: 5 << 19,
            backlog: 8 << 20,
        }
    }
}

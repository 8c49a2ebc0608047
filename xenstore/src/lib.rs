//! XenStore: the tree of small values through which domains, toolstack and drivers find each other.
//!
//! This crate is the whole of it except I/O. The same code serves in domain 0 over rings to other
//! domains, in domain 0 to the host, and as a daemon of Linux:
//!
//! * [`wire`]: messages as `xen/io/xs_wire.h` lays them out, and a [`wire::Framer`] that cuts a
//!   stream of bytes into them.
//! * [`server`]: [`server::Server`], bytes in and bytes out per connection. It opens nothing, waits
//!   for nothing and knows no clock; what only its embedder can do (map a ring, unmap it) it asks for
//!   as an [`server::Action`].
//! * [`client`]: [`client::Client`], blocking requests over any [`client::Transport`].
//! * [`share`]: [`share::Share`], several clients over one connection.
//!
//! Xen's 4.17 headers decide the protocol; where they and `docs/misc/xenstore.txt` are silent, what
//! Xen 4.17's own daemon does.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod client;
pub mod dump;
#[cfg(test)]
mod harness;
mod nodes;
mod path;
pub mod perms;
pub mod quota;
pub mod server;
pub mod share;
mod store;
mod transaction;
mod tree;
mod watch;
pub mod wire;

pub use pv_abi::types::DomId;

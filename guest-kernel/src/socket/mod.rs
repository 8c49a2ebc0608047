//! TCP/IP for programs: the sockets of Linux over smoltcp's protocols.
//!
//! ```text
//!   system calls ── file ──┐                    ┌── Interface of the network, or none
//!   commands of the shell ─┼── Stack ── Link ───┤
//!   ip= on the command line┘     │              └── loopback
//!                              smoltcp
//! ```
//!
//! smoltcp has connections, datagrams, DHCP and ARP; what programs call a socket is more than that,
//! and is here: ports that are chosen or taken ([`ports`]), listening with a backlog ([`listener`]),
//! connections that outlive their socket and errors that are told once ([`stream`]), addresses from
//! the command line or from DHCP ([`plan`], [`network`]).
//!
//! There is one [`Stack`], of one interface. It never waits and knows no clock: whoever calls it says
//! what time it is. A socket that could not do something at once is [`EAGAIN`](crate::errno::EAGAIN)
//! here, and the caller may sleep until [`Stack::poll`] names the socket. So the whole of it runs in
//! the tests, two stacks on one cable.
//!
//! In the kernel one task ([`task`]) polls the stack: when a frame came, when a socket was used, when
//! a timer of a connection is due.
//!
//! **Memory.** A connection has two buffers of [`stream::BUFFER`] bytes from its SYN on. So that no
//! peer can have the kernel run out of memory, there are never more connections than the stack was
//! made for, and none is made for a peer while the kernel is short of memory.

pub mod address;
pub mod datagram;
pub mod echo;
pub mod ioctl;
pub mod link;
pub mod listener;
pub mod network;
pub mod options;
pub mod plan;
pub mod ports;
pub mod raw;
pub mod report;
pub mod resolver;
pub mod stack;
pub mod stream;

#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod command;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod file;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod task;

#[cfg(test)]
mod tests;

pub use stack::{Id, Kind, Stack};

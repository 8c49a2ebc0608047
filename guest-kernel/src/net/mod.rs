//! Networks: what a TCP/IP stack sees of a network device, and the devices themselves.
//!
//! An [`Interface`] takes and gives Ethernet frames (from the destination address on, without the
//! check sequence) and never waits. Whoever finds it [`Busy`], or finds nothing received, sleeps
//! until the [`Waker`] that it named is called, and tries again. An interface lives as long as its
//! device has a name, whatever becomes of the device's other end: while the link is down nothing
//! comes, and what is sent is lost, as on a cable that hangs loose.
//!
//! Interfaces have names (`registry`): `eth0` is netfront's in a domU, and in domain 0 its own end of
//! the bridge, as in a driver domain. There a device of its own takes the card's place ([`uplink`]).
//!
//! ```text
//!   domU                  domain 0
//!   stack                 stack     +- back -- device of a guest
//!     | Interface           |       |
//!   front --- rings --.    own ----hub-- card -- the machine's network card
//!                      `-- back ----'
//! ```
//!
//! The protocols and the bridge's decisions are `xenbus::net`'s; here are tasks, wakers and queues.

#[cfg(all(target_os = "none", target_arch = "x86"))]
mod back;
#[cfg(all(target_os = "none", target_arch = "x86"))]
mod card;
#[cfg(all(target_os = "none", target_arch = "x86"))]
mod front;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod hub;
#[cfg(any(test, all(target_os = "none", target_arch = "x86")))]
mod offload;
#[cfg(all(target_os = "none", target_arch = "x86"))]
mod own;
#[cfg(test)]
pub mod pair;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod registry;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod send;
#[cfg(all(target_os = "none", target_arch = "x86"))]
mod start;
pub mod traffic;
#[cfg(all(target_os = "none", target_arch = "x86"))]
mod uplink;

#[cfg(all(target_os = "none", target_arch = "x86"))]
pub use start::{serve_guests, start_domain_0, start_driver_domain, start_guest};

use crate::waker::Waker;
use alloc::vec::Vec;

pub use xenbus::net::Mac;

/// Bytes of a frame before what it carries: two addresses and a type.
pub const ETHERNET_HEADER: usize = 14;

/// Bytes that a frame carries on an Ethernet.
pub const ETHERNET_MTU: usize = 1500;

/// There is no room for a frame now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Which checksums of TCP and UDP over IPv4 are not the stack's to care for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// What is sent may lack them: the interface sees to it that they are filled in where it
    /// matters, whatever stands in their place.
    pub transmit: bool,
    /// What is received need not be checked: it has been, or has not been on a wire.
    pub receive: bool,
}

/// A network device as a stack uses it. All calls return at once.
pub trait Interface: Send + Sync {
    /// Its address.
    fn mac(&self) -> Mac;

    /// Bytes that a frame may carry after its header of [`ETHERNET_HEADER`] bytes.
    fn mtu(&self) -> usize {
        ETHERNET_MTU
    }

    /// Checksums that it takes off the stack's hands: the same as long as it lives.
    fn offload(&self) -> Offload {
        Offload::default()
    }

    /// Whether frames get anywhere now.
    fn is_up(&self) -> bool;

    /// Sends a frame. One that is too short or too long to be one is dropped; one that carries more than
    /// the [MTU](Interface::mtu), too, unless it is of TCP over IPv4 and the interface can have it cut.
    ///
    /// # Errors
    /// There is no room; the waker is called when there may be.
    fn send(&self, frame: &[u8]) -> Result<(), Busy>;

    /// Puts the next frame that came into `into`, instead of what was there. False: none has come.
    fn receive(&self, into: &mut Vec<u8>) -> bool;

    /// Has `waker` be called when a frame has come, when there is room after [`Busy`], and when the
    /// link goes up or down; instead of the one before.
    fn set_waker(&self, waker: Waker);
}

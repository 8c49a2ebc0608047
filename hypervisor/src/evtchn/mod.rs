//! Event channels: how domains, vCPUs and the hypervisor ring each other's bells.
//!
//! A *port* is a number of one domain's. It is bound to something that can ring it
//! ([`port::State`]): a port of another domain, a virtual interrupt, another vCPU of its
//! own. An event carries nothing; two that come before the guest looks are one.
//!
//! | file | is |
//! |---|---|
//! | [`port`] | what a port is bound to: a state machine of values |
//! | [`table`] | a domain's ports, and the lock under which they change |
//! | [`delivery`] | how an event reaches the guest: by one of two ABIs |
//! | [`two_level`], [`bits`] | bits in shared memory: where they are, in which order they are set |
//! | [`fifo`] | queues in shared memory |
//! | [`virq`] | virtual interrupts: which exist, which port each rings |
//! | [`pirq`] | physical interrupts: which port each rings |
//! | [`bind`], [`close`], [`mod@reset`] | making and unmaking bindings |
//! | [`ops`] | the hypercall: decode, and the short operations |
//! | [`report`] | all of it in words |
//!
//! # Sending takes no lock
//!
//! A port's state is one atomic word. Sending reads the word of the local port, and for
//! a connected one that of the remote port, then sets bits in the receiver's memory. It
//! may race with a close: then it rings a port that is just being closed, or was just
//! bound anew. Both are as if it had been sent a moment earlier or to the new binding;
//! guests have to live with an event too many anyway, and none is lost.
//!
//! Binding and closing change words under the domain's lock
//! ([`table::Events::changes`]); those that involve two domains take both locks, the
//! lower domain number first.

pub mod bind;
pub mod bits;
pub mod close;
pub mod delivery;
pub mod fifo;
pub mod ops;
pub mod pirq;
pub mod port;
pub mod report;
pub mod reset;
pub mod table;
pub mod two_level;
pub mod virq;

pub use table::Events;

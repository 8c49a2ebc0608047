//! Protocols over pages that two domains share: layouts only.
//!
//! The console's page is in [`crate::console`].

pub mod blkif;
pub mod netif;
pub mod protocols;
pub mod ring;
pub mod xenbus;
pub mod xs_wire;

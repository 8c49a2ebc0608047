//! Virtio devices of domain 0.
//!
//! The queues and the PCI transport are the crate `virtio-drivers`'; what it asks of a machine is
//! here: configuration space by ports ([`pci`]), memory that a device may use, by machine addresses
//! ([`dma`]). The devices' interrupts are wires ([`wire`]), level-triggered: reading the device's
//! interrupt status quietens it.

pub mod block;
pub mod console;
pub mod dma;
pub mod net;
pub mod pair;
pub mod pci;
pub mod wire;

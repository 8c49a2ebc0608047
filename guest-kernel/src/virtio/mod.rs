//! Virtio devices of domain 0.
//!
//! The queues and the PCI transport are the crate `virtio-drivers`'; what it asks of a machine is
//! here: configuration space by ports ([`pci`]), memory that a device may use, by machine addresses
//! ([`dma`]). The devices' interrupts are wires ([`wire`]), level-triggered: reading the device's
//! interrupt status quietens it.
//!
//! Driver and device each say in the rings whether they want to be told of something new. Who adds
//! something looks at that afterwards, and who asks to be told looks for something new afterwards:
//! between store and load, on both sides, is a full barrier, or both may miss the other ([`settle`]).

pub mod block;
pub mod console;
pub mod dma;
pub mod net;
pub mod pair;
pub mod pci;
pub mod wire;

use core::sync::atomic::{Ordering, fence};

/// Has the device see what was stored before anything is loaded (Virtio 1.2, 2.7.13.4.1).
fn settle() {
    fence(Ordering::SeqCst);
}

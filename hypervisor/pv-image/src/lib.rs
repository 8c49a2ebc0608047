//! How a PV kernel's image becomes a domain's first memory: everything about it that is thought and
//! not done.
//!
//! Two builders share it: the hypervisor's, which makes domain 0 in frames that it owns, and domain
//! 0's, which makes all other domains through hypercalls. What a kernel finds when it starts is Xen's
//! contract to the byte (`xen.h`, "start of day memory layout"), so it is decided once. Nothing
//! here touches memory that is not its own, allocates, or has a system below it.
//!
//! | module | knows |
//! |---|---|
//! | [`elf`] | which bytes of the file go where; refuses what cannot be |
//! | [`notes`] | what the kernel says of itself, read tolerantly |
//! | [`kernel`] | both put together, and checked against each other |
//! | [`refusal`] | why nothing can be made of it |
//! | [`layout`] | what lies where in the domain's memory |
//! | [`tables`] | which page-table entries there are |
//! | [`start`] | what the start info page says |
//! | [`width`] | the two kinds of guest |
#![no_std]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

#[cfg(test)]
extern crate std;

pub mod elf;
pub mod kernel;
pub mod layout;
pub mod notes;
pub mod refusal;
pub mod start;
pub mod tables;
pub mod width;

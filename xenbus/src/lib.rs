#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

#[cfg(test)]
extern crate std;

extern crate alloc;

pub mod access;
pub mod back;
pub mod block;
pub mod bus;
pub mod console;
pub mod console_page;
pub mod device;
pub mod front;
pub mod handshake;
pub mod memory;
pub mod net;
pub mod ring;
pub mod state;
mod store_client;
pub mod store_page;
pub mod stream;

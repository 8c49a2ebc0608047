#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod config;
pub mod cpu_set;
mod nearest;
pub mod terminal;
pub mod toolstack;
pub mod uuid;

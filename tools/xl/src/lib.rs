#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod config;
pub mod cpu_set;
#[cfg(test)]
mod fake;
mod json;
mod nearest;
pub mod remote;
pub mod terminal;
pub mod toolstack;
pub mod uuid;
pub mod verbs;

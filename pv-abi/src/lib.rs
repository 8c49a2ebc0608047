#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![allow(clippy::duplicate_mod, reason = "each file of layout/ is compiled once a width")]

#[cfg(test)]
extern crate std;

#[macro_use]
mod declare;

pub mod callback;
pub mod commands;
pub mod console;
pub mod cpuid;
pub mod domctl;
pub mod elfnote;
pub mod errno;
pub mod event_channel;
pub mod features;
pub mod grant_table;
pub mod hypercall;
pub mod io;
pub mod manifest;
pub mod memory;
pub mod mmu;
pub mod nmi;
pub mod physdev;
pub mod platform;
pub mod sched;
pub mod start_info;
pub mod sysctl;
pub mod time;
pub mod traps;
pub mod types;
pub mod vcpu;
pub mod vectors;
pub mod version;
pub mod virq;
pub mod vm_assist;
pub mod x86_32;
pub mod x86_64;

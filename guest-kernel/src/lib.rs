#![doc = include_str!("../README.md")]
//!
//! What can run on the host is logic without the machine: [`block`] in part, [`control`] in part,
//! [`device_nodes`], [`domain_log`], [`errno`], [`fs`] in part, [`shell`], [`initrd`], [`net`],
//! [`program`], [`regions`], [`restarts`], [`signal`], [`socket`] in part, [`store_nodes`],
//! [`terminal`], [`waker`]. The rest exists only for the bare-metal target.
#![no_std]
#[cfg(test)]
extern crate std;

extern crate alloc;

pub mod block;
pub mod control;
pub mod device_nodes;
pub mod domain_log;
pub mod errno;
pub mod fs;
pub mod grant;
pub mod initrd;
pub mod net;
pub mod proc;
pub mod program;
pub mod regions;
pub mod restarts;
pub mod shell;
pub mod signal;
pub mod socket;
pub mod store_nodes;
pub mod terminal;
pub mod waker;

#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod device;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod domu;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod heap;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod host;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod hostname;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod mm;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod nmi;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod ports;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod services;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod store;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod sync;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod syscall;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod task;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod time;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod toolstack;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod traps;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod tty;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod virtio;

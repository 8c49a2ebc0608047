//! The Ferrule hypervisor: its logic, apart from the machine.
//!
//! Everything here but `arch` is safe code over the traits of [`platform`], so the
//! same hypercalls run on the CPU and under `cargo test`. Imports point one way:
//! `guest` and `mm` know nothing of `evtchn`, `sched` and `domain`'s users; those know
//! nothing of `trap` and `hypercall`; only `main.rs` names both `arch` and the rest.
#![no_std]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

#[cfg(any(test, all(debug_assertions, not(target_os = "none"))))]
extern crate std;

#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod arch;
pub mod builder;
pub mod cell;
pub mod cmdline;
pub mod console_input;
pub mod console_ring;
pub mod debug_keys;
pub mod domain;
pub mod error;
pub mod evtchn;
pub mod exit;
pub mod grant;
pub mod guest;
pub mod hypercall;
pub mod irq;
pub mod lock;
pub mod machine;
pub mod mm;
pub mod platform;
pub mod reports;
pub mod sched;
pub mod support;
pub mod system;
pub mod time;
pub mod trace;
pub mod trap;

pub use pv_image::width;

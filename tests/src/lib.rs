//! Host tests of the hypervisor, through the same dispatch that runs on the CPU.
//!
//! - [`machine::FakeMachine`] is the machine: an array of frames, a software page walk
//!   with a TLB that really goes stale, and devices that record what was done to them.
//! - [`boot`] makes a `System` over it, as `arch` does on the CPU.
//! - [`support`] finds out what there is of the ABI, and which tests are about it.
//! - [`guest::Guest`] is a domain on it and the code that runs in it: it makes
//!   hypercalls, and reads and writes its memory by virtual address.
//! - [`channels`] are the event channel operations, [`fifo`] a guest's half of the FIFO ABI.
//!
//! ```
//! use pv_abi::hypercall as nr;
//! use pv_tests::guest::Guest;
//!
//! let mut guest = Guest::pv32();
//! assert_eq!(guest.call(63, &[]), -38, "ENOSYS");
//! ```

pub mod boot;
pub mod channels;
pub mod check;
pub mod cpus;
pub mod elf;
mod events;
pub mod fifo;
pub mod guest;
pub mod machine;
pub mod ops;
pub mod support;
pub mod toolstack;

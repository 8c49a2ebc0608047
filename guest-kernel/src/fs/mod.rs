//! Files: what descriptors lead to, and where paths lead.
//!
//! [`file::File`] is what every kind of file implements; [`descriptors::Files`] are a process's
//! descriptors of [`file::Open`] ones. Paths lead into the initrd, read-only, or to one of a few devices;
//! they are absolute or relative to `/`: there is one current directory.

pub mod descriptors;
pub mod file;
pub mod member;

#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod device;
#[cfg(all(target_os = "none", target_arch = "x86"))]
mod paths;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod pipe;

#[cfg(all(target_os = "none", target_arch = "x86"))]
pub use paths::{init, initrd, open};

//! Control of other domains and of the machine: what domain 0 alone may ask the hypervisor for.

pub mod counters;

#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod domctl;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod sysctl;

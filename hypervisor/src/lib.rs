//! Skeleton.
#![no_std]
#[cfg(test)]
extern crate std;

#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod arch;
pub mod machine;

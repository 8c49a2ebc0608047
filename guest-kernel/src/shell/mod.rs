//! The shell.

pub mod kernel;

pub use kernel::{Kernel, Terminal};

//! The shell.

pub mod complete;
pub mod editor;
pub mod history;
pub mod kernel;
pub mod keys;

pub use kernel::{Kernel, Terminal};

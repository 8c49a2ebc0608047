//! The parts of the host's program.

pub mod carry;
pub mod completion;
pub mod files;
pub mod options;
pub mod plan;
pub mod progress;
pub mod terminal;

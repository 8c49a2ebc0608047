//! Domain files: xl.cfg(5).
//!
//! ```text
//!  text ─ syntax ─ settings ─ domain ─ model::DomainConfig
//!            │                  │  └ disk (vdev), vif
//!            └─── diagnostic ───┘    keys
//! ```
//!
//! The host's program reads a file with this to tell what is wrong before it carries anything to
//! the machine; domain 0 reads it again.

pub mod diagnostic;
pub mod disk;
pub mod domain;
pub mod keys;
pub mod model;
mod syntax;
pub mod vdev;
pub mod vif;

pub use diagnostic::{Diagnostic, Severity, Source};
pub use domain::{Reading, read};
pub use model::DomainConfig;

//! Domain files: xl.cfg(5).
//!
//! [`model`] is what a file says, typed: the toolstack builds a domain from it and sees no text.

pub mod model;

pub use model::DomainConfig;

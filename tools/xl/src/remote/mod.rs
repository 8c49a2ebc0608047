//! One verb over one channel: typed on the host, carried out in domain 0.
//!
//! ```text
//!  host (client)                              domain 0 (server)
//!    Start: words, window, names and sizes ──>   has it room?
//!                               <── Accept       or Err and Exit
//!    File … File, in order ──────────────────>   keeps them
//!    Input, InputEnd, Resize ────────────────>   runs the verb
//!                     <── Out, Err, Mode … Exit
//! ```
//!
//! Domain 0 learns of every file's size before the first byte of any is on its way, so that it can
//! refuse early. File contents come first and keys after them, on the one stream: whoever writes
//! may write ahead as far as the channel lets it.
//!
//! Both halves are state machines without input or output: bytes in any split go in, events come
//! out, and bytes to send wait in an [`Outbox`]. Neither trusts the other: what is out of order, too
//! long or malformed is a [`Violation`], after which the channel is good for nothing.

pub mod client;
pub mod frame;
pub mod outbox;
mod received;
pub mod serve;
pub mod server;

pub use client::Client;
pub use frame::Violation;
pub use outbox::Outbox;
pub use serve::{Channel, Incoming, serve};
pub use server::{Request, Server};

/// The protocol's version, which both halves must have.
pub const VERSION: u16 = 1;
/// The most files of one verb: a domain file, a kernel, a ramdisk, and some to spare.
pub const FILES_MAX: usize = 8;

#[cfg(test)]
mod tests;

//! The way between the host and domain 0: many channels over one stream of bytes.
//!
//! Domain 0 has one virtio console whose other end is a socket of the host. Over it a program of
//! the host reaches a *service* of domain 0 by its name: the host opens a channel, both sides
//! send bytes in it, either closes it. `xenstore` is a connection to the store, in its own wire
//! protocol; `xl` runs a verb.
//!
//! [`End`] is one end of it, the same for both sides: bytes that came go in, bytes to be sent come
//! out, [`Event`]s say what happened. It does no I/O and knows no clock.
//!
//! # Frames
//!
//! | bytes | what |
//! |---|---|
//! | 0 | kind: 1 OPEN, 2 DATA, 3 CREDIT, 4 CLOSE, 5 RESET; 0 is padding of one byte |
//! | 1 | the complement of the kind |
//! | 2..4 | channel, little-endian; 0 in RESET |
//! | 4..8 | length of the payload, at most [`MAX_PAYLOAD`], little-endian |
//! | 8.. | payload, and a last byte 0xfe |
//!
//! OPEN has the service's name; CREDIT a 32-bit number of bytes; RESET is told in [`session`].
//! Only the host opens, so only the host gives out numbers: those below [`MAX_CHANNELS`].
//!
//! # Flow control
//!
//! Each direction of a channel starts with a credit of [`WINDOW`] bytes. Who sends spends it, who has
//! taken bytes out of the channel gives it back by CREDIT. So whoever is slow to take bytes stops
//! one direction of one channel, and nothing else.
//!
//! # Closing
//!
//! Each side sends CLOSE once, when its program has let go of the channel, and nothing after it. So
//! the number is free, on both sides, when both have said so: no program has any use for it.
//!
//! # Starting anew
//!
//! Either side may restart, or lose its place in the stream, at any byte. RESET is always sent
//! behind twice as many bytes of padding as the longest frame has: the first ones complete whatever
//! frame was cut off, which its last byte then shows to be broken; and who is out of step
//! waits for a run of padding as long as a frame, which no frame can hold. So nothing needs to be
//! escaped, and no bytes of a file that is sent can be taken for a RESET.
//!
//! # What a peer can do
//!
//! Breaking a rule (sending beyond its credit, using a number that is not open, a frame that is
//! none) ends the session: all channels are gone, and a RESET begins the next. Memory is bounded
//! whatever the peer sends and however little it reads: [`WINDOW`] received bytes and three
//! events for each channel, and one bounded buffer of output.
#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod channel;
mod end;
pub mod frame;
#[cfg(feature = "std")]
pub mod host;
#[cfg(feature = "std")]
pub mod machine;
mod output;
pub mod session;

pub use end::{ChannelId, End, Event, Refused, Side};

/// Most bytes of a frame's payload.
pub const MAX_PAYLOAD: usize = 4096;
/// Most channels at a time.
pub const MAX_CHANNELS: usize = 256;
/// Bytes that may be on their way in one direction of a channel.
pub const WINDOW: usize = 64 << 10;
/// Most bytes of a service's name.
pub const MAX_SERVICE: usize = 64;

/// The services that domain 0 has.
pub mod service {
    /// A connection to the store as domain 0's, in the wire protocol of XenStore.
    pub const XENSTORE: &str = "xenstore";
    /// One verb of `xl`, in its remote protocol.
    pub const XL: &str = "xl";
}

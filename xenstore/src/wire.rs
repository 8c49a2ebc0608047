//! Messages on the wire: a head of 16 bytes, then at most 4096 bytes of payload.
//!
//! A reply repeats type, request id and transaction id of its request; a failed request's reply is of
//! the type [`Error`](MessageType::Error) and its payload is the [name](errors) of an error. Strings
//! in payloads end in NUL, see [`payload`].

pub mod errors;
mod framer;
pub mod payload;
mod trace;

pub use framer::{Framer, Message, TooLong};
pub use trace::{Seen, Trace};

use pv_abi::io::xs_wire;

/// The protocol's limits, in bytes.
pub mod limits {
    pub use pv_abi::io::xs_wire::{
        XENSTORE_ABS_PATH_MAX, XENSTORE_PAYLOAD_MAX, XENSTORE_REL_PATH_MAX,
    };
}

/// Declares the message types: `Name = XS_NAME "meaning";`.
macro_rules! message_types {
    ($($name:ident = $number:ident $meaning:literal;)*) => {
        /// What a message is: C's `enum xsd_sockmsg_type`.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum MessageType {$(
            #[doc = $meaning]
            #[doc = ""]
            #[doc = concat!("C: `", stringify!($number), "`.")]
            $name,
        )*}

        impl MessageType {
            /// Every type there is, by number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The number on the wire.
            #[must_use]
            pub const fn raw(self) -> u32 {
                match self {$(Self::$name => xs_wire::$number,)*}
            }

            /// The type of a number, if it is one.
            #[must_use]
            pub const fn from_raw(raw: u32) -> Option<Self> {
                match raw {
                    $(xs_wire::$number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The C name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {$(Self::$name => stringify!($number),)*}
            }
        }
    };
}

message_types! {
    Control = XS_CONTROL "A command to the server itself.";
    Directory = XS_DIRECTORY "Names of a node's children.";
    Read = XS_READ "A node's value.";
    GetPerms = XS_GET_PERMS "A node's permissions.";
    Watch = XS_WATCH "Sets a watch.";
    Unwatch = XS_UNWATCH "Takes a watch away.";
    TransactionStart = XS_TRANSACTION_START "Starts a transaction.";
    TransactionEnd = XS_TRANSACTION_END "Commits or drops a transaction.";
    Introduce = XS_INTRODUCE "Connects a domain.";
    Release = XS_RELEASE "Disconnects a domain.";
    GetDomainPath = XS_GET_DOMAIN_PATH "A domain's home.";
    Write = XS_WRITE "Writes a node, made where missing.";
    Mkdir = XS_MKDIR "Makes a node where missing.";
    Rm = XS_RM "Removes a node and all below it.";
    SetPerms = XS_SET_PERMS "Sets a node's permissions.";
    WatchEvent = XS_WATCH_EVENT "A watch fired (server to client only).";
    Error = XS_ERROR "A request failed (server to client only).";
    IsDomainIntroduced = XS_IS_DOMAIN_INTRODUCED "Whether a domain is connected.";
    Resume = XS_RESUME "A domain that was shut down goes on.";
    SetTarget = XS_SET_TARGET "Lets a domain act for another.";
    ResetWatches = XS_RESET_WATCHES "Ends all watches and transactions of the caller.";
    DirectoryPart = XS_DIRECTORY_PART "A part of a long list of children.";
}

/// The head of a message: C's `struct xsd_sockmsg`, little endian.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Number of a [`MessageType`]; what a peer sent may be none.
    pub message_type: u32,
    /// Chosen by the client and repeated in the reply. Many clients send 0 always.
    pub request: u32,
    /// The transaction that the request belongs to; 0: none.
    pub transaction: u32,
    /// Bytes of payload that follow.
    pub len: u32,
}

impl Header {
    /// Bytes of a head.
    pub const SIZE: usize = size_of::<xs_wire::XsdSockmsg>();

    /// The head of a message that no request caused.
    #[must_use]
    pub const fn unsolicited(message_type: MessageType) -> Self {
        Self { message_type: message_type.raw(), request: 0, transaction: 0, len: 0 }
    }

    /// What the message is, if its number is one.
    #[must_use]
    pub const fn kind(&self) -> Option<MessageType> {
        MessageType::from_raw(self.message_type)
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let words = [self.message_type, self.request, self.transaction, self.len];
        let mut bytes = [0; Self::SIZE];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The head that these bytes are.
    #[must_use]
    pub fn decode(bytes: [u8; Self::SIZE]) -> Self {
        let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3] = bytes;
        Self {
            message_type: u32::from_le_bytes([a0, a1, a2, a3]),
            request: u32::from_le_bytes([b0, b1, b2, b3]),
            transaction: u32::from_le_bytes([c0, c1, c2, c3]),
            len: u32::from_le_bytes([d0, d1, d2, d3]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_headers() {
        let numbers: std::vec::Vec<u32> = MessageType::ALL.iter().map(|kind| kind.raw()).collect();
        let expected: std::vec::Vec<u32> =
            (0..xs_wire::XS_TYPE_COUNT).filter(|number| *number != 20).collect();
        assert_eq!(numbers, expected);
        for kind in MessageType::ALL {
            assert_eq!(MessageType::from_raw(kind.raw()), Some(*kind));
        }
        for number in [20, xs_wire::XS_TYPE_COUNT, xs_wire::XS_INVALID, u32::MAX] {
            assert_eq!(MessageType::from_raw(number), None);
        }
        assert_eq!(MessageType::DirectoryPart.name(), "XS_DIRECTORY_PART");
    }

    #[test]
    fn heads_come_back() {
        let head =
            Header { message_type: 2, request: 0x0102_0304, transaction: 0xffff_fffe, len: 4096 };
        let bytes = head.encode();
        assert_eq!(bytes[..8], [2, 0, 0, 0, 4, 3, 2, 1]);
        assert_eq!(Header::decode(bytes), head);
    }
}

//! Why a request failed.

use core::fmt;

use pv_abi::errno::Errno;

/// Why a request failed; `E` is the transport's reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error<E> {
    /// The server refused it.
    Refused(Errno),
    /// Bytes could not be carried.
    Transport(E),
    /// The server closed the connection.
    Closed,
    /// What came is not the protocol.
    Malformed,
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(errno) => errno.fmt(f),
            Self::Transport(error) => error.fmt(f),
            Self::Closed => f.write_str("the store closed the connection"),
            Self::Malformed => f.write_str("the store's answer is not the protocol"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Error<E> {}

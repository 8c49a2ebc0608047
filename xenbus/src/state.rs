//! The states of a half of a device, as its node `state` says them.

use core::fmt;

use pv_abi::io::xenbus as number;

/// What a half of a device is doing (`XenbusState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// There is no half, or it says nothing that we know.
    Unknown,
    /// It begins.
    Initialising,
    /// It waits for the peer.
    InitWait,
    /// It has published its rings.
    Initialised,
    /// It works.
    Connected,
    /// It is going away.
    Closing,
    /// It is gone.
    Closed,
    /// It is being changed.
    Reconfiguring,
    /// It has been changed.
    Reconfigured,
}

impl State {
    /// All of them.
    pub const ALL: [State; 9] = [
        State::Unknown,
        State::Initialising,
        State::InitWait,
        State::Initialised,
        State::Connected,
        State::Closing,
        State::Closed,
        State::Reconfiguring,
        State::Reconfigured,
    ];

    /// The number that stands for it.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            State::Unknown => number::XENBUS_STATE_UNKNOWN,
            State::Initialising => number::XENBUS_STATE_INITIALISING,
            State::InitWait => number::XENBUS_STATE_INIT_WAIT,
            State::Initialised => number::XENBUS_STATE_INITIALISED,
            State::Connected => number::XENBUS_STATE_CONNECTED,
            State::Closing => number::XENBUS_STATE_CLOSING,
            State::Closed => number::XENBUS_STATE_CLOSED,
            State::Reconfiguring => number::XENBUS_STATE_RECONFIGURING,
            State::Reconfigured => number::XENBUS_STATE_RECONFIGURED,
        }
    }

    /// What a node's value says: a number in decimal. Anything else is [`State::Unknown`], since a
    /// peer may write what it likes.
    #[must_use]
    pub fn parse(value: &[u8]) -> State {
        let number = core::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok());
        let state =
            number.and_then(|number: u32| Self::ALL.into_iter().find(|s| s.number() == number));
        state.unwrap_or(State::Unknown)
    }
}

impl fmt::Display for State {
    /// The number, as it is in the store.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn what_is_written_is_read() {
        for state in State::ALL {
            assert_eq!(State::parse(state.to_string().as_bytes()), state);
        }
        assert_eq!(State::Connected.to_string(), "4");
    }

    #[test]
    fn nonsense_is_unknown() {
        for value in [&b""[..], b"9", b"-1", b"four", b"4 4", b"\xff", b"4294967300", b"4\0"] {
            assert_eq!(State::parse(value), State::Unknown, "{value:?}");
        }
        assert_eq!(State::parse(b"4\n"), State::Connected, "as a shell writes it");
    }
}

//! The front end's half.

use super::Step;
use crate::state::State;

/// What the domain wants of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// It shall work.
    Up,
    /// It shall not.
    Down,
}

/// What a front end does between two states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// Make rings and an event channel for the peer, and write where they are.
    Publish,
    /// Read what the peer offers, and begin to use the device.
    Connect,
    /// Stop using the device, since it is being changed.
    Suspend,
    /// Use it again, as it is now.
    Resume,
    /// Stop using the device; take rings and event channel back.
    Disconnect,
}

/// The next step, if there is one.
#[must_use]
pub fn next(own: State, peer: State, want: Want) -> Option<Step<Work>> {
    match want {
        Want::Up => up(own, peer),
        Want::Down => down(own, peer),
    }
}

fn up(own: State, peer: State) -> Option<Step<Work>> {
    use State::*;
    match (own, peer) {
        // A peer that is Connected already is so with rings of a predecessor's: it will let go of
        // them.
        (Initialising, InitWait | Initialised) => Step::with(Work::Publish, State::Initialised),
        (Initialised, Connected) => Step::with(Work::Connect, State::Connected),
        (Connected, Reconfiguring) => Step::with(Work::Suspend, State::Reconfiguring),
        (Reconfiguring, Reconfigured | Connected) => Step::with(Work::Resume, State::Connected),
        (Initialised | Connected | Reconfiguring | Closing, Closing | Closed | Unknown) => {
            Step::with(Work::Disconnect, State::Closed)
        }
        // The peer is new, or back.
        (Closed, InitWait) => Step::plain(State::Initialising),
        _ => None,
    }
}

fn down(own: State, peer: State) -> Option<Step<Work>> {
    use State::*;
    match (own, peer) {
        (Unknown | Closed, _) => None,
        (Initialising, _) => Step::plain(State::Closed),
        // A peer in these states does not use our rings, or will not from now on.
        (_, Unknown | Initialising | InitWait | Closing | Closed) => {
            Step::with(Work::Disconnect, State::Closed)
        }
        (Closing, _) => None,
        _ => Step::plain(State::Closing),
    }
}

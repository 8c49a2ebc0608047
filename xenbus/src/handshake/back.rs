//! The back end's half.

use super::Step;
use crate::state::State;

/// What the toolstack wants of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// It shall work.
    Up,
    /// It shall work, but not with the rings that the front end has made: they are a predecessor's.
    Anew,
    /// It shall not (`online` is 0).
    Down,
}

/// What a back end does between two states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// Find what stands behind the device, and write what is offered. May have to wait (for
    /// hot-plug scripts); then there is no step yet.
    Prepare,
    /// Map the front end's rings, bind its event channel, begin to serve.
    Connect,
    /// Change the device, which the front end has stopped using.
    Reconfigure,
    /// Stop serving; give back what was mapped and bound.
    Disconnect,
}

/// The next step, if there is one. After `Prepare`, [`Want::Anew`] is [`Want::Up`].
#[must_use]
pub fn next(own: State, peer: State, want: Want) -> Option<Step<Work>> {
    match want {
        Want::Up => up(own, peer),
        Want::Anew => anew(own, peer),
        Want::Down => down(own, peer),
    }
}

fn up(own: State, peer: State) -> Option<Step<Work>> {
    use State::*;
    match (own, peer) {
        (Initialising, _) => Step::with(Work::Prepare, State::InitWait),
        // Front ends of some devices (Linux's netfront) go straight to Connected.
        (InitWait, Initialised | Connected) => Step::with(Work::Connect, State::Connected),
        (Reconfiguring, Reconfiguring) => Step::with(Work::Reconfigure, State::Reconfigured),
        (Reconfigured, Connected) => Step::plain(State::Connected),
        (Connected | Reconfiguring | Reconfigured, Closing) => Step::plain(State::Closing),
        (Connected | Reconfiguring | Reconfigured | Closing, Closed | Unknown) => {
            Step::with(Work::Disconnect, State::Closed)
        }
        // The front end begins again.
        (Connected | Reconfiguring | Reconfigured, Initialising) => {
            Step::with(Work::Disconnect, State::InitWait)
        }
        (Closing, Initialising) => Step::with(Work::Disconnect, State::Closed),
        (Closed, Initialising) => Step::with(Work::Prepare, State::InitWait),
        _ => None,
    }
}

fn anew(own: State, peer: State) -> Option<Step<Work>> {
    use State::*;
    match (own, peer) {
        (Initialising, Unknown | Initialising | InitWait | Closed) => up(own, peer),
        (Initialising, _) => Step::plain(State::Closing),
        (Closing, Unknown | Initialising | InitWait | Closed) => {
            Step::with(Work::Prepare, State::InitWait)
        }
        (Closing, _) => None,
        _ => up(own, peer),
    }
}

fn down(own: State, peer: State) -> Option<Step<Work>> {
    use State::*;
    match (own, peer) {
        (Unknown | Closed, _) => None,
        (Initialising | InitWait, _) => Step::plain(State::Closed),
        (_, Unknown | Initialising | InitWait | Closed) => {
            Step::with(Work::Disconnect, State::Closed)
        }
        (Closing, _) => None,
        _ => Step::plain(State::Closing),
    }
}

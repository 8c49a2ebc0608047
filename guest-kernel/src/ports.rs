//! What each event channel port calls.

use crate::arch::{events, shared};
use crate::sync::Guarded;
use pv_abi::types::Port;

/// Ports that can have a function: all that there are.
const PORTS: usize = shared::PORTS as usize;

type Functions = [Option<fn()>; PORTS];

static FUNCTIONS: Guarded<Functions> = Guarded::new([None; PORTS]);

/// Names the function that an event on `port` calls, upcalls masked.
pub fn set(port: Port, function: fn()) {
    FUNCTIONS.with(|functions| {
        if let Some(slot) = functions.get_mut(port.raw() as usize) {
            *slot = Some(function);
        }
    });
}

/// An event on `port` calls nothing any more.
pub fn clear(port: Port) {
    FUNCTIONS.with(|functions| {
        if let Some(slot) = functions.get_mut(port.raw() as usize) {
            *slot = None;
        }
    });
}

/// Calls the functions of the pending ports. For the upcall handler.
pub fn run() {
    events::dispatch(|port| {
        let function =
            FUNCTIONS.with(|functions| functions.get(port.raw() as usize).copied().flatten());
        if let Some(function) = function {
            function();
        }
    });
}

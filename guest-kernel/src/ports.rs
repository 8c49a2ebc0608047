//! What each event channel port calls.

use crate::arch::events;
use crate::sync::Guarded;
use pv_abi::types::Port;

/// Ports that can have a function: the first ones, which is what a domain is given.
const PORTS: usize = 64;

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

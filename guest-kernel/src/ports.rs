//! What each event channel port calls; and event channels as drivers know them ([`Channels`]).

use crate::sync::Guarded;
use pv_abi::errno::Errno;
use pv_abi::types::{DOMID_SELF, DomId, Port};
use ring1::{calls, events, shared};
use xenbus::access::Events;

/// Ports that can have a function: all that there are.
const PORTS: usize = shared::PORTS as usize;

/// What an event calls.
#[derive(Clone, Copy)]
enum Function {
    Plain(fn()),
    With(fn(u32), u32),
}

static FUNCTIONS: Guarded<[Option<Function>; PORTS]> = Guarded::new([None; PORTS]);

/// Names the function that an event on `port` calls, upcalls masked.
pub fn set(port: Port, function: fn()) {
    put(port, Function::Plain(function));
}

/// As [`set`], for a function of many ports: it is called with `argument`.
pub fn set_with(port: Port, function: fn(u32), argument: u32) {
    put(port, Function::With(function, argument));
}

fn put(port: Port, function: Function) {
    FUNCTIONS.with(|functions| {
        if let Some(slot) = functions.get_mut(port.raw() as usize) {
            *slot = Some(function);
        }
    });
}

/// An event on `port` calls nothing any more.
fn clear(port: Port) {
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
        match function {
            Some(Function::Plain(function)) => function(),
            Some(Function::With(function, argument)) => function(argument),
            None => {}
        }
    });
}

/// This domain's event channels. A new port is masked until [`events::unmask_port`].
pub struct Channels;

impl Events for Channels {
    fn alloc_unbound(&mut self, remote: DomId) -> Result<Port, Errno> {
        calls::evtchn_alloc_unbound(DomId::new(DOMID_SELF), remote)
    }

    fn bind(&mut self, remote: DomId, port: Port) -> Result<Port, Errno> {
        calls::evtchn_bind_interdomain(remote, port)
    }

    fn send(&mut self, port: Port) -> Result<(), Errno> {
        calls::evtchn_send(port)
    }

    /// Has the port call nothing any more, too.
    fn close(&mut self, port: Port) -> Result<(), Errno> {
        events::mask_port(port);
        clear(port);
        calls::evtchn_close(port)
    }
}

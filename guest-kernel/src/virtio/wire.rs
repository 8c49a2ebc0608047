//! Interrupts by wires, which devices share: a PC has four for all slots of its bus.
//!
//! A wire is level-triggered and is one port. An event there has every device on the wire
//! acknowledge, whether it was its own or not, and only then the interrupt ends: one that nobody
//! quietened would come again at once, for ever.

use crate::ports;
use crate::sync::Guarded;
use heapless::Vec;
use pv_abi::errno::Errno;
use ring1::events;
use ring1::physdev;

/// Wires that are listened to at most, and devices on one.
const WIRES: usize = 4;
const DEVICES: usize = 8;

struct Wire {
    irq: u32,
    pirq: u32,
    handlers: Vec<fn(), DEVICES>,
}

static LISTENED: Guarded<Vec<Wire, WIRES>> = Guarded::new(Vec::new());

/// Has `handler` be called, upcalls masked, when a device on the wire interrupts: it has its own
/// device quieten. Whoever makes a device interrupt before it listens masks upcalls meanwhile, and
/// acknowledges afterwards: QEMU's I/O APIC does not see a level that was there before the wire was
/// set up for levels.
///
/// # Errors
/// The hypervisor's; ENOSPC: there are too many wires, or devices on this one.
pub fn listen(irq: u32, handler: fn()) -> Result<(), Errno> {
    let known = LISTENED.with(|wires| {
        let wire = wires.iter_mut().find(|wire| wire.irq == irq)?;
        Some(wire.handlers.push(handler).map_err(|_| Errno::ENOSPC))
    });
    if let Some(added) = known {
        return added;
    }
    let pirq = physdev::map_wire(irq)?;
    let port = physdev::bind_pirq(pirq)?;
    let mut handlers = Vec::new();
    // There is room for one.
    let _ = handlers.push(handler);
    LISTENED.with(|wires| wires.push(Wire { irq, pirq, handlers })).map_err(|_| Errno::ENOSPC)?;
    ports::set_with(port, interrupt, irq);
    events::unmask_port(port);
    Ok(())
}

/// The wire's event, upcalls masked.
fn interrupt(irq: u32) {
    let found = LISTENED.with(|wires| {
        let wire = wires.iter().find(|wire| wire.irq == irq)?;
        Some((wire.pirq, wire.handlers.clone()))
    });
    let Some((pirq, handlers)) = found else { return };
    handlers.iter().for_each(|handler| handler());
    // Refused only if the interrupt is not bound any more.
    let _ = physdev::end(pirq);
}

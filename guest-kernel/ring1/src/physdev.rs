//! Physical interrupts: a wire or a message of a device becomes an event channel.
//!
//! A pirq is a number that the domain gives to an interrupt ([`map_wire`], [`map_pirq`]); bound to a
//! port ([`bind_pirq`]) each interrupt is an event there. One from a wire stays masked until
//! [`end`]; the device must have been quietened by then, or it comes again at once.

use crate::abi::PhysdevMapPirq;
use crate::calls::{self, Result};
use pv_abi::errno::Errno;
use pv_abi::physdev::{
    MAP_PIRQ_TYPE_GSI, MAP_PIRQ_TYPE_MSI, PHYSDEVOP_EOI, PHYSDEVOP_MAP_PIRQ, PHYSDEVOP_SETUP_GSI,
    PHYSDEVOP_UNMAP_PIRQ, PhysdevEoi, PhysdevSetupGsi, PhysdevUnmapPirq,
};
use pv_abi::types::DomId;

pub use crate::calls::evtchn_bind_pirq as bind_pirq;

/// Maps a wire, a level that is active high, to a pirq of the same number.
pub fn map_wire(irq: u32) -> Result<u32> {
    let mut setup = PhysdevSetupGsi { gsi: irq as i32, triggering: 1, polarity: 0, _pad: [0; 2] };
    match calls::physdev_op(PHYSDEVOP_SETUP_GSI, &mut setup) {
        // Somebody has said so.
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno),
    }
    map_pirq(MAP_PIRQ_TYPE_GSI, irq as i32, irq as i32, 0, 0, 0)
}

/// Maps a message of a function on bus 0: MSI, or with the table's address an entry of MSI-X.
pub fn map_message(devfn: u32, entry: u32, table: u64) -> Result<u32> {
    map_pirq(MAP_PIRQ_TYPE_MSI, -1, -1, devfn, entry, table)
}

fn map_pirq(kind: i32, index: i32, pirq: i32, devfn: u32, entry: u32, table: u64) -> Result<u32> {
    let mut argument = PhysdevMapPirq {
        domid: DomId::SELF,
        _pad0: [0; 2],
        r#type: kind,
        index,
        pirq,
        bus: 0,
        devfn: devfn as i32,
        entry_nr: entry as i32,
        _pad1: [],
        table_base: table.into(),
    };
    calls::physdev_op(PHYSDEVOP_MAP_PIRQ, &mut argument)?;
    Ok(argument.pirq as u32)
}

/// `PHYSDEVOP_unmap_pirq`.
pub fn unmap_pirq(pirq: u32) -> Result {
    let mut argument = PhysdevUnmapPirq { domid: DomId::SELF, _pad: [0; 2], pirq: pirq as i32 };
    calls::physdev_op(PHYSDEVOP_UNMAP_PIRQ, &mut argument)
}

/// `PHYSDEVOP_eoi`.
pub fn end(pirq: u32) -> Result {
    calls::physdev_op(PHYSDEVOP_EOI, &mut PhysdevEoi { irq: pirq })
}

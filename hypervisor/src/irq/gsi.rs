//! Inputs of the I/O APICs: which irq is which input, and how it is signalled.
//!
//! Irqs 0 to 15 are ISA's, wherever ACPI's overrides say that they arrive; the others are
//! the inputs of the same number. ISA's are edges and active high, unless an override says
//! otherwise; the others are PCI's: levels, active low. Domain 0, which understands the
//! rest of ACPI, can say what is true (`PHYSDEVOP_setup_gsi`, `PHYSDEVOP_apic_write`) as
//! long as the irq is not in use.
//!
//! Irq 0, the timer's, is nobody's; irq 2 was the second PIC's, and is no irq.

use pv_abi::errno::Errno;

use super::line::{Line, Source};
use super::pirq;
use crate::domain::Domain;
use crate::machine::acpi::{IoApic, Signal};
use crate::platform::Platform;
use crate::system::System;

/// ISA's irqs.
const ISA_IRQS: u32 = 16;
/// The irq that the timer has.
const TIMER: u32 = 0;
/// The irq through which the second PIC went.
const CASCADE: u32 = 2;

/// Registers of an I/O APIC: the first redirection entry.
const REDIRECTION: u32 = 0x10;
/// A redirection entry's delivery mode: fixed, lowest priority; others are not for devices.
const DELIVERY: u32 = 7 << 8;
const LOWEST_PRIORITY: u32 = 1 << 8;
const ACTIVE_LOW: u32 = 1 << 13;
const LEVEL: u32 = 1 << 15;
const MASKED: u32 = 1 << 16;

/// The input that irq `irq` arrives at, and how it is signalled unless somebody says otherwise.
fn input<P: Platform>(sys: &System<P>, irq: u32) -> Option<(u32, Signal)> {
    if irq == TIMER || irq == CASCADE || irq >= sys.irq_inputs() {
        return None;
    }
    let board = sys.irqs.board.get();
    let (gsi, signal) = match u8::try_from(irq) {
        Ok(isa) if irq < ISA_IRQS => {
            board.map_or((irq, Signal::default()), |board| board.isa_irq(isa))
        }
        _ if board.is_some_and(|board| board.overrides.iter().any(|o| o.gsi == irq)) => {
            // ISA has it.
            return None;
        }
        _ => (irq, Signal { active_low: true, level: true }),
    };
    sys.platform.has_input(gsi).then_some((gsi, signal))
}

/// The source with number `irq` as it is at first.
pub(super) fn initial<P: Platform>(sys: &System<P>, irq: u32) -> Line {
    let Some((gsi, signal)) = input(sys, irq) else { return Line::new(Source::Nothing) };
    let own = sys.platform.own_input() == Some(gsi);
    let mut line = Line::new(if own { Source::Own(gsi) } else { Source::Input(gsi) });
    line.active_low = signal.active_low;
    line.level = signal.level;
    line
}

/// `PHYSDEVOP_setup_gsi`: how an input is signalled.
///
/// `EINVAL`: no such input; `EEXIST`: that has been said, or it is in use.
pub fn set_up<P: Platform>(sys: &System<P>, irq: u32, signal: Signal) -> Result<(), Errno> {
    let mut line = sys.irq_line(irq)?.lock();
    match line.source {
        Source::Input(_) if line.set_up || line.binding.is_some() => Err(Errno::EEXIST),
        Source::Input(_) => {
            line.set_up = true;
            line.active_low = signal.active_low;
            line.level = signal.level;
            Ok(())
        }
        Source::Own(_) => Err(Errno::EEXIST),
        Source::Nothing | Source::Message(_) => Err(Errno::EINVAL),
    }
}

/// The I/O APIC whose registers are at machine address `physical`. `EINVAL` if there is none.
fn io_apic<P: Platform>(sys: &System<P>, physical: u64) -> Result<IoApic, Errno> {
    let board = sys.irqs.board.get().ok_or(Errno::EINVAL)?;
    let found = board.io_apics.iter().find(|io_apic| u64::from(io_apic.address) == physical);
    found.copied().ok_or(Errno::EINVAL)
}

/// `PHYSDEVOP_apic_read`. `EINVAL`: no such I/O APIC.
pub fn read_register<P: Platform>(
    sys: &System<P>,
    physical: u64,
    register: u32,
) -> Result<u32, Errno> {
    let io_apic = io_apic(sys, physical)?;
    sys.platform.read_io_apic(io_apic.gsi_base, register).ok_or(Errno::EINVAL)
}

/// `PHYSDEVOP_apic_write`, for old kernels that think they drive the I/O APIC. All that counts
/// is the low half of a redirection entry: how the input is signalled, and, not masked, a
/// vector that stands for the pirq (`PHYSDEVOP_alloc_irq_vector` says so): the two are mapped.
/// Other registers, and inputs that are in use, are silently left alone, as on Xen.
///
/// `EINVAL`: no such I/O APIC or input, or a delivery mode that is not for devices; else as
/// [`pirq::map_irq`].
pub fn write_register<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    physical: u64,
    register: u32,
    value: u32,
) -> Result<(), Errno> {
    let io_apic = io_apic(sys, physical)?;
    if register < REDIRECTION || register & 1 != 0 {
        return Ok(());
    }
    if value & DELIVERY > LOWEST_PRIORITY {
        return Err(Errno::EINVAL);
    }
    let gsi = io_apic.gsi_base.saturating_add((register - REDIRECTION) / 2);
    let irq = irq_of(sys, gsi).ok_or(Errno::EINVAL)?;
    let mut line = sys.irq_line(irq)?.lock();
    if line.binding.is_some() || matches!(line.source, Source::Own(_)) {
        return Ok(());
    }
    line.active_low = value & ACTIVE_LOW != 0;
    line.level = value & LEVEL != 0;
    drop(line);
    if value & MASKED != 0 {
        return Ok(());
    }
    let pirq = if irq < 256 { value & 0xff } else { irq };
    pirq::map_irq(sys, domain, domain, irq, Some(pirq)).map(|_| ())
}

/// The irq that arrives at input `gsi`.
fn irq_of<P: Platform>(sys: &System<P>, gsi: u32) -> Option<u32> {
    let arrives = |irq: &u32| input(sys, *irq).is_some_and(|(at, _)| at == gsi);
    (0..ISA_IRQS).find(arrives).or_else(|| Some(gsi).filter(arrives))
}

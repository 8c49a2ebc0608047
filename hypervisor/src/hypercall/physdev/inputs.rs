//! Inputs of the I/O APICs, as domain 0 sets them up.

use pv_abi::errno::Errno;
use pv_abi::physdev::{PhysdevIrq, PhysdevSetupGsi};
use pv_abi::{x86_32, x86_64};

use super::must_be_privileged;
use crate::guest::Ctx;
use crate::irq::gsi;
use crate::machine::acpi::Signal;
use crate::platform::Platform;
use crate::width::Width;

/// `PHYSDEVOP_setup_gsi`: see [`gsi::set_up`].
pub(super) fn setup_gsi<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let argument: PhysdevSetupGsi = ctx.read(at)?;
    let irq = u32::try_from(argument.gsi).map_err(|_| Errno::EINVAL)?;
    if irq >= ctx.sys.irq_inputs() {
        return Err(Errno::EINVAL);
    }
    must_be_privileged(ctx)?;
    let signal = Signal { active_low: argument.polarity != 0, level: argument.triggering != 0 };
    gsi::set_up(ctx.sys, irq, signal)
}

/// `PHYSDEVOP_alloc_irq_vector`: the vector that a kernel has to write into the I/O APIC
/// (`PHYSDEVOP_apic_write`) is the irq's number; the real one is none of its business.
pub(super) fn alloc_irq_vector<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let argument: PhysdevIrq = ctx.read(at)?;
    must_be_privileged(ctx)?;
    ctx.write(at, &PhysdevIrq { vector: argument.irq, ..argument })
}

/// `PHYSDEVOP_apic_read`: see [`gsi::read_register`]. The argument is written back in any case.
pub(super) fn apic_read<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    match ctx.width() {
        Width::Pv32 => {
            let mut a: x86_32::PhysdevApic = ctx.read(at)?;
            must_be_privileged(ctx)?;
            let read = gsi::read_register(ctx.sys, a.apic_physbase.into(), a.reg);
            a.value = read.unwrap_or(a.value);
            ctx.write(at, &a)?;
            read.map(|_| ())
        }
        Width::Pv64 => {
            let mut a: x86_64::PhysdevApic = ctx.read(at)?;
            must_be_privileged(ctx)?;
            let read = gsi::read_register(ctx.sys, a.apic_physbase, a.reg);
            a.value = read.unwrap_or(a.value);
            ctx.write(at, &a)?;
            read.map(|_| ())
        }
    }
}

/// `PHYSDEVOP_apic_write`: see [`gsi::write_register`].
pub(super) fn apic_write<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let (physical, register, value) = match ctx.width() {
        Width::Pv32 => {
            let a: x86_32::PhysdevApic = ctx.read(at)?;
            (a.apic_physbase.into(), a.reg, a.value)
        }
        Width::Pv64 => {
            let a: x86_64::PhysdevApic = ctx.read(at)?;
            (a.apic_physbase, a.reg, a.value)
        }
    };
    must_be_privileged(ctx)?;
    gsi::write_register(ctx.sys, ctx.domain, physical, register, value)
}

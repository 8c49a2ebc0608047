//! What domain 0 tells of PCI devices.
//!
//! The hypervisor keeps no list of them: whether a function exists is asked of its
//! configuration space when it matters. So being told of one changes nothing, and being told
//! that one is gone ends its messages.

use pv_abi::errno::Errno;
use pv_abi::physdev as abi;
use pv_abi::physdev::{
    PhysdevDbgpOp, PhysdevManagePci, PhysdevManagePciExt, PhysdevPciDevice, PhysdevPciDeviceAdd,
    PhysdevPciMmcfgReserved, PhysdevRestoreMsi,
};

use super::must_be_privileged;
use crate::guest::Ctx;
use crate::irq::pci::Function;
use crate::irq::{msi, msix_tables, pirq};
use crate::platform::Platform;

/// A function of segment `segment`, `ENODEV` if that is not 0: the one that ports lead to.
fn function(segment: u16, bus: u8, devfn: u8) -> Result<Function, Errno> {
    if segment == 0 { Ok(Function { bus, devfn }) } else { Err(Errno::ENODEV) }
}

/// A function appeared. `ENODEV`: not in segment 0.
fn add<P: Platform>(ctx: &Ctx<'_, P>, segment: u16) -> Result<(), Errno> {
    must_be_privileged(ctx)?;
    function(segment, 0, 0).map(|_| ())
}

/// A function is gone, or about to: its messages end. `ENODEV`: there is none.
fn remove<P: Platform>(ctx: &Ctx<'_, P>, segment: u16, bus: u8, devfn: u8) -> Result<(), Errno> {
    must_be_privileged(ctx)?;
    let function = function(segment, bus, devfn)?;
    let had_messages = pirq::unmap_function(ctx.sys, function);
    if had_messages || function.exists(ctx.sys) { Ok(()) } else { Err(Errno::ENODEV) }
}

/// `PHYSDEVOP_manage_pci_add`.
pub(super) fn manage_add<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let _: PhysdevManagePci = ctx.read(at)?;
    add(ctx, 0)
}

/// `PHYSDEVOP_manage_pci_add_ext`. `EINVAL`: a flag above 1.
pub(super) fn manage_add_ext<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let argument: PhysdevManagePciExt = ctx.read(at)?;
    if argument.is_extfn > 1 || argument.is_virtfn > 1 {
        return Err(Errno::EINVAL);
    }
    add(ctx, 0)
}

/// `PHYSDEVOP_manage_pci_remove`.
pub(super) fn manage_remove<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let PhysdevManagePci { bus, devfn } = ctx.read(at)?;
    remove(ctx, 0, bus, devfn)
}

/// `PHYSDEVOP_pci_device_add`.
pub(super) fn device_add<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let argument: PhysdevPciDeviceAdd = ctx.read(at)?;
    add(ctx, argument.seg)
}

/// `PHYSDEVOP_pci_device_remove`.
pub(super) fn device_remove<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let PhysdevPciDevice { seg, bus, devfn } = ctx.read(at)?;
    remove(ctx, seg, bus, devfn)
}

/// `PHYSDEVOP_restore_msi`: see [`msi::restore`].
pub(super) fn restore_msi<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let PhysdevRestoreMsi { bus, devfn } = ctx.read(at)?;
    must_be_privileged(ctx)?;
    msi::restore(ctx.sys, Function { bus, devfn })
}

/// `PHYSDEVOP_restore_msi_ext`.
pub(super) fn restore_msi_ext<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let PhysdevPciDevice { seg, bus, devfn } = ctx.read(at)?;
    must_be_privileged(ctx)?;
    msi::restore(ctx.sys, function(seg, bus, devfn)?)
}

/// `PHYSDEVOP_prepare_msix`, `PHYSDEVOP_release_msix`: see [`msix_tables::prepare`].
pub(super) fn prepare_msix<P: Platform>(
    ctx: &Ctx<'_, P>,
    at: u64,
    release: bool,
) -> Result<(), Errno> {
    let PhysdevPciDevice { seg, bus, devfn } = ctx.read(at)?;
    must_be_privileged(ctx)?;
    msix_tables::prepare(ctx.sys, ctx.domain, function(seg, bus, devfn)?, release)
}

/// `PHYSDEVOP_pci_mmcfg_reserved`: whether configuration space in memory is reserved there, which
/// Xen asks before it uses it. We never do: `ENODEV`, as on a machine that has none. `EINVAL`:
/// an unknown flag.
pub(super) fn mmcfg_reserved<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    must_be_privileged(ctx)?;
    let argument: PhysdevPciMmcfgReserved = ctx.read(at)?;
    if argument.flags & !abi::XEN_PCI_MMCFG_RESERVED != 0 {
        return Err(Errno::EINVAL);
    }
    Err(Errno::ENODEV)
}

/// `PHYSDEVOP_dbgp_op`: a USB controller is about to be reset. The hypervisor's console is on
/// none, so that is fine.
pub(super) fn debug_port<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    must_be_privileged(ctx)?;
    let _: PhysdevDbgpOp = ctx.read(at)?;
    Ok(())
}

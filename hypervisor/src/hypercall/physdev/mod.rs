//! `physdev_op`: what of the machine a domain drives itself.
//!
//! | file | operations |
//! |---|---|
//! | [`privilege`] | `set_iopl`, `set_iobitmap`: who in the guest may use I/O ports |
//! | [`interrupts`] | `eoi` and its page, `irq_status_query`, `map_pirq`, `unmap_pirq`, `get_free_pirq` |
//! | [`inputs`] | `setup_gsi`, `apic_read`, `apic_write`, `alloc_irq_vector`: the I/O APICs |
//! | [`devices`] | what domain 0 tells of PCI devices and their MSI-X tables |

mod devices;
mod inputs;
mod interrupts;
mod privilege;

use pv_abi::errno::Errno;
use pv_abi::physdev as abi;

use super::Args;
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::support::{Limit, partial, refused};

/// The commands that are not whole.
pub const LIMITS: &[Limit] = &[
    partial(abi::PHYSDEVOP_MAP_PIRQ, "one domain at a time has an interrupt, MSI has one vector"),
    refused(
        abi::PHYSDEVOP_PCI_MMCFG_RESERVED,
        Errno::ENODEV,
        "configuration space is used by ports",
    ),
];

/// `physdev_op(cmd, arg)`.
///
/// `EFAULT`: the argument cannot be read, or an answer cannot be written (what was done stays
/// done, as on Xen); `EPERM`: the caller is not privileged, where that matters; `ENOSYS`: an
/// unknown command; else as each operation says.
pub fn physdev_op<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let [cmd, at, ..] = *args;
    match cmd as u32 {
        abi::PHYSDEVOP_EOI => interrupts::eoi(ctx, at)?,
        abi::PHYSDEVOP_IRQ_UNMASK_NOTIFY => interrupts::unmask_notify(ctx),
        abi::PHYSDEVOP_IRQ_STATUS_QUERY => interrupts::status_query(ctx, at)?,
        abi::PHYSDEVOP_PIRQ_EOI_GMFN_V1 => interrupts::eoi_page(ctx, at, true)?,
        abi::PHYSDEVOP_PIRQ_EOI_GMFN_V2 => interrupts::eoi_page(ctx, at, false)?,
        abi::PHYSDEVOP_MAP_PIRQ => interrupts::map_pirq(ctx, at)?,
        abi::PHYSDEVOP_UNMAP_PIRQ => interrupts::unmap_pirq(ctx, at)?,
        abi::PHYSDEVOP_GET_FREE_PIRQ => interrupts::get_free_pirq(ctx, at)?,
        abi::PHYSDEVOP_SET_IOPL => privilege::set_iopl(ctx, at)?,
        abi::PHYSDEVOP_SET_IOBITMAP => privilege::set_iobitmap(ctx, at)?,
        abi::PHYSDEVOP_APIC_READ => inputs::apic_read(ctx, at)?,
        abi::PHYSDEVOP_APIC_WRITE => inputs::apic_write(ctx, at)?,
        abi::PHYSDEVOP_ALLOC_IRQ_VECTOR => inputs::alloc_irq_vector(ctx, at)?,
        abi::PHYSDEVOP_SETUP_GSI => inputs::setup_gsi(ctx, at)?,
        abi::PHYSDEVOP_MANAGE_PCI_ADD => devices::manage_add(ctx, at)?,
        abi::PHYSDEVOP_MANAGE_PCI_ADD_EXT => devices::manage_add_ext(ctx, at)?,
        abi::PHYSDEVOP_MANAGE_PCI_REMOVE => devices::manage_remove(ctx, at)?,
        abi::PHYSDEVOP_PCI_DEVICE_ADD => devices::device_add(ctx, at)?,
        abi::PHYSDEVOP_PCI_DEVICE_REMOVE => devices::device_remove(ctx, at)?,
        abi::PHYSDEVOP_RESTORE_MSI => devices::restore_msi(ctx, at)?,
        abi::PHYSDEVOP_RESTORE_MSI_EXT => devices::restore_msi_ext(ctx, at)?,
        abi::PHYSDEVOP_PREPARE_MSIX => devices::prepare_msix(ctx, at, false)?,
        abi::PHYSDEVOP_RELEASE_MSIX => devices::prepare_msix(ctx, at, true)?,
        abi::PHYSDEVOP_PCI_MMCFG_RESERVED => devices::mmcfg_reserved(ctx, at)?,
        abi::PHYSDEVOP_DBGP_OP => devices::debug_port(ctx, at)?,
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

/// `EPERM` unless the caller is privileged.
fn must_be_privileged<P: Platform>(ctx: &Ctx<'_, P>) -> Result<(), Errno> {
    if ctx.domain.privileged { Ok(()) } else { Err(Errno::EPERM) }
}

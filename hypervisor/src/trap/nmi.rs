//! NMIs of guests: `VCPUOP_send_nmi` asks for one, `nmi_op` says who takes them.
//!
//! An NMI enters the guest as a trap (vector 2) does, whether or not upcalls are masked. While its
//! handler runs no other is delivered: it is over when the vCPU makes the `iret` hypercall, and one
//! that came meanwhile comes then. Without a handler an NMI is lost (Xen 4.17,
//! `set_guest_nmi_trapbounce`).

use core::mem::offset_of;
use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::nmi::{XENNMI_REGISTER_CALLBACK, XENNMI_UNREGISTER_CALLBACK};
use pv_abi::types::VcpuId;
use pv_abi::{vectors, x86_32, x86_64};

use super::{Trap, bounce, ops};
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::platform::Platform;
use crate::width::Width;

/// How a vCPU stands with NMIs.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Nmi {
    /// Its handler runs.
    pub masked: bool,
    /// Another one has come meanwhile.
    waiting: bool,
}

/// `nmi_op(cmd, arg)`: sets or removes the handler of the calling vCPU.
///
/// `EFAULT` if the argument cannot be read, `EINVAL` for an address that is not canonical, `ENOSYS`
/// for commands that are not there.
pub fn nmi_op<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    match args[0] as u32 {
        XENNMI_REGISTER_CALLBACK => {
            let address = match ctx.width() {
                Width::Pv32 => ctx.read::<x86_32::XennmiCallback>(args[1])?.handler_address.into(),
                Width::Pv64 => ctx.read::<x86_64::XennmiCallback>(args[1])?.handler_address,
            };
            register(ctx, address)?;
        }
        XENNMI_UNREGISTER_CALLBACK => unregister(ctx),
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

/// The handler is at `address`, with the flat kernel segment and events masked.
///
/// `EINVAL`: the address is not canonical. A reason for an NMI that nobody has taken is raised
/// anew.
pub(super) fn register<P: Platform>(ctx: &mut Ctx<'_, P>, address: u64) -> Result<(), Errno> {
    let flat = match ctx.width() {
        Width::Pv32 => x86_32::FLAT_KERNEL_CS,
        Width::Pv64 => x86_64::FLAT_KERNEL_CS,
    };
    let target = ops::target(ctx.width(), flat, address)?;
    ctx.state.traps.set(vectors::NMI, Trap { target, dpl: 0, masks: true });
    if ctx.vcpu.id == VcpuId::new(0) && reason(ctx) != 0 {
        ctx.vcpu.run.request_nmi();
    }
    Ok(())
}

/// There is no handler any more.
pub(super) fn unregister<P: Platform>(ctx: &mut Ctx<'_, P>) {
    ctx.state.traps.set(vectors::NMI, Trap::NONE);
}

/// `nmi_reason` of the shared page: why the machine has had NMIs.
fn reason<P: Platform>(ctx: &Ctx<'_, P>) -> u32 {
    let at = match ctx.width() {
        Width::Pv32 => {
            offset_of!(x86_32::SharedInfo, arch) + offset_of!(x86_32::ArchSharedInfo, nmi_reason)
        }
        Width::Pv64 => {
            offset_of!(x86_64::SharedInfo, arch) + offset_of!(x86_64::ArchSharedInfo, nmi_reason)
        }
    };
    let words = ctx.sys.platform.half_words(ctx.domain.shared_info);
    words.get(at / 4).map_or(0, |word| word.load(Ordering::Relaxed))
}

/// An NMI has come for the vCPU, which is about to run on.
#[cold]
pub fn deliver<P: Platform>(ctx: &mut Ctx<'_, P>) -> Result<(), Stop> {
    if ctx.state.nmi.masked {
        ctx.state.nmi.waiting = true;
        return Ok(());
    }
    if !ctx.state.traps.get(vectors::NMI).target.is_set() {
        return Ok(());
    }
    bounce::nmi(ctx)?;
    ctx.state.nmi.masked = true;
    Ok(())
}

/// The handler has made its way back.
#[cold]
pub(super) fn done<P: Platform>(ctx: &mut Ctx<'_, P>) {
    let Nmi { waiting, .. } = core::mem::take(&mut ctx.state.nmi);
    if waiting {
        ctx.vcpu.run.request_nmi();
    }
}

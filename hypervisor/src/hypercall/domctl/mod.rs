//! The hypercall `domctl(op)`: what a toolstack in domain 0 does to domains.
//!
//! | file | commands |
//! |---|---|
//! | [`create`] | createdomain, max_vcpus, set_address_size |
//! | [`life`] | pause, unpause, resume, destroy |
//! | [`context`] | setvcpucontext, getvcpucontext |
//! | [`info`] | getdomaininfo, getvcpuinfo, getpageframeinfo3, get_address_size |
//! | [`settings`] | max_mem, handles, hypercall pages, permissions |
//! | [`shares`] | scheduler_op, setvcpuaffinity, getvcpuaffinity |
//! | [`trigger`] | sendtrigger |
//! | [`time_stamps`] | settscinfo, gettscinfo |
//! | [`registers`] | get_vcpu_msrs, set_vcpu_msrs |
//!
//! The caller's privilege is asked in one place, [`domctl`], and one call is served at a time
//! ([`System::control`](crate::system::System::control)): who finds another at it asks again. So
//! no command need think of another that creates or destroys the same domain.
//!
//! Commands for what PV domains do not have, or Ferrule does not have, answer as Xen 4.17 does
//! when it lacks it; what has no answer there is `ENOSYS`.

mod context;
mod create;
pub(super) mod info;
mod life;
mod registers;
mod settings;
mod shares;
mod time_stamps;
mod trigger;

use pv_abi::domctl as abi;
use pv_abi::domctl::Domctl;
use pv_abi::errno::Errno;
use pv_abi::types::VcpuId;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::domain::Domain;
use crate::domain::destroy::{self, Control};
use crate::domain::vcpu::Vcpu;
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::platform::Platform;
use crate::support::{Limit, partial, refused};

/// What there is to say no.
pub const LIMITS: &[Limit] = &[
    partial(abi::XEN_DOMCTL_SETVCPUCONTEXT, "no reset of a vCPU by a null address"),
    partial(abi::XEN_DOMCTL_SCHEDULER_OP, "the scheduler is known as `credit`"),
    partial(abi::XEN_DOMCTL_SETTSCINFO, "the instruction is not emulated"),
    partial(abi::XEN_DOMCTL_SET_VCPU_MSRS, "vCPUs have none that move with them"),
    partial(abi::XEN_DOMCTL_SENDTRIGGER, "NMIs only; PV domains have no buttons"),
    refused(abi::XEN_DOMCTL_GETHVMCONTEXT, Errno::EINVAL, "for HVM guests"),
    refused(abi::XEN_DOMCTL_SETHVMCONTEXT, Errno::EINVAL, "for HVM guests"),
    refused(abi::XEN_DOMCTL_GETHVMCONTEXT_PARTIAL, Errno::EINVAL, "for HVM guests"),
    refused(abi::XEN_DOMCTL_ASSIGN_DEVICE, Errno::EOPNOTSUPP, "there is no IOMMU"),
    refused(abi::XEN_DOMCTL_TEST_ASSIGN_DEVICE, Errno::EOPNOTSUPP, "there is no IOMMU"),
    refused(abi::XEN_DOMCTL_DEASSIGN_DEVICE, Errno::EOPNOTSUPP, "there is no IOMMU"),
];

/// `domctl(op)`.
///
/// `EFAULT`: the argument; `EACCES`: another version of the interface; `ESRCH`: no such domain;
/// `EPERM`: the caller is not privileged; else as each command says.
pub fn domctl<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let at = args[0];
    let mut op: Domctl = ctx.read(at)?;
    if op.interface_version != abi::XEN_DOMCTL_INTERFACE_VERSION {
        return Err(Errno::EACCES.into());
    }
    if !ctx.domain.privileged {
        let exists = ctx.sys.domain(op.domain).is_some();
        return Err(
            if exists || needs_no_domain(op.cmd) { Errno::EPERM } else { Errno::ESRCH }.into()
        );
    }
    let mut control = ctx.sys.control.try_lock().ok_or(Stop::Preempted)?;
    destroy::reap(ctx.sys, &mut control);
    if command(ctx, &mut control, &mut op)? == Reply::Argument {
        ctx.write(at, &op)?;
    }
    Ok(0)
}

/// What the caller gets beside a zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reply {
    /// Nothing.
    Nothing,
    /// The argument, changed.
    Argument,
}

/// Whether a command may name a domain that does not exist.
fn needs_no_domain(cmd: u32) -> bool {
    matches!(cmd, abi::XEN_DOMCTL_CREATEDOMAIN | abi::XEN_DOMCTL_GETDOMAININFO)
}

fn command<P: Platform>(
    ctx: &Ctx<'_, P>,
    control: &mut Control,
    op: &mut Domctl,
) -> Result<Reply, Stop> {
    match op.cmd {
        abi::XEN_DOMCTL_CREATEDOMAIN => return create::createdomain(ctx, control, op),
        abi::XEN_DOMCTL_GETDOMAININFO => return info::getdomaininfo(ctx, op),
        abi::XEN_DOMCTL_DESTROYDOMAIN => return life::destroydomain(ctx, control, op),
        _ => {}
    }
    let domain = ctx.sys.domain(op.domain).ok_or(Errno::ESRCH)?;
    let done = match op.cmd {
        abi::XEN_DOMCTL_PAUSEDOMAIN => life::pausedomain(ctx, domain),
        abi::XEN_DOMCTL_UNPAUSEDOMAIN => ctx.sys.unpause(domain).map_err(Stop::Errno),
        abi::XEN_DOMCTL_RESUMEDOMAIN => life::resumedomain(ctx, domain),
        abi::XEN_DOMCTL_MAX_VCPUS => create::max_vcpus(ctx, domain, &argument(op)?),
        abi::XEN_DOMCTL_SET_ADDRESS_SIZE => create::set_address_size(ctx, domain, &argument(op)?),
        abi::XEN_DOMCTL_GET_ADDRESS_SIZE => return info::get_address_size(domain, op),
        abi::XEN_DOMCTL_SETVCPUCONTEXT => context::setvcpucontext(ctx, domain, &argument(op)?),
        abi::XEN_DOMCTL_GETVCPUCONTEXT => context::getvcpucontext(ctx, domain, &argument(op)?),
        abi::XEN_DOMCTL_SCHEDULER_OP => return shares::scheduler_op(ctx, domain, op),
        abi::XEN_DOMCTL_SETVCPUAFFINITY => return shares::set_affinity(ctx, domain, op),
        abi::XEN_DOMCTL_GETVCPUAFFINITY => return shares::get_affinity(ctx, domain, op),
        abi::XEN_DOMCTL_GETVCPUINFO => return info::getvcpuinfo(ctx, domain, op),
        abi::XEN_DOMCTL_GETPAGEFRAMEINFO3 => {
            info::getpageframeinfo3(ctx, domain, &argument(op)?).map_err(Stop::Errno)
        }
        abi::XEN_DOMCTL_MAX_MEM => settings::max_mem(domain, &argument(op)?),
        abi::XEN_DOMCTL_SETDOMAINHANDLE => settings::setdomainhandle(domain, &argument(op)?),
        abi::XEN_DOMCTL_SETTIMEOFFSET => settings::settimeoffset(ctx, domain, &argument(op)?),
        abi::XEN_DOMCTL_HYPERCALL_INIT => settings::hypercall_init(ctx, domain, &argument(op)?),
        abi::XEN_DOMCTL_SET_VIRQ_HANDLER => settings::set_virq_handler(ctx, domain, &argument(op)?),
        abi::XEN_DOMCTL_IOPORT_PERMISSION => {
            settings::ioport_permission(ctx, domain, &argument(op)?)
        }
        abi::XEN_DOMCTL_IRQ_PERMISSION => settings::irq_permission(ctx, domain, &argument(op)?),
        abi::XEN_DOMCTL_IOMEM_PERMISSION => settings::iomem_permission(ctx, domain, &argument(op)?),
        abi::XEN_DOMCTL_SENDTRIGGER => trigger::sendtrigger(ctx, domain, &argument(op)?),
        abi::XEN_DOMCTL_SETTSCINFO => time_stamps::settscinfo(ctx, domain, &argument(op)?),
        abi::XEN_DOMCTL_GETTSCINFO => return time_stamps::gettscinfo(ctx, domain, op),
        abi::XEN_DOMCTL_GET_VCPU_MSRS => return registers::get_vcpu_msrs(ctx, domain, op),
        abi::XEN_DOMCTL_SET_VCPU_MSRS => registers::set_vcpu_msrs(ctx, domain, &argument(op)?),
        // HVM guests have more than one use for these.
        abi::XEN_DOMCTL_SETHVMCONTEXT
        | abi::XEN_DOMCTL_GETHVMCONTEXT
        | abi::XEN_DOMCTL_GETHVMCONTEXT_PARTIAL => Err(Errno::EINVAL.into()),
        abi::XEN_DOMCTL_ASSIGN_DEVICE
        | abi::XEN_DOMCTL_TEST_ASSIGN_DEVICE
        | abi::XEN_DOMCTL_DEASSIGN_DEVICE => Err(Errno::EOPNOTSUPP.into()),
        _ => Err(Errno::ENOSYS.into()),
    };
    done.map(|()| Reply::Nothing)
}

/// The command's structure. There is room for any of them.
fn argument<T: FromBytes>(op: &Domctl) -> Result<T, Errno> {
    T::read_from_prefix(&op.u).map(|(argument, _)| argument).map_err(|_| Errno::EINVAL)
}

/// Puts the command's structure, as it is to be answered, into the argument.
fn answer<T: IntoBytes + Immutable>(op: &mut Domctl, argument: &T) -> Reply {
    // There is room for any of them.
    let _ = argument.write_to_prefix(&mut op.u);
    Reply::Argument
}

/// A vCPU by its number; `None` if there is none.
fn vcpu(domain: &Domain, number: u32) -> Option<&Vcpu> {
    domain.vcpu(VcpuId::new(number))
}

//! The hypercall `sysctl(op)`: what a toolstack in domain 0 asks and sets of the machine.
//!
//! | file | commands |
//! |---|---|
//! | [`machine`] | physinfo, getcpuinfo, cputopoinfo, numainfo, availheap |
//! | [`domains`] | getdomaininfolist |
//! | [`console`] | readconsole, debug_keys |
//! | [`pools`] | sched_id, scheduler_op, cpupool_op |
//! | [`counters`] | perfc_op, tbuf_op |
//!
//! The caller's privilege is asked in one place, [`sysctl`]. Nothing here needs one request to wait
//! for another: each tells what it finds, or changes one thing.
//!
//! Commands for what Ferrule does not have answer as Xen 4.17 does when it lacks it; what has no
//! answer there is `ENOSYS`.

mod console;
mod counters;
mod domains;
mod machine;
mod pools;

use pv_abi::errno::Errno;
use pv_abi::sysctl as abi;
use pv_abi::sysctl::{CpuLevellingCaps, Sysctl};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::Args;
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::support::{Limit, partial, refused};

/// What there is to say no.
pub const LIMITS: &[Limit] = &[
    partial(
        abi::XEN_SYSCTL_TBUF_OP,
        "records are Ferrule's own, made room for at boot: on and off alone",
    ),
    refused(abi::XEN_SYSCTL_PERFC_OP, Errno::ENOSYS, "but with `perfc` on the command line"),
    partial(abi::XEN_SYSCTL_DEBUG_KEYS, "16 keys in one call"),
    partial(abi::XEN_SYSCTL_AVAILHEAP, "no bounds on addresses"),
    partial(abi::XEN_SYSCTL_CPUTOPOINFO, "CPUs count as cores of one socket"),
    partial(abi::XEN_SYSCTL_CPUPOOL_OP, "there is one pool, with all CPUs"),
    partial(abi::XEN_SYSCTL_SCHEDULER_OP, "settings are told, not changed"),
    refused(abi::XEN_SYSCTL_GET_PMSTAT, Errno::ENODEV, "CPUs are not slowed down"),
    refused(abi::XEN_SYSCTL_PM_OP, Errno::ENODEV, "CPUs are not slowed down"),
    refused(abi::XEN_SYSCTL_CPU_HOTPLUG, Errno::EOPNOTSUPP, "CPUs stay up"),
    refused(abi::XEN_SYSCTL_PAGE_OFFLINE_OP, Errno::EOPNOTSUPP, "frames stay in use"),
    refused(abi::XEN_SYSCTL_COVERAGE_OP, Errno::EOPNOTSUPP, "coverage is not counted"),
    refused(abi::XEN_SYSCTL_PSR_CMT_OP, Errno::ENODEV, "caches are not watched"),
    refused(abi::XEN_SYSCTL_PSR_ALLOC, Errno::ENODEV, "caches are not divided"),
    refused(abi::XEN_SYSCTL_GET_CPU_FEATURESET, Errno::EOPNOTSUPP, "guests ask CPUID"),
    refused(abi::XEN_SYSCTL_GET_CPU_POLICY, Errno::EOPNOTSUPP, "guests ask CPUID"),
];

/// `sysctl(op)`.
///
/// `EFAULT`: the argument; `EACCES`: another version of the interface; `EPERM`: the caller is not
/// privileged; `ENOSYS`: a command that is not there; else as each says.
// Not inlined: its values are large, and others' ways through the table are not to pay for them.
#[inline(never)]
pub fn sysctl<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let at = args[0];
    let mut op: Sysctl = ctx.read(at)?;
    if op.interface_version != abi::XEN_SYSCTL_INTERFACE_VERSION {
        return Err(Errno::EACCES.into());
    }
    if !ctx.domain.privileged {
        return Err(Errno::EPERM.into());
    }
    command(ctx, &mut op)?;
    ctx.write(at, &op)?;
    Ok(0)
}

/// Does what is asked for, and changes `op` into the answer.
fn command<P: Platform>(ctx: &Ctx<'_, P>, op: &mut Sysctl) -> Result<(), Stop> {
    match op.cmd {
        abi::XEN_SYSCTL_READCONSOLE => with(op, |arg| console::readconsole(ctx, arg)),
        abi::XEN_SYSCTL_DEBUG_KEYS => with(op, |arg| console::debug_keys(ctx, arg)),
        abi::XEN_SYSCTL_TBUF_OP => with(op, |arg| counters::tbuf_op(ctx, arg)),
        abi::XEN_SYSCTL_PERFC_OP => with(op, |arg| counters::perfc_op(ctx, arg)),
        abi::XEN_SYSCTL_PHYSINFO => with(op, |arg| machine::physinfo(ctx, arg)),
        abi::XEN_SYSCTL_GETCPUINFO => with(op, |arg| machine::getcpuinfo(ctx, arg)),
        abi::XEN_SYSCTL_CPUTOPOINFO => with(op, |arg| machine::cputopoinfo(ctx, arg)),
        abi::XEN_SYSCTL_NUMAINFO => with(op, |arg| machine::numainfo(ctx, arg)),
        abi::XEN_SYSCTL_AVAILHEAP => with(op, |arg| machine::availheap(ctx, arg)),
        abi::XEN_SYSCTL_GETDOMAININFOLIST => with(op, |arg| domains::list(ctx, arg)),
        abi::XEN_SYSCTL_SCHED_ID => with(op, pools::sched_id),
        abi::XEN_SYSCTL_SCHEDULER_OP => with(op, pools::scheduler_op),
        abi::XEN_SYSCTL_CPUPOOL_OP => with(op, |arg| pools::cpupool_op(ctx, arg)),
        // None of CPUID is masked: the instruction tells the truth (`trap::emulate::cpuid`).
        abi::XEN_SYSCTL_GET_CPU_LEVELLING_CAPS => with(op, |arg| {
            *arg = CpuLevellingCaps { caps: 0 };
            Ok(())
        }),
        abi::XEN_SYSCTL_GET_PMSTAT
        | abi::XEN_SYSCTL_PM_OP
        | abi::XEN_SYSCTL_PSR_CMT_OP
        | abi::XEN_SYSCTL_PSR_ALLOC => Err(Errno::ENODEV.into()),
        abi::XEN_SYSCTL_CPU_HOTPLUG
        | abi::XEN_SYSCTL_PAGE_OFFLINE_OP
        | abi::XEN_SYSCTL_COVERAGE_OP
        | abi::XEN_SYSCTL_GET_CPU_FEATURESET
        | abi::XEN_SYSCTL_GET_CPU_POLICY => Err(Errno::EOPNOTSUPP.into()),
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// The address of an element of a guest's array of `T`.
fn element<T>(array: u64, index: u32) -> u64 {
    array.wrapping_add(u64::from(index).wrapping_mul(size_of::<T>() as u64))
}

/// Hands the command's structure to `serve`, and puts it back as it is then.
fn with<T: FromBytes + IntoBytes + Immutable>(
    op: &mut Sysctl,
    serve: impl FnOnce(&mut T) -> Result<(), Errno>,
) -> Result<(), Stop> {
    // There is room for any of them.
    let (mut argument, _) = T::read_from_prefix(&op.u).map_err(|_| Errno::EINVAL)?;
    serve(&mut argument)?;
    let _ = argument.write_to_prefix(&mut op.u);
    Ok(())
}

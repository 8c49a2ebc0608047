//! The scheduler and its CPUs: one pool has them all, and all domains.

use pv_abi::domctl::XEN_SCHEDULER_CREDIT;
use pv_abi::errno::Errno;
use pv_abi::sysctl as abi;
use pv_abi::sysctl::{CpupoolOp, CreditSchedule, SchedId, SchedulerOp};
use pv_abi::types::DomId;

use crate::guest::Ctx;
use crate::hypercall::bitmap;
use crate::platform::Platform;
use crate::sched::share::SLICE_NS;

/// The one pool.
const POOL: u32 = 0;

/// `XEN_SYSCTL_sched_id`: the scheduler goes by the name of the one that it is most like.
pub(super) fn sched_id(arg: &mut SchedId) -> Result<(), Errno> {
    arg.sched_id = XEN_SCHEDULER_CREDIT;
    Ok(())
}

/// `XEN_SYSCTL_scheduler_op`: how long a turn is.
///
/// `EINVAL`: an unknown command, or another scheduler; `ESRCH`: no such pool; `EOPNOTSUPP`: to
/// change it.
pub(super) fn scheduler_op(arg: &mut SchedulerOp) -> Result<(), Errno> {
    let asked = arg.cmd;
    if asked != abi::XEN_SYSCTL_SCHEDOP_PUTINFO && asked != abi::XEN_SYSCTL_SCHEDOP_GETINFO {
        return Err(Errno::EINVAL);
    }
    if arg.cpupool_id != POOL {
        return Err(Errno::ESRCH);
    }
    if arg.sched_id != XEN_SCHEDULER_CREDIT {
        return Err(Errno::EINVAL);
    }
    if asked == abi::XEN_SYSCTL_SCHEDOP_PUTINFO {
        return Err(Errno::EOPNOTSUPP);
    }
    let tslice_ms = (SLICE_NS / 1_000_000) as u32;
    arg.credit = CreditSchedule { tslice_ms, ratelimit_us: 0, vcpu_migr_delay_us: 0 };
    Ok(())
}

/// `XEN_SYSCTL_cpupool_op`: tells about the pool; there are no others, nor CPUs outside of it.
///
/// `ENOENT`: no such pool, or no further one; `ESRCH`: no such domain; `EBUSY`: the pool is in
/// use; `EINVAL`: no such CPU; `ENODEV`: the CPU is not free; `EOPNOTSUPP`: another pool;
/// `EFAULT`; `ENOSYS`: an unknown command.
pub(super) fn cpupool_op<P: Platform>(ctx: &Ctx<'_, P>, arg: &mut CpupoolOp) -> Result<(), Errno> {
    let exists = if arg.cpupool_id == POOL { Ok(()) } else { Err(Errno::ENOENT) };
    match arg.op {
        abi::XEN_SYSCTL_CPUPOOL_OP_CREATE => Err(Errno::EOPNOTSUPP),
        abi::XEN_SYSCTL_CPUPOOL_OP_DESTROY => exists.and(Err(Errno::EBUSY)),
        abi::XEN_SYSCTL_CPUPOOL_OP_INFO => {
            exists?;
            arg.sched_id = XEN_SCHEDULER_CREDIT;
            arg.n_dom = ctx.sys.domains.iter().fold(0, |count: u32, _| count.saturating_add(1));
            bitmap::write(ctx, &arg.cpumap, bitmap::cpus(ctx))
        }
        abi::XEN_SYSCTL_CPUPOOL_OP_ADDCPU => Err(match arg.cpu {
            abi::XEN_SYSCTL_CPUPOOL_PAR_ANY => Errno::ENODEV,
            cpu if cpu < ctx.sys.platform.count() => Errno::ENODEV,
            _ => Errno::EINVAL,
        }),
        abi::XEN_SYSCTL_CPUPOOL_OP_RMCPU => exists.and(Err(match arg.cpu {
            abi::XEN_SYSCTL_CPUPOOL_PAR_ANY => Errno::EBUSY,
            cpu if cpu < ctx.sys.platform.count() => Errno::EBUSY,
            _ => Errno::EINVAL,
        })),
        abi::XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN => {
            let number = u16::try_from(arg.domid).map_err(|_| Errno::ESRCH)?;
            ctx.sys.domain(DomId::new(number)).ok_or(Errno::ESRCH)?;
            exists
        }
        abi::XEN_SYSCTL_CPUPOOL_OP_FREEINFO => bitmap::write(ctx, &arg.cpumap, 0),
        _ => Err(Errno::ENOSYS),
    }
}

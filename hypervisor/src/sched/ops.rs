//! The hypercall `sched_op(cmd, arg)`, and what it was called before Xen 3.1.

use pv_abi::errno::Errno;
use pv_abi::sched as abi;
use pv_abi::sched::{SchedRemoteShutdown, SchedShutdown};

use super::{Cpu, affinity, poll, shutdown, watchdog};
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::platform::Platform;

/// `sched_op(cmd, arg)`: gives up the CPU, for a moment or for good.
///
/// `ENOSYS` for commands that are not there; else as each says. A vCPU that has given up
/// the CPU notices when the call is over: `exit::prepare` then lets it not run on.
#[inline(always)]
pub fn sched_op<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let [cmd, arg, ..] = *args;
    match cmd as u32 {
        abi::SCHEDOP_YIELD => yields(ctx),
        abi::SCHEDOP_BLOCK => block(ctx),
        abi::SCHEDOP_POLL => poll::poll(ctx, arg)?,
        cmd => return others(ctx, cmd, arg),
    }
    Ok(0)
}

/// The commands that are rare.
#[inline(never)]
fn others<P: Platform>(ctx: &mut Ctx<'_, P>, cmd: u32, arg: u64) -> HypercallResult {
    match cmd {
        abi::SCHEDOP_SHUTDOWN => {
            let SchedShutdown { reason } = ctx.read(arg)?;
            shutdown::by_itself(ctx, reason);
        }
        abi::SCHEDOP_SHUTDOWN_CODE => {
            let SchedShutdown { reason } = ctx.read(arg)?;
            // Xen has but these eight bits for it.
            ctx.domain.run.latch_code(reason as u8);
        }
        abi::SCHEDOP_REMOTE_SHUTDOWN => remote_shutdown(ctx, arg)?,
        abi::SCHEDOP_WATCHDOG => return watchdog::watchdog(ctx, arg),
        abi::SCHEDOP_PIN_OVERRIDE => affinity::pin_override(ctx, arg)?,
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

/// `sched_op_compat(cmd, arg)`: the first three commands; the reason of a shutdown is the argument.
pub fn sched_op_compat<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let [cmd, arg, ..] = *args;
    match cmd as u32 {
        abi::SCHEDOP_YIELD => yields(ctx),
        abi::SCHEDOP_BLOCK => block(ctx),
        abi::SCHEDOP_SHUTDOWN => shutdown::by_itself(ctx, arg as u32),
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

/// `SCHEDOP_yield`: lets others go first, if there are any.
#[inline(always)]
fn yields<P: Platform>(ctx: &Ctx<'_, P>) {
    let here = ctx.vcpu.run.cpu().and_then(|cpu| ctx.sys.scheduler.cpu(cpu));
    if let Some(here) = here.filter(|here| here.has_waiting()) {
        give_way(ctx, here);
    }
}

/// Behind the first who waits at least, whatever it has had.
#[inline(never)]
fn give_way<P: Platform>(ctx: &Ctx<'_, P>, here: &Cpu) {
    ctx.vcpu.run.let_pass(here.first_vtime());
    ctx.vcpu.run.request_reschedule();
}

/// `SCHEDOP_block`: unmasks upcalls and sleeps until one is pending.
#[inline(always)]
fn block<P: Platform>(ctx: &Ctx<'_, P>) {
    let (vcpu, access) = (ctx.vcpu, &ctx.sys.platform);
    vcpu.set_upcall_mask(access, false);
    // To sleep first, then to look: whoever makes an upcall pending looks whether we sleep
    // afterwards, so either we see it or it wakes us.
    vcpu.run.block();
    if vcpu.upcall_pending(access) {
        vcpu.run.cancel_block();
    }
}

/// `SCHEDOP_remote_shutdown`: declares another domain shut down.
///
/// `EFAULT` if the argument cannot be read, `ESRCH` for a domain that there is not, `EPERM`
/// without privilege.
fn remote_shutdown<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> Result<(), Errno> {
    let SchedRemoteShutdown { domain_id, reason, .. } = ctx.read(arg)?;
    let domain = ctx.sys.domain(domain_id).ok_or(Errno::ESRCH)?;
    if !ctx.domain.privileged {
        return Err(Errno::EPERM);
    }
    shutdown::shutdown(ctx.sys, domain, reason as u8);
    Ok(())
}

//! The hypercall `sched_op(cmd, arg)`.

use pv_abi::errno::Errno;
use pv_abi::sched as abi;
use pv_abi::sched::SchedShutdown;

use super::{poll, shutdown};
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
        abi::SCHEDOP_SHUTDOWN => {
            let SchedShutdown { reason } = ctx.read(arg)?;
            shutdown::by_itself(ctx, reason);
        }
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

/// `SCHEDOP_yield`: lets others go first, if there are any.
#[inline(always)]
fn yields<P: Platform>(ctx: &Ctx<'_, P>) {
    let here = ctx.vcpu.run.cpu().and_then(|cpu| ctx.sys.scheduler.cpu(cpu));
    if here.is_some_and(|here| here.has_waiting()) {
        ctx.vcpu.run.request_reschedule();
    }
}

/// `SCHEDOP_block`: unmasks upcalls and sleeps until one is pending.
fn block<P: Platform>(ctx: &Ctx<'_, P>) {
    let (vcpu, access) = (ctx.vcpu, &ctx.sys.platform);
    vcpu.set_upcall_mask(access, false);
    // To sleep first, then to look: whoever makes an upcall pending looks whether we sleep
    // afterwards, so either we see it or it wakes us.
    if vcpu.run.block() && vcpu.upcall_pending(access) {
        vcpu.run.cancel_block();
    }
}

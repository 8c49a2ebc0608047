//! Setting timers: `set_timer_op` and the timers of `vcpu_op`.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::vcpu::{VCPU_SSHOTTMR_FUTURE, VcpuSetPeriodicTimer};
use pv_abi::virq::VIRQ_TIMER;
use pv_abi::{x86_32, x86_64};

use crate::domain::vcpu::Vcpu;
use crate::error::HypercallResult;
use crate::evtchn::virq;
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::platform::Platform;
use crate::sched::NEVER;
use crate::width::Width;

/// The shortest period: one millisecond.
const PERIOD_MIN_NS: u64 = 1_000_000;
/// The longest period (`STIME_DELTA_MAX` in Xen).
const PERIOD_MAX_NS: u64 = u64::MAX >> 2;
/// From so far ahead on (some 13 days), `set_timer_op` takes a deadline for a mistake.
const HUGE_NS: u64 = 1 << 50;
/// How far ahead it sets the timer then.
const AFTER_HUGE_NS: u64 = 100_000_000;

/// `set_timer_op(deadline)`: sets the caller's single-shot timer, in ns of system time; 0 stops it.
///
/// A 32-bit guest passes the low and the high half. One that has passed fires at once. One
/// that is absurdly far ahead or "negative" fires in 100 ms, as in Xen: to some old
/// kernels that is a wrapped-around deadline in the past, to others no deadline at all.
pub fn set_timer_op<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let [low, high, ..] = *args;
    let deadline_ns = match ctx.width() {
        Width::Pv32 => low | high << 32,
        Width::Pv64 => low,
    };
    if deadline_ns == 0 {
        stop_single_shot(ctx.vcpu);
        return Ok(0);
    }
    let now_ns = ctx.sys.platform.now_ns();
    let huge = deadline_ns >> 63 != 0 || deadline_ns.saturating_sub(now_ns) >= HUGE_NS;
    let deadline_ns = if huge { now_ns.saturating_add(AFTER_HUGE_NS) } else { deadline_ns };
    set_single_shot(ctx, deadline_ns, now_ns);
    Ok(0)
}

/// Sets the caller's single-shot timer; one that has passed fires at once.
fn set_single_shot<P: Platform>(ctx: &Ctx<'_, P>, deadline_ns: u64, now_ns: u64) {
    let timer = &ctx.vcpu.time.single_shot_ns;
    if deadline_ns <= now_ns {
        timer.store(NEVER, Ordering::Relaxed);
        virq::raise(ctx.sys, ctx.domain, ctx.vcpu.id, VIRQ_TIMER);
    } else {
        timer.store(deadline_ns, Ordering::Relaxed);
        super::arm_for(ctx.sys, ctx.vcpu, deadline_ns);
    }
}

/// Stops a single-shot timer. The hardware's stays armed: should nothing earlier be set, it
/// fires for nothing, once.
fn stop_single_shot(vcpu: &Vcpu) {
    vcpu.time.single_shot_ns.store(NEVER, Ordering::Relaxed);
}

/// `VCPUOP_set_singleshot_timer`: as [`set_timer_op`], but every deadline is taken at its word.
///
/// `EINVAL` for another vCPU than the caller, `EFAULT` if the argument cannot be read,
/// `ETIME` if it asks for a time in the future and that has passed.
pub(crate) fn vcpu_set_single_shot<P: Platform>(
    ctx: &Ctx<'_, P>,
    vcpu: &Vcpu,
    at: u64,
) -> Result<(), Errno> {
    // Xen reads a 32-bit guest's argument before it looks at the vCPU; so it decides which
    // errno comes first.
    let (deadline_ns, flags) = match ctx.width() {
        Width::Pv32 => {
            let arg: x86_32::VcpuSetSingleshotTimer = ctx.read(at)?;
            must_be_caller(ctx, vcpu)?;
            (arg.timeout_abs_ns.get(), arg.flags)
        }
        Width::Pv64 => {
            must_be_caller(ctx, vcpu)?;
            let arg: x86_64::VcpuSetSingleshotTimer = ctx.read(at)?;
            (arg.timeout_abs_ns, arg.flags)
        }
    };
    let now_ns = ctx.sys.platform.now_ns();
    if flags & VCPU_SSHOTTMR_FUTURE != 0 && deadline_ns < now_ns {
        return Err(Errno::ETIME);
    }
    set_single_shot(ctx, deadline_ns, now_ns);
    Ok(())
}

/// `VCPUOP_stop_singleshot_timer`. `EINVAL` for another vCPU than the caller.
pub(crate) fn vcpu_stop_single_shot<P: Platform>(
    ctx: &Ctx<'_, P>,
    vcpu: &Vcpu,
) -> Result<(), Errno> {
    must_be_caller(ctx, vcpu)?;
    stop_single_shot(vcpu);
    Ok(())
}

fn must_be_caller<P: Platform>(ctx: &Ctx<'_, P>, vcpu: &Vcpu) -> Result<(), Errno> {
    if vcpu.id == ctx.vcpu.id { Ok(()) } else { Err(Errno::EINVAL) }
}

/// `VCPUOP_set_periodic_timer`, of any vCPU of the caller's domain.
///
/// `EFAULT` if the argument cannot be read, `EINVAL` for a period below a millisecond or
/// above 2^62 ns.
pub(crate) fn vcpu_set_periodic<P: Platform>(
    ctx: &Ctx<'_, P>,
    vcpu: &Vcpu,
    at: u64,
) -> Result<(), Errno> {
    let VcpuSetPeriodicTimer { period_ns } = ctx.read(at)?;
    if !(PERIOD_MIN_NS..=PERIOD_MAX_NS).contains(&period_ns) {
        return Err(Errno::EINVAL);
    }
    let due_ns = ctx.sys.platform.now_ns().saturating_add(period_ns);
    vcpu.time.period_ns.store(period_ns, Ordering::Relaxed);
    vcpu.time.periodic_ns.store(due_ns, Ordering::Relaxed);
    if vcpu.id == ctx.vcpu.id {
        super::arm_for(ctx.sys, vcpu, due_ns);
    } else if let Some(cpu) = vcpu.run.cpu() {
        // Its CPU has to arm it; if that is ours, the vCPU does not run, and is looked at
        // when it does.
        if cpu != ctx.sys.platform.this_cpu() {
            ctx.sys.platform.kick(cpu);
        }
    }
    Ok(())
}

/// `VCPUOP_stop_periodic_timer`, of any vCPU of the caller's domain.
pub(crate) fn vcpu_stop_periodic(vcpu: &Vcpu) {
    vcpu.time.period_ns.store(0, Ordering::Relaxed);
    vcpu.time.periodic_ns.store(NEVER, Ordering::Relaxed);
}

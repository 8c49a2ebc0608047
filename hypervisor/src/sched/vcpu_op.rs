//! The hypercall `vcpu_op(cmd, vcpuid, arg)`.

use pv_abi::errno::Errno;
use pv_abi::sched::SHUTDOWN_POWEROFF;
use pv_abi::types::VcpuId;
use pv_abi::vcpu as abi;
use pv_abi::vcpu::VcpuGetPhysid;
use pv_abi::{x86_32, x86_64};

use super::{areas, balance, down, shutdown, start, vcpu_info, wake};
use crate::domain::context::{Context, set};
use crate::domain::vcpu::Vcpu;
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::platform::Platform;
use crate::time::ops as timers;
use crate::width::Width;

/// `vcpu_op(cmd, vcpuid, arg)`: works on a vCPU of the caller's domain.
///
/// `ENOENT` for a vCPU that does not exist, whatever the command; `ENOSYS` for commands
/// that are not there; else as each says.
pub fn vcpu_op<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let [cmd, id, arg, ..] = *args;
    let vcpu = ctx.domain.vcpu(VcpuId::new(id as u32)).ok_or(Errno::ENOENT)?;
    match cmd as u32 {
        abi::VCPUOP_INITIALISE => initialise(ctx, vcpu, arg)?,
        abi::VCPUOP_UP => up(ctx, vcpu)?,
        abi::VCPUOP_DOWN => take_down(ctx, vcpu),
        abi::VCPUOP_IS_UP => return Ok(u64::from(vcpu.run.is_up())),
        abi::VCPUOP_SET_SINGLESHOT_TIMER => timers::vcpu_set_single_shot(ctx, vcpu, arg)?,
        abi::VCPUOP_STOP_SINGLESHOT_TIMER => timers::vcpu_stop_single_shot(ctx, vcpu)?,
        abi::VCPUOP_SET_PERIODIC_TIMER => timers::vcpu_set_periodic(ctx, vcpu, arg)?,
        abi::VCPUOP_STOP_PERIODIC_TIMER => timers::vcpu_stop_periodic(vcpu),
        abi::VCPUOP_GET_RUNSTATE_INFO => {
            let record = vcpu.run.runstate(ctx.sys.platform.now_ns());
            areas::write_runstate(ctx, arg, &record)?;
        }
        abi::VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA => areas::register_runstate(ctx, vcpu, arg)?,
        abi::VCPUOP_REGISTER_VCPU_INFO => vcpu_info::register(ctx, vcpu, arg)?,
        abi::VCPUOP_SEND_NMI => send_nmi(ctx, vcpu, arg)?,
        abi::VCPUOP_GET_PHYSID => get_physid(ctx, vcpu, arg)?,
        abi::VCPUOP_REGISTER_VCPU_TIME_MEMORY_AREA => areas::register_time(ctx, arg)?,
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

/// `VCPUOP_initialise`: gives a vCPU the state that it starts with. It stays down.
///
/// `EFAULT` if the argument cannot be read; else as [`set::initialise`].
#[inline(never)] // The structure passes through the stack, which is small.
fn initialise<P: Platform>(ctx: &mut Ctx<'_, P>, vcpu: &Vcpu, arg: u64) -> Result<(), Stop> {
    let context = match ctx.width() {
        Width::Pv32 => Context::from_pv32(&ctx.read::<x86_32::VcpuGuestContext>(arg)?),
        Width::Pv64 => Context::from_pv64(&ctx.read::<x86_64::VcpuGuestContext>(arg)?),
    };
    set::initialise(ctx.sys, ctx.domain, vcpu, &context)
}

/// `VCPUOP_up`: lets an initialised vCPU run; nothing if it does.
///
/// `EINVAL` for one that is not initialised.
fn up<P: Platform>(ctx: &Ctx<'_, P>, vcpu: &Vcpu) -> Result<(), Errno> {
    if !vcpu.run.is_initialised() {
        return Err(Errno::EINVAL);
    }
    start(ctx.sys, ctx.domain, vcpu);
    Ok(())
}

/// `VCPUOP_down`: takes a vCPU down; it goes on where it was when it is brought up again. The last
/// one takes its domain with it.
fn take_down<P: Platform>(ctx: &Ctx<'_, P>, vcpu: &Vcpu) {
    let others = ctx.domain.vcpus().filter(|other| other.id != vcpu.id);
    if { others }.any(|other| other.run.is_up()) {
        down(ctx.sys, vcpu);
    } else {
        shutdown::shutdown(ctx.sys, ctx.domain, SHUTDOWN_POWEROFF as u8);
    }
}

/// `VCPUOP_send_nmi`: makes a vCPU enter its NMI handler, asleep or not. `EINVAL` unless the
/// argument is null.
fn send_nmi<P: Platform>(ctx: &Ctx<'_, P>, vcpu: &Vcpu, arg: u64) -> Result<(), Errno> {
    if arg != 0 {
        return Err(Errno::EINVAL);
    }
    wake::send_nmi(ctx.sys, ctx.domain, vcpu);
    Ok(())
}

/// `VCPUOP_get_physid`: the APIC and ACPI numbers of the CPU that a vCPU of domain 0 is bound to.
///
/// `EINVAL` for another domain's, or one that more than one CPU may run; `EFAULT` if the
/// argument cannot be written.
fn get_physid<P: Platform>(ctx: &Ctx<'_, P>, vcpu: &Vcpu, arg: u64) -> Result<(), Errno> {
    let cpus = vcpu.run.affinity() & balance::online(ctx.sys);
    if !ctx.domain.privileged || !cpus.is_power_of_two() {
        return Err(Errno::EINVAL);
    }
    let apic_id = u64::from(ctx.sys.platform.apic_id(cpus.trailing_zeros()));
    // The MADT numbers processors and APICs alike on the machines that we run on.
    ctx.write(arg, &VcpuGetPhysid { phys_id: apic_id | apic_id << 32 })
}

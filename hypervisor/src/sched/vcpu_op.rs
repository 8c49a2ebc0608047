//! The hypercall `vcpu_op(cmd, vcpuid, arg)`.

use pv_abi::errno::Errno;
use pv_abi::types::VcpuId;
use pv_abi::vcpu as abi;

use super::{areas, vcpu_info};
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::platform::Platform;
use crate::time::ops as timers;

/// `vcpu_op(cmd, vcpuid, arg)`: works on a vCPU of the caller's domain.
///
/// `ENOENT` for a vCPU that does not exist, whatever the command; `ENOSYS` for commands
/// that are not there (bringing vCPUs up and down, NMIs, physical ids); else as each says.
pub fn vcpu_op<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let [cmd, id, arg, ..] = *args;
    let vcpu = ctx.domain.vcpu(VcpuId::new(id as u32)).ok_or(Errno::ENOENT)?;
    match cmd as u32 {
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
        abi::VCPUOP_REGISTER_VCPU_TIME_MEMORY_AREA => areas::register_time(ctx, arg)?,
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

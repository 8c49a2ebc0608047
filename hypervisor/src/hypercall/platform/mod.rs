//! `platform_op`: what domain 0 does about the machine as a whole.
//!
//! [`cpus`] tells of physical CPUs; [`resources`] reads registers for tools. The clock is set
//! here. Much is refused, since the machine below has nothing of the kind or the hypervisor
//! does not do it: [`LIMITS`] has the list. Each errno is the one that Xen 4.17 gives where it
//! lacks the same.

mod cpus;
mod resources;

use pv_abi::errno::Errno;
use pv_abi::platform as abi;
use pv_abi::platform::{CoreParking, PlatformOp, PlatformQuirk, Settime32, Settime64};
use zerocopy::FromBytes;

use super::Args;
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::support::{Limit, partial, refused};
use crate::time::wallclock;

/// The commands that are not whole.
pub const LIMITS: &[Limit] = &[
    refused(abi::XENPF_ADD_MEMTYPE, Errno::ENXIO, "memory types are left as the firmware set them"),
    refused(abi::XENPF_DEL_MEMTYPE, Errno::ENXIO, "memory types are left as the firmware set them"),
    refused(abi::XENPF_READ_MEMTYPE, Errno::EINVAL, "no variable memory type is shown"),
    refused(abi::XENPF_MICROCODE_UPDATE, Errno::EINVAL, "no microcode is loaded"),
    partial(abi::XENPF_FIRMWARE_INFO, "nothing was asked of the firmware, so all is `ESRCH`"),
    refused(abi::XENPF_ENTER_ACPI_SLEEP, Errno::EPERM, "the machine does not sleep"),
    refused(abi::XENPF_CPU_OFFLINE, Errno::EOPNOTSUPP, "CPUs stay up"),
    partial(abi::XENPF_CORE_PARKING, "no CPU is parked"),
    partial(abi::XENPF_RESOURCE_OP, "only the time can be read"),
    refused(abi::XENPF_GET_SYMBOL, Errno::EOPNOTSUPP, "symbols are not told"),
];

/// Bytes of an operation before its structure.
const HEADER: u64 = 8;

/// `platform_op(op)`.
///
/// `EFAULT`: the operation cannot be read, or an answer cannot be written; `EACCES`: another
/// version of the interface; `EPERM`: the caller is not privileged; `ENOSYS`: a command that
/// is not there; else as each says.
pub fn platform_op<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let at = args[0];
    let op: PlatformOp = ctx.read(at)?;
    if op.interface_version != abi::XENPF_INTERFACE_VERSION {
        return Err(Errno::EACCES.into());
    }
    if !ctx.domain.privileged {
        return Err(Errno::EPERM.into());
    }
    let answer = at + HEADER;
    let errno = match op.cmd {
        abi::XENPF_SETTIME32 => {
            let Settime32 { secs, nsecs, system_time } = structure(&op)?;
            wallclock::set(ctx.sys, secs.into(), nsecs, system_time);
            return Ok(0);
        }
        abi::XENPF_SETTIME64 => {
            let Settime64 { secs, nsecs, mbz, system_time } = structure(&op)?;
            if mbz != 0 {
                return Err(Errno::EINVAL.into());
            }
            wallclock::set(ctx.sys, secs, nsecs, system_time);
            return Ok(0);
        }
        abi::XENPF_PLATFORM_QUIRK => return quirk(&structure(&op)?),
        abi::XENPF_GET_CPUINFO => return cpus::info(ctx, structure(&op)?, answer),
        abi::XENPF_GET_CPU_VERSION => return cpus::version(ctx, structure(&op)?, answer),
        abi::XENPF_CPU_ONLINE => return cpus::online(ctx, &structure(&op)?),
        abi::XENPF_CPU_OFFLINE => return cpus::offline(ctx, &structure(&op)?),
        abi::XENPF_CORE_PARKING => return core_parking(ctx, structure(&op)?, answer),
        abi::XENPF_RESOURCE_OP => return resources::access(ctx, answer),
        abi::XENPF_FIRMWARE_INFO => firmware_info(&structure(&op)?),
        abi::XENPF_SET_PROCESSOR_PMINFO => power_management(&structure(&op)?),
        abi::XENPF_ADD_MEMTYPE | abi::XENPF_DEL_MEMTYPE => Errno::ENXIO,
        abi::XENPF_READ_MEMTYPE | abi::XENPF_MICROCODE_UPDATE => Errno::EINVAL,
        abi::XENPF_ENTER_ACPI_SLEEP => Errno::EPERM,
        abi::XENPF_GET_SYMBOL => Errno::EOPNOTSUPP,
        _ => Errno::ENOSYS,
    };
    Err(errno.into())
}

/// The structure that begins an operation's union.
fn structure<T: FromBytes>(op: &PlatformOp) -> Result<T, Errno> {
    T::read_from_prefix(&op.u).map(|(structure, _)| structure).map_err(|_| Errno::EINVAL)
}

/// `XENPF_platform_quirk`: interrupts are not balanced anyway, and no I/O APIC forgets what was
/// selected. `EINVAL`: an unknown quirk.
fn quirk(quirk: &PlatformQuirk) -> HypercallResult {
    match quirk.quirk_id {
        abi::QUIRK_NOIRQBALANCING
        | abi::QUIRK_IOAPIC_BAD_REGSEL
        | abi::QUIRK_IOAPIC_GOOD_REGSEL => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// `XENPF_core_parking`: sets or tells how many CPUs idle on purpose, which is none. `EOPNOTSUPP`:
/// more are wanted; `EINVAL`: neither.
fn core_parking<P: Platform>(ctx: &Ctx<'_, P>, mut arg: CoreParking, at: u64) -> HypercallResult {
    match arg.r#type {
        abi::XEN_CORE_PARKING_SET if arg.idle_nums == 0 => Ok(0),
        abi::XEN_CORE_PARKING_SET => Err(Errno::EOPNOTSUPP.into()),
        abi::XEN_CORE_PARKING_GET => {
            arg.idle_nums = 0;
            ctx.write(at, &arg)?;
            Ok(0)
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

/// `XENPF_firmware_info`, of which `[type, index]` is looked at: `ESRCH`, there is no more of what
/// is asked for; EFI's is not there at all; `EINVAL`: an unknown type.
fn firmware_info([kind, _]: &[u32; 2]) -> Errno {
    match *kind {
        abi::XEN_FW_DISK_INFO
        | abi::XEN_FW_DISK_MBR_SIGNATURE
        | abi::XEN_FW_VBEDDC_INFO
        | abi::XEN_FW_KBD_SHIFT_FLAGS => Errno::ESRCH,
        abi::XEN_FW_EFI_INFO => Errno::ENOSYS,
        _ => Errno::EINVAL,
    }
}

/// `XENPF_set_processor_pminfo`, of which `[id, type]` is looked at: nobody wants to know, since
/// CPUs are neither slowed down nor put to sleep more deeply than by `hlt`.
fn power_management([_, kind]: &[u32; 2]) -> Errno {
    match *kind {
        abi::XEN_PM_CX | abi::XEN_PM_PX | abi::XEN_PM_TX | abi::XEN_PM_PDC => Errno::ENOSYS,
        _ => Errno::EINVAL,
    }
}

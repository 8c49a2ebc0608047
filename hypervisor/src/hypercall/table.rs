//! The table of hypercalls. Nothing else decides which exist.

use pv_abi::errno::Errno;
use pv_abi::hypercall as nr;

use super::{Args, assist, console, domctl, multicall, physdev, platform, sysctl, version};
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::{evtchn, grant, mm, sched, time, trap};

macro_rules! hypercalls {
    ($($number:path => $handler:path, $name:literal;)*) => {
        /// Makes hypercall `number` with the arguments in the registers, and puts the outcome there.
        ///
        /// Each arm fetches the arguments for itself: a handler that is inlined here then
        /// costs only those that it looks at, and its result stays in a register.
        #[inline(always)]
        pub(super) fn enter<P: Platform>(ctx: &mut Ctx<'_, P>, number: u32) {
            match number {
                $($number => {
                    let mut args = ctx.args();
                    let outcome = $handler(ctx, &mut args);
                    super::finish(ctx, outcome, &args);
                })*
                _ => super::finish(ctx, Err(Errno::ENOSYS.into()), &[0; 6]),
            }
        }

        /// Calls the handler of hypercall `number`; `ENOSYS` if there is none.
        #[inline(always)]
        pub fn dispatch<P: Platform>(
            ctx: &mut Ctx<'_, P>,
            number: u32,
            args: &mut Args,
        ) -> HypercallResult {
            match number {
                $($number => $handler(ctx, args),)*
                _ => Err(Errno::ENOSYS.into()),
            }
        }

        /// Every hypercall that has a handler: its number and its name in `xen.h`.
        pub const SUPPORTED: &[(u32, &str)] = &[$(($number, $name)),*];
    };
}

hypercalls! {
    nr::SET_TRAP_TABLE => trap::ops::set_trap_table, "set_trap_table";
    nr::MMU_UPDATE => mm::mmu_update::mmu_update, "mmu_update";
    nr::SET_GDT => trap::descriptors::set_gdt, "set_gdt";
    nr::STACK_SWITCH => trap::ops::stack_switch, "stack_switch";
    nr::SET_CALLBACKS => trap::ops::set_callbacks, "set_callbacks";
    nr::FPU_TASKSWITCH => trap::control::fpu_taskswitch, "fpu_taskswitch";
    nr::SCHED_OP_COMPAT => sched::ops::sched_op_compat, "sched_op_compat";
    nr::SET_DEBUGREG => trap::debug_registers::set_debugreg, "set_debugreg";
    nr::GET_DEBUGREG => trap::debug_registers::get_debugreg, "get_debugreg";
    nr::UPDATE_DESCRIPTOR => trap::descriptors::update_descriptor, "update_descriptor";
    nr::MEMORY_OP => mm::memory_op::memory_op, "memory_op";
    nr::MULTICALL => multicall::multicall, "multicall";
    nr::PLATFORM_OP => platform::platform_op, "platform_op";
    nr::UPDATE_VA_MAPPING => mm::update_va::update_va_mapping, "update_va_mapping";
    nr::UPDATE_VA_MAPPING_OTHERDOMAIN => mm::update_va::update_va_mapping_otherdomain, "update_va_mapping_otherdomain";
    nr::SET_TIMER_OP => time::ops::set_timer_op, "set_timer_op";
    nr::XEN_VERSION => version::xen_version, "xen_version";
    nr::CONSOLE_IO => console::console_io, "console_io";
    nr::GRANT_TABLE_OP => grant::ops::grant_table_op, "grant_table_op";
    nr::VM_ASSIST => assist::vm_assist, "vm_assist";
    nr::IRET => trap::iret::iret, "iret";
    nr::VCPU_OP => sched::vcpu_op::vcpu_op, "vcpu_op";
    nr::MMUEXT_OP => mm::mmuext::mmuext_op, "mmuext_op";
    nr::NMI_OP => trap::nmi::nmi_op, "nmi_op";
    nr::SCHED_OP => sched::ops::sched_op, "sched_op";
    nr::CALLBACK_OP => trap::ops::callback_op, "callback_op";
    nr::EVENT_CHANNEL_OP => evtchn::ops::event_channel_op, "event_channel_op";
    nr::PHYSDEV_OP => physdev::physdev_op, "physdev_op";
    nr::SYSCTL => sysctl::sysctl, "sysctl";
    nr::DOMCTL => domctl::domctl, "domctl";
}

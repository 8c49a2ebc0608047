//! Where the guest wants traps and upcalls: `set_trap_table`, `set_callbacks`, `callback_op`,
//! and the stack for traps from its users: `stack_switch`.
//!
//! Selectors are taken as given but for the RPL, which is raised to the guest kernel's ring
//! as Xen does: no handler runs in Ring 0. Whether the selector names a usable segment shows
//! when it is loaded.

use pv_abi::callback::{
    CALLBACKF_MASK_EVENTS, CALLBACKOP_REGISTER, CALLBACKOP_UNREGISTER, CALLBACKTYPE_EVENT,
    CALLBACKTYPE_FAILSAFE, CALLBACKTYPE_NMI, CALLBACKTYPE_SYSCALL, CallbackUnregister,
};
use pv_abi::errno::Errno;
use pv_abi::traps::{TI_DPL_MASK, TI_IF};
use pv_abi::{x86_32, x86_64};

use super::{Target, Trap, nmi};
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::mm::descriptor::guest_selector;
use crate::platform::Platform;
use crate::width::Width;

/// Table entries taken before other work gets a chance: a whole table and its end.
const BATCH: u32 = 257;

/// Where guest code is entered, from a selector (pv32) and an address.
///
/// `EINVAL` if the address is not canonical.
pub(super) fn target(width: Width, selector: u16, address: u64) -> Result<Target, Errno> {
    let canonical = (address << 16) as i64 >> 16 == address as i64;
    if !canonical {
        return Err(Errno::EINVAL);
    }
    Ok(Target { cs: guest_selector(width, selector), address })
}

/// `set_trap_table(traps)`: sets handlers until an entry with address 0; all are removed by a null pointer.
///
/// `EFAULT`: the table (entries before the fault are set). `EINVAL`: an address that is not canonical.
pub fn set_trap_table<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    if args[0] == 0 {
        ctx.state.traps.clear();
        return Ok(0);
    }
    for _ in 0..BATCH {
        let (vector, flags, cs, address, size) = match ctx.width() {
            Width::Pv32 => {
                let t: x86_32::TrapInfo = ctx.read(args[0])?;
                (t.vector, t.flags, t.cs, u64::from(t.address), size_of_val(&t))
            }
            Width::Pv64 => {
                let t: x86_64::TrapInfo = ctx.read(args[0])?;
                (t.vector, t.flags, t.cs, t.address, size_of_val(&t))
            }
        };
        if address == 0 {
            return Ok(0);
        }
        let target = target(ctx.width(), cs, address)?;
        let trap = Trap { target, dpl: flags & TI_DPL_MASK, masks: flags & TI_IF != 0 };
        ctx.state.traps.set(vector, trap);
        args[0] = args[0].wrapping_add(size as u64);
    }
    Err(Stop::Preempted)
}

/// `set_callbacks(event, failsafe[, syscall])`: each a selector and an offset for pv32, an address for pv64.
///
/// `EINVAL`: an address that is not canonical.
pub fn set_callbacks<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let width = ctx.width();
    let callbacks = &mut ctx.state.callbacks;
    match width {
        Width::Pv32 => {
            callbacks.event = target(width, args[0] as u16, args[1])?;
            callbacks.failsafe = target(width, args[2] as u16, args[3])?;
        }
        Width::Pv64 => {
            callbacks.event = target(width, x86_64::FLAT_KERNEL_CS, args[0])?;
            callbacks.failsafe = target(width, x86_64::FLAT_KERNEL_CS, args[1])?;
            callbacks.syscall = target(width, x86_64::FLAT_KERNEL_CS, args[2])?;
            callbacks.syscall_masks = false;
        }
    }
    callbacks.failsafe_masks = false;
    Ok(0)
}

/// `callback_op(cmd, args)`.
///
/// `EFAULT`: the argument. `EINVAL`: an address that is not canonical, or a callback that
/// must stay. `ENOSYS`: an unknown command or callback; `sysenter` and `syscall` of 32-bit
/// users are not offered, so that guests fall back on `int $0x80`.
pub fn callback_op<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    match args[0] as u32 {
        CALLBACKOP_REGISTER => {
            let (kind, flags, cs, address) = match ctx.width() {
                Width::Pv32 => {
                    let r: x86_32::CallbackRegister = ctx.read(args[1])?;
                    (r.r#type, r.flags, r.address.cs as u16, u64::from(r.address.eip))
                }
                Width::Pv64 => {
                    let r: x86_64::CallbackRegister = ctx.read(args[1])?;
                    (r.r#type, r.flags, x86_64::FLAT_KERNEL_CS, r.address)
                }
            };
            register(ctx, kind, flags & CALLBACKF_MASK_EVENTS != 0, cs, address)
        }
        CALLBACKOP_UNREGISTER => {
            let argument: CallbackUnregister = ctx.read(args[1])?;
            unregister(ctx, argument.r#type)
        }
        _ => Err(Errno::ENOSYS.into()),
    }
}

fn register<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    kind: u16,
    masks: bool,
    cs: u16,
    address: u64,
) -> HypercallResult {
    let width = ctx.width();
    let callbacks = &mut ctx.state.callbacks;
    match kind {
        CALLBACKTYPE_EVENT => callbacks.event = target(width, cs, address)?,
        CALLBACKTYPE_FAILSAFE => {
            callbacks.failsafe = target(width, cs, address)?;
            callbacks.failsafe_masks = masks;
        }
        CALLBACKTYPE_SYSCALL if width == Width::Pv64 => {
            callbacks.syscall = target(width, cs, address)?;
            callbacks.syscall_masks = masks;
        }
        CALLBACKTYPE_NMI => nmi::register(ctx, address)?,
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

fn unregister<P: Platform>(ctx: &mut Ctx<'_, P>, kind: u16) -> HypercallResult {
    match kind {
        CALLBACKTYPE_NMI => {
            nmi::unregister(ctx);
            Ok(0)
        }
        CALLBACKTYPE_EVENT | CALLBACKTYPE_FAILSAFE => Err(Errno::EINVAL.into()),
        CALLBACKTYPE_SYSCALL if ctx.width() == Width::Pv64 => Err(Errno::EINVAL.into()),
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// `stack_switch(ss, sp)`: the stack on which the kernel is entered from its users.
#[inline(always)]
pub fn stack_switch<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    ctx.state.kernel_ss = guest_selector(ctx.width(), args[0] as u16);
    ctx.state.kernel_sp = args[1];
    Ok(0)
}

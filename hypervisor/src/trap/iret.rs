//! The `iret` hypercall: back from a trap or an upcall, event mask and all.
//!
//! A pv32 guest jumps to its hypercall page's slot, which pushes eax and calls us; so the
//! frame at esp is, from the lowest address up (Xen 4.17, `compat_iret`):
//!
//! ```text
//! eax  eip  cs  eflags  [esp  ss]
//! ```
//!
//! The last two are used on the way to Ring 2 or 3 only; to Ring 1 the stack pointer ends
//! up above eflags. IF in eflags becomes the event mask, inverted.

use pv_abi::errno::Errno;
use pv_abi::vm_assist::VMASST_TYPE_ARCHITECTURAL_IOPL;

use super::{nmi, segment};
use crate::error::{Crash, HypercallResult, Stop};
use crate::guest::Ctx;
use crate::guest::regs::rflags;
use crate::hypercall::Args;
use crate::platform::Platform;
use crate::width::Width;

/// EFLAGS bits that are on in Ring 1 and 3. The frame decides [`rflags::GUEST`].
const ALWAYS: u64 = rflags::FIXED | rflags::IF;

/// What a frame that cannot be used leads to.
const BAD: Stop = Stop::Crash(Crash::BadIret);

/// `iret()`: does not return to its caller; the result is eax from the frame.
///
/// The domain crashes if the frame cannot be read or leads to Ring 0 or to virtual 8086
/// mode, which long mode does not have. Whether the selectors can be loaded shows when the
/// guest is resumed: if not, its failsafe callback is called.
#[inline(always)]
pub fn iret<P: Platform>(ctx: &mut Ctx<'_, P>, _args: &mut Args) -> HypercallResult {
    match ctx.width() {
        Width::Pv32 => iret32(ctx),
        Width::Pv64 => Err(Errno::ENOSYS.into()),
    }
}

#[inline(always)]
fn iret32<P: Platform>(ctx: &mut Ctx<'_, P>) -> HypercallResult {
    let esp = ctx.regs.rsp as u32;
    let ss = ctx.regs.ss;
    let base = segment::base32(ctx, ss).ok_or(BAD)?;
    let at = u64::from(base.wrapping_add(esp));
    let [eax, eip, cs, eflags]: [u32; 4] = ctx.read(at).map_err(|_| BAD)?;
    let eflags = u64::from(eflags);
    if eflags & rflags::VM != 0 {
        return Err(Stop::Crash(Crash::Because("its iret frame leads to virtual 8086 mode")));
    }
    let (new_esp, new_ss) = match cs & 3 {
        0 => return Err(BAD),
        1 => (esp.wrapping_add(16), ctx.regs.ss),
        _ => {
            let [esp, ss]: [u32; 2] = ctx.read(at.wrapping_add(16)).map_err(|_| BAD)?;
            (esp, ss as u16)
        }
    };
    // Everything is read: now change things.
    if ctx.domain.assists(VMASST_TYPE_ARCHITECTURAL_IOPL) {
        ctx.state.iopl = (eflags >> rflags::IOPL.trailing_zeros() & 3) as u8;
    }
    ctx.vcpu.set_upcall_mask(&ctx.sys.platform, eflags & rflags::IF == 0);
    if ctx.state.nmi.masked {
        nmi::done(ctx);
    }
    let r = &mut *ctx.regs;
    r.rip = eip.into();
    r.cs = cs as u16;
    r.rflags = eflags & rflags::GUEST | ALWAYS;
    r.rsp = new_esp.into();
    r.ss = new_ss;
    Ok(eax.into())
}

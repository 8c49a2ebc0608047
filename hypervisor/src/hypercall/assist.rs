//! `vm_assist`: behaviour that a domain opts into.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::vm_assist::{VMASST_CMD_DISABLE, VMASST_CMD_ENABLE};

use super::Args;
use crate::domain::assists::valid;
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::platform::Platform;

/// `vm_assist(cmd, type)`. `EINVAL`: an unknown type; `ENOSYS`: an unknown command.
pub fn vm_assist<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let bit = 1u64.checked_shl(args[1] as u32).unwrap_or(0) & valid(ctx.width());
    if bit == 0 {
        return Err(Errno::EINVAL.into());
    }
    match args[0] as u32 {
        VMASST_CMD_ENABLE => ctx.domain.vm_assist.fetch_or(bit, Ordering::Relaxed),
        VMASST_CMD_DISABLE => ctx.domain.vm_assist.fetch_and(!bit, Ordering::Relaxed),
        _ => return Err(Errno::ENOSYS.into()),
    };
    Ok(0)
}

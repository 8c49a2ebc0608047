//! `vm_assist`: behaviour that a domain opts into.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::vm_assist::{
    VMASST_CMD_DISABLE, VMASST_CMD_ENABLE, VMASST_TYPE_4GB_SEGMENTS,
    VMASST_TYPE_4GB_SEGMENTS_NOTIFY, VMASST_TYPE_ARCHITECTURAL_IOPL, VMASST_TYPE_M2P_STRICT,
    VMASST_TYPE_PAE_EXTENDED_CR3, VMASST_TYPE_RUNSTATE_UPDATE_FLAG,
    VMASST_TYPE_WRITABLE_PAGETABLES,
};

use super::Args;
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::width::Width;

/// The assists that a guest of either width may ask for.
///
/// As on Xen, the two on segments do nothing: under long mode's paging a pv32 guest has all
/// of its 4 GiB segments.
const VALID: u64 = 1 << VMASST_TYPE_4GB_SEGMENTS
    | 1 << VMASST_TYPE_4GB_SEGMENTS_NOTIFY
    | 1 << VMASST_TYPE_WRITABLE_PAGETABLES
    | 1 << VMASST_TYPE_PAE_EXTENDED_CR3
    | 1 << VMASST_TYPE_ARCHITECTURAL_IOPL
    | 1 << VMASST_TYPE_RUNSTATE_UPDATE_FLAG;

/// The assists that exist for a guest of this width, by number.
pub const fn valid(width: Width) -> u64 {
    match width {
        Width::Pv32 => VALID,
        Width::Pv64 => VALID | 1 << VMASST_TYPE_M2P_STRICT,
    }
}

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

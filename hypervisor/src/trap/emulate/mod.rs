//! Instructions that trap and that the ABI emulates.

pub mod ptwr;

use pv_abi::vectors;

use super::bounce;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::platform::Platform;

/// A #GP arrived.
pub fn general_protection<P: Platform>(ctx: &mut Ctx<'_, P>) -> Result<(), Stop> {
    bounce::trap(ctx, vectors::GENERAL_PROTECTION, Some(ctx.regs.error_code))
}

/// A #UD arrived: whether it was the forced-emulation prefix.
pub fn forced<P: Platform>(_ctx: &mut Ctx<'_, P>) -> Result<bool, Stop> {
    Ok(false)
}

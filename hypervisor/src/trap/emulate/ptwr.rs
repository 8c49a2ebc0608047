//! Stores to page tables that are mapped read-only.

use crate::error::Stop;
use crate::guest::Ctx;
use crate::platform::Platform;

/// The guest's kernel stored to `address`, which is mapped read-only: whether that is done now.
pub fn store<P: Platform>(_ctx: &mut Ctx<'_, P>, _address: u64) -> Result<bool, Stop> {
    Ok(false)
}

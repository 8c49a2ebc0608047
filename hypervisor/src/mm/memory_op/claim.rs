//! `XENMEM_claim_pages`: memory set aside for a domain that is being built.
//!
//! There is none to be had yet: a claim is refused as one that the machine cannot meet, which
//! toolstacks take for "no claims" or for a machine that is full. Ending a claim works.

use pv_abi::errno::Errno;

use super::reservation::fetch;
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::platform::Platform;

/// `XENMEM_claim_pages`.
///
/// `EFAULT`; `EINVAL`: a list, an order, flags, or no such domain; `EPERM`; `ENOMEM` for any
/// claim.
pub(super) fn claim_pages<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> HypercallResult {
    let r = fetch(ctx, arg)?;
    if r.extents != 0 || r.order != 0 || r.flags != 0 {
        return Err(Errno::EINVAL.into());
    }
    ctx.sys.domain(r.domid).ok_or(Errno::EINVAL)?;
    if !ctx.domain.privileged {
        return Err(Errno::EPERM.into());
    }
    if r.count == 0 { Ok(0) } else { Err(Errno::ENOMEM.into()) }
}

//! The size of a table, and the frames that the guest maps to write into it.

use pv_abi::errno::Errno;
use pv_abi::grant_table as abi;
use pv_abi::types::DomId;
use pv_abi::{x86_32, x86_64};

use super::table::{self, GROW_STEP};
use super::{Refused, domain_or_self, may_see, ops};
use crate::domain::Domain;
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::width::Width;

/// How many frames `domain`'s table may have.
fn limit(domain: &Domain) -> u32 {
    domain.limits.grant_frames.min(table::MAX_FRAMES)
}

/// The domain that an argument names, if the caller may look at its table.
pub(super) fn visible<'a, P: Platform>(ctx: &Ctx<'a, P>, id: DomId) -> Result<&'a Domain, Refused> {
    let domain = domain_or_self(ctx, id).ok_or(abi::GNTST_BAD_DOMAIN)?;
    if may_see(ctx, domain) { Ok(domain) } else { Err(abi::GNTST_PERMISSION_DENIED) }
}

/// `GNTTABOP_setup_table`: makes the table at least `nr_frames` frames large, and tells which
/// they are.
///
/// `EFAULT`: the argument, or a list outside of the guest's memory. `GNTST_general_error`: more
/// than the domain may have, or than there is memory for; `GNTST_bad_virt_addr`: the list is
/// not writable.
pub(super) fn setup_table<P: Platform>(ctx: &mut Ctx<'_, P>, at: u64) -> HypercallResult {
    let (dom, frames, list) = match ctx.width() {
        Width::Pv32 => {
            let op: x86_32::GnttabSetupTable = ctx.read(at)?;
            (op.dom, op.nr_frames, u64::from(op.frame_list))
        }
        Width::Pv64 => {
            let op: x86_64::GnttabSetupTable = ctx.read(at)?;
            (op.dom, op.nr_frames, op.frame_list)
        }
    };
    ops::check_array(ctx, list, frames, ctx.width().long() as usize)?;
    let outcome = match visible(ctx, dom).and_then(|domain| grow(ctx, domain, frames)) {
        Ok(Some(domain)) => tell(ctx, domain, frames, list),
        Ok(None) => return Err(Stop::Preempted),
        Err(refused) => Err(refused),
    };
    // The status is at the same place in both widths.
    const STATUS: u64 = core::mem::offset_of!(x86_32::GnttabSetupTable, status) as u64;
    const _: () = assert!(STATUS == core::mem::offset_of!(x86_64::GnttabSetupTable, status) as u64);
    ctx.write(at.wrapping_add(STATUS), &outcome.err().unwrap_or(abi::GNTST_OKAY))?;
    Ok(0)
}

/// Makes the table that large; `None`: not yet, the work is to be gone on with.
fn grow<'a, P: Platform>(
    ctx: &Ctx<'a, P>,
    domain: &'a Domain,
    frames: u32,
) -> Result<Option<&'a Domain>, Refused> {
    if frames > limit(domain) {
        return Err(abi::GNTST_GENERAL_ERROR);
    }
    let mut table = ctx.sys.grant_table(domain);
    if table.closed {
        return Err(abi::GNTST_GENERAL_ERROR);
    }
    let step = frames.min(table.shared.count().saturating_add(GROW_STEP));
    table.grow(ctx.sys, domain, step).map_err(|_| abi::GNTST_GENERAL_ERROR)?;
    Ok((step == frames).then_some(domain))
}

fn tell<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    frames: u32,
    list: u64,
) -> Result<(), Refused> {
    for index in 0..frames {
        let mfn = ctx.sys.grant_table(domain).shared.get(&ctx.sys.platform, index);
        let mfn = mfn.ok_or(abi::GNTST_GENERAL_ERROR)?;
        ctx.write_long(list, index.into(), mfn.raw()).map_err(|_| abi::GNTST_BAD_VIRT_ADDR)?;
    }
    Ok(())
}

/// `GNTTABOP_query_size`: how large the table is, and may be.
pub(super) fn query_size<P: Platform>(ctx: &mut Ctx<'_, P>, at: u64) -> HypercallResult {
    let mut op: abi::GnttabQuerySize = ctx.read(at)?;
    op.status = match visible(ctx, op.dom) {
        Ok(domain) => {
            op.nr_frames = ctx.sys.grant_table(domain).shared.count();
            op.max_nr_frames = limit(domain);
            abi::GNTST_OKAY
        }
        Err(refused) => refused,
    };
    ctx.write(at, &op)?;
    Ok(0)
}

/// Frame `index` of `domain`'s table (or of its status words), which is made if the domain may
/// have it: for a toolstack that maps it.
///
/// `EINVAL`: past the limit, or status frames of a version 1 table; `ENOMEM`.
pub fn frame_of<P: Platform>(
    sys: &crate::system::System<P>,
    domain: &Domain,
    status: bool,
    index: u32,
) -> Result<pv_abi::types::Mfn, Errno> {
    let mut table = sys.grant_table(domain);
    let frames = if status { index.saturating_mul(8) } else { index }.saturating_add(1);
    if table.closed || frames > limit(domain) || (status && table.version == 1) {
        return Err(Errno::EINVAL);
    }
    let frames = frames.max(table.shared.count());
    table.grow(sys, domain, frames)?;
    let list = if status { &table.status } else { &table.shared };
    list.get(&sys.platform, index).ok_or(Errno::EINVAL)
}

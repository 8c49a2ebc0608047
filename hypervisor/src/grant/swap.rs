//! `GNTTABOP_swap_grant_ref`: two entries of one's own change places.

use core::sync::atomic::Ordering;

use pv_abi::grant_table as abi;
use pv_abi::grant_table::GnttabSwapGrantRef;
use pv_abi::types::GrantRef;

use super::Refused;
use super::shared::{Body, Shared};
use crate::error::Stop;
use crate::guest::Ctx;
use crate::platform::Platform;

/// Swaps one pair; the status is written into the argument.
pub(super) fn swap_grant_ref<P: Platform>(ctx: &mut Ctx<'_, P>, at: u64) -> Result<(), Stop> {
    let mut op: GnttabSwapGrantRef = ctx.read(at)?;
    op.status = swap(ctx, op.ref_a, op.ref_b).err().unwrap_or(abi::GNTST_OKAY);
    ctx.write(at, &op)?;
    Ok(())
}

/// `GNTST_bad_gntref`: one of them does not exist (XSA-18); `GNTST_eagain`: one is in use.
fn swap<P: Platform>(ctx: &Ctx<'_, P>, a: GrantRef, b: GrantRef) -> Result<(), Refused> {
    let access = &ctx.sys.platform;
    // The table has a version and a frame from here on, whatever the guest did before (XSA-134).
    let table = ctx.sys.grant_table(ctx.domain);
    let find = |gref| -> Result<_, Refused> {
        let slot = table.slot(access, gref).ok_or(abi::GNTST_BAD_GNTREF)?;
        Ok((slot, table.entry(access, gref).ok_or(abi::GNTST_BAD_GNTREF)?))
    };
    let ((slot_a, entry_a), (slot_b, entry_b)) = (find(a)?, find(b)?);
    if a == b {
        return Ok(());
    }
    if !slot_a.pins().is_none() || !slot_b.pins().is_none() {
        return Err(abi::GNTST_EAGAIN);
    }
    let (old_a, old_b) = (contents(entry_a), contents(entry_b));
    replace(entry_a, old_b);
    replace(entry_b, old_a);
    Ok(())
}

/// An entry: header or first word, frame, status.
type Contents = (u64, u64, u16);

fn contents(entry: Shared<'_>) -> Contents {
    match entry.body {
        Body::V1 { frame } => {
            let header = entry.header.load(Ordering::Relaxed);
            (u64::from(header), u64::from(frame.load(Ordering::Relaxed)), 0)
        }
        Body::V2 { head, frame, status } => {
            (head.load(Ordering::Relaxed), frame.load(Ordering::Relaxed), status.get())
        }
    }
}

fn replace(entry: Shared<'_>, (first, second, bits): Contents) {
    match entry.body {
        Body::V1 { frame } => {
            frame.store(second as u32, Ordering::Relaxed);
            entry.header.store(first as u32, Ordering::Release);
        }
        Body::V2 { head, frame, status } => {
            frame.store(second, Ordering::Relaxed);
            status.put(bits);
            head.store(first, Ordering::Release);
        }
    }
}

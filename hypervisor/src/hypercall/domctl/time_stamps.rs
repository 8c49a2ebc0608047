//! How a domain reads time stamps: `rdtsc` is the machine's own.
//!
//! Toolstacks set a mode for every domain that they make (`docs/man/xen-tscmode.7`). Here the counter is
//! never emulated, so that those modes are there which do without on a machine like this; a domain that
//! is to have another frequency, or time that stood still while it moved, cannot be had.

use core::sync::atomic::Ordering;

use pv_abi::domctl::{Domctl, TscInfo};
use pv_abi::errno::Errno;

use super::{Reply, answer, argument};
use crate::domain::Domain;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::platform::Platform;

/// Emulated where the machine's counter would not do (`TSC_MODE_DEFAULT`).
const DEFAULT: u32 = 0;
/// Always emulated (`TSC_MODE_ALWAYS_EMULATE`).
const ALWAYS_EMULATE: u32 = 1;
/// Never emulated (`TSC_MODE_NEVER_EMULATE`).
const NEVER_EMULATE: u32 = 2;

/// `XEN_DOMCTL_settscinfo`.
///
/// `EINVAL`: the caller's own domain, or no mode; `EOPNOTSUPP`: what needs emulation.
pub(super) fn settscinfo<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    asked: &TscInfo,
) -> Result<(), Stop> {
    if domain.id == ctx.domain.id {
        return Err(Errno::EINVAL.into());
    }
    let machine_khz = ctx.sys.platform.pvclock().tsc_khz();
    match asked.tsc_mode {
        NEVER_EMULATE => {}
        DEFAULT if asked.gtsc_khz == 0 || asked.gtsc_khz == machine_khz => {}
        DEFAULT | ALWAYS_EMULATE => return Err(Errno::EOPNOTSUPP.into()),
        _ => return Err(Errno::EINVAL.into()),
    }
    domain.tsc.mode.store(asked.tsc_mode, Ordering::Relaxed);
    domain.tsc.incarnation.store(asked.incarnation, Ordering::Relaxed);
    Ok(())
}

/// `XEN_DOMCTL_gettscinfo`. `EINVAL`: the caller's own domain.
pub(super) fn gettscinfo<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    op: &mut Domctl,
) -> Result<Reply, Stop> {
    if domain.id == ctx.domain.id {
        return Err(Errno::EINVAL.into());
    }
    let mut info: TscInfo = argument(op)?;
    info.tsc_mode = domain.tsc.mode.load(Ordering::Relaxed);
    info.incarnation = domain.tsc.incarnation.load(Ordering::Relaxed);
    // Who wants the machine's own counter takes what it finds.
    (info.gtsc_khz, info.elapsed_nsec) = match info.tsc_mode {
        NEVER_EMULATE => (0, 0),
        _ => (ctx.sys.platform.pvclock().tsc_khz(), ctx.sys.platform.now_ns()),
    };
    Ok(answer(op, &info))
}

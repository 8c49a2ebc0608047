//! Counters and traces.

use pv_abi::errno::Errno;
use pv_abi::sysctl as abi;
use pv_abi::sysctl::{PerfcDesc, PerfcOp, TbufOp};
use pv_abi::types::DomId;
use zerocopy::FromZeros;

use super::element;
use crate::domain::MAX_DOMAINS;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::trace::counters::NAMES;

/// Values written at once.
const CHUNK: usize = 32;

/// `XEN_SYSCTL_perfc_op`: what happened, how often. Each counter has a value for every number
/// of a domain, in order; that of a number without a domain is 0.
///
/// `ENOSYS`: nothing is counted, as on a Xen without counters; `EINVAL`: an unknown command;
/// `EFAULT`: an array.
pub(super) fn perfc_op<P: Platform>(ctx: &Ctx<'_, P>, arg: &mut PerfcOp) -> Result<(), Errno> {
    if !ctx.sys.trace.counts() {
        return Err(Errno::ENOSYS);
    }
    if arg.cmd != abi::XEN_SYSCTL_PERFCOP_RESET && arg.cmd != abi::XEN_SYSCTL_PERFCOP_QUERY {
        return Err(Errno::EINVAL);
    }
    if arg.desc != 0 {
        tell(ctx, arg)?;
    }
    if arg.cmd == abi::XEN_SYSCTL_PERFCOP_RESET {
        for domain in ctx.sys.domains.iter() {
            domain.counters.reset();
        }
    }
    arg.nr_counters = NAMES.len() as u32;
    arg.nr_vals = (NAMES.len() * MAX_DOMAINS) as u32;
    Ok(())
}

/// Writes the names, and after them all values.
fn tell<P: Platform>(ctx: &Ctx<'_, P>, arg: &PerfcOp) -> Result<(), Errno> {
    let mut at = 0_u32;
    for (counter, name) in NAMES.iter().enumerate() {
        let mut desc = PerfcDesc { nr_vals: MAX_DOMAINS as u32, ..PerfcDesc::new_zeroed() };
        for (slot, byte) in desc.name.iter_mut().zip(name.bytes()) {
            *slot = byte;
        }
        ctx.write(element::<PerfcDesc>(arg.desc, counter as u32), &desc)?;
        for first in (0..MAX_DOMAINS).step_by(CHUNK) {
            let mut values = [0_u32; CHUNK];
            for (value, id) in values.iter_mut().zip(first as u16..) {
                let domain = ctx.sys.domain(DomId::new(id));
                // They go round, as 32-bit counters do.
                *value = domain.map_or(0, |domain| domain.counters.get(counter) as u32);
            }
            ctx.write(element::<u32>(arg.val, at), &values)?;
            at = at.saturating_add(CHUNK as u32);
        }
    }
    Ok(())
}

/// `XEN_SYSCTL_tbuf_op`: lets the trace stop and go on.
///
/// Where the records are is not told: they are not Xen's. `EINVAL`: there are none, or an
/// unknown command; `EBUSY`: there is room for records already; `EOPNOTSUPP`: making it now, or
/// leaving out events or CPUs.
pub(super) fn tbuf_op<P: Platform>(ctx: &Ctx<'_, P>, arg: &mut TbufOp) -> Result<(), Errno> {
    let trace = &ctx.sys.trace;
    match arg.cmd {
        abi::XEN_SYSCTL_TBUFOP_GET_INFO => {
            (arg.evt_mask, arg.buffer_mfn, arg.size) = (u32::MAX, 0, 0);
            Ok(())
        }
        abi::XEN_SYSCTL_TBUFOP_ENABLE => trace.go_on(),
        abi::XEN_SYSCTL_TBUFOP_DISABLE => {
            trace.stop();
            Ok(())
        }
        abi::XEN_SYSCTL_TBUFOP_SET_SIZE if trace.ring(0).is_some() => Err(Errno::EBUSY),
        abi::XEN_SYSCTL_TBUFOP_SET_SIZE
        | abi::XEN_SYSCTL_TBUFOP_SET_CPU_MASK
        | abi::XEN_SYSCTL_TBUFOP_SET_EVT_MASK => Err(Errno::EOPNOTSUPP),
        _ => Err(Errno::EINVAL),
    }
}

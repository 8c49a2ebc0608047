//! `XENPF_resource_op`: model specific registers, for tools. Only the time stamp counter can be
//! read, and then it is the system time.

use pv_abi::errno::Errno;
use pv_abi::platform::{ResourceEntry, XEN_RESOURCE_OP_MSR_READ, XEN_RESOURCE_OP_MSR_WRITE};

use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::platform::Platform;

/// The most accesses of one call (`RESOURCE_ACCESS_MAX_ENTRIES` in Xen).
const MAX_ENTRIES: u32 = 2;
/// The time stamp counter.
const MSR_TSC: u64 = 0x10;

/// Makes accesses; returns how many succeeded. The first that fails says why in its entry.
///
/// `at` is where `{ nr_entries, cpu, entries }` lies. `EINVAL`: too many; `ENODEV`: no such CPU.
pub(super) fn access<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> HypercallResult {
    let [count, cpu]: [u32; 2] = ctx.read(at)?;
    if count > MAX_ENTRIES {
        return Err(Errno::EINVAL.into());
    }
    let array = ctx.read_long(at + 8, 0)?;
    let mut entries = [None; MAX_ENTRIES as usize];
    for (slot, i) in entries.iter_mut().zip(0..u64::from(count)) {
        let entry = array.wrapping_add(i * size_of::<ResourceEntry>() as u64);
        *slot = Some((entry, ctx.read::<ResourceEntry>(entry)?));
    }
    let exists = cpu < ctx.sys.platform.count();
    let mut done = 0;
    for (at, mut entry) in entries.into_iter().flatten() {
        let outcome = check(&entry);
        // As on Xen, a first access that is refused is told before the CPU is looked at.
        if !exists && (done > 0 || outcome.is_ok()) {
            return Err(Errno::ENODEV.into());
        }
        match outcome {
            Ok(()) => entry.val = ctx.sys.platform.now_ns(),
            Err(errno) => entry.cmd = errno.to_ret() as u32,
        }
        ctx.write(at, &entry)?;
        if outcome.is_err() {
            break;
        }
        done += 1;
    }
    Ok(done)
}

/// Whether an access is allowed.
fn check(entry: &ResourceEntry) -> Result<(), Errno> {
    if entry.rsvd != 0 {
        return Err(Errno::EINVAL);
    }
    match entry.cmd {
        XEN_RESOURCE_OP_MSR_READ | XEN_RESOURCE_OP_MSR_WRITE if entry.idx >> 32 != 0 => {
            Err(Errno::EINVAL)
        }
        XEN_RESOURCE_OP_MSR_READ if entry.idx == MSR_TSC => Ok(()),
        XEN_RESOURCE_OP_MSR_READ | XEN_RESOURCE_OP_MSR_WRITE => Err(Errno::EPERM),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

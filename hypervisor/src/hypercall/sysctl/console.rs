//! What the hypervisor said, and having it say more.

use pv_abi::errno::Errno;
use pv_abi::sysctl::{DebugKeys, Readconsole};

use super::element;
use crate::guest::Ctx;
use crate::platform::Platform;

/// Bytes copied at once.
const CHUNK: u32 = 128;
/// Keys pressed by one call. Each may print for a good while.
const MOST_KEYS: u32 = 16;

/// `XEN_SYSCTL_readconsole`: the hypervisor's words that are kept, from the first on, or from the
/// one where the caller stopped the last time; on demand, those that were read are forgotten.
///
/// `EFAULT`: the buffer; then nothing is forgotten.
pub(super) fn readconsole<P: Platform>(
    ctx: &Ctx<'_, P>,
    arg: &mut Readconsole,
) -> Result<(), Errno> {
    let ring = ctx.sys.platform.ring();
    // What is said meanwhile is for the next time.
    let (mut at, end) = ring.range();
    let ahead = arg.index.wrapping_sub(at);
    if arg.incremental != 0 && ahead <= end.wrapping_sub(at) {
        at = arg.index;
    }
    let mut chunk = [0; CHUNK as usize];
    let mut done = 0_u32;
    loop {
        let count = end.wrapping_sub(at).min(arg.count.saturating_sub(done)).min(CHUNK);
        let Some(bytes) = chunk.get_mut(..count as usize).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        ring.copy(at, bytes);
        ctx.write_bytes(element::<u8>(arg.buffer, done), bytes)?;
        at = at.wrapping_add(count);
        done = done.saturating_add(count);
    }
    if arg.clear != 0 {
        ring.forget_before(at);
    }
    (arg.count, arg.index) = (done, at);
    Ok(())
}

/// `XEN_SYSCTL_debug_keys`: as if the keys were typed on the hypervisor's side of the console.
///
/// `EFAULT`: the keys (those before it were pressed); `E2BIG`: too many of them.
pub(super) fn debug_keys<P: Platform>(ctx: &Ctx<'_, P>, arg: &mut DebugKeys) -> Result<(), Errno> {
    if arg.nr_keys > MOST_KEYS {
        return Err(Errno::E2BIG);
    }
    for index in 0..arg.nr_keys {
        let key: u8 = ctx.read(element::<u8>(arg.keys, index))?;
        if let Some(press) = ctx.sys.press_key.get() {
            press(ctx.sys, ctx.regs, key);
        }
    }
    Ok(())
}

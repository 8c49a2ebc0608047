//! Bitmaps of CPUs in the caller's memory (`struct xenctl_bitmap`).

use pv_abi::domctl::Bitmap;
use pv_abi::errno::Errno;

use crate::guest::Ctx;
use crate::platform::Platform;

/// The CPUs that there are.
pub(super) fn cpus<P: Platform>(ctx: &Ctx<'_, P>) -> u32 {
    let cpus = ctx.sys.platform.count();
    1_u32.checked_shl(cpus).unwrap_or(0).wrapping_sub(1)
}

/// The first 32 bits of a bitmap; those that it does not have are clear.
pub(super) fn read<P: Platform>(ctx: &Ctx<'_, P>, map: &Bitmap) -> Result<u32, Errno> {
    let mut bytes = [0; 4];
    let count = (map.nr_bits.div_ceil(8) as usize).min(bytes.len());
    ctx.read_bytes(map.bitmap, bytes.get_mut(..count).unwrap_or_default())?;
    let bits = u32::from_le_bytes(bytes);
    let mask = 1_u32.checked_shl(map.nr_bits).map_or(u32::MAX, |end| end.wrapping_sub(1));
    Ok(bits & mask)
}

/// Writes all bytes of a bitmap, at most as many as there can be CPUs on a machine of Xen's.
pub(super) fn write<P: Platform>(ctx: &Ctx<'_, P>, map: &Bitmap, cpus: u32) -> Result<(), Errno> {
    /// CPUs that a toolstack may ask about.
    const MOST: u32 = 4096;
    let bytes = cpus.to_le_bytes();
    for at in 0..map.nr_bits.min(MOST).div_ceil(8) {
        let byte = bytes.get(at as usize).copied().unwrap_or(0);
        ctx.write(map.bitmap.wrapping_add(at.into()), &byte)?;
    }
    Ok(())
}

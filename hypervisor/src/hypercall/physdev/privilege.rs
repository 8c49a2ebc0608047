//! Who in the guest may touch I/O ports.
//!
//! A guest's I/O privilege is emulated: the real IOPL is 0, so `in`, `out`, `cli` and `sti`
//! trap, and [`crate::trap::emulate`] goes by what is set here.

use pv_abi::errno::Errno;
use pv_abi::physdev::PhysdevSetIopl;
use pv_abi::{x86_32, x86_64};

use crate::guest::Ctx;
use crate::platform::Platform;
use crate::width::Width;

/// Ports of the machine, and bytes of a bitmap over all of them.
const PORTS: u32 = 65536;
const BITMAP_BYTES: u64 = PORTS as u64 / 8;

/// `PHYSDEVOP_set_iopl`. `EINVAL`: an IOPL above 3.
pub(super) fn set_iopl<P: Platform>(ctx: &mut Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let argument: PhysdevSetIopl = ctx.read(at)?;
    if argument.iopl > 3 {
        return Err(Errno::EINVAL);
    }
    ctx.state.iopl = argument.iopl as u8;
    Ok(())
}

/// `PHYSDEVOP_set_iobitmap`. `EINVAL`: a bitmap of more than 65536 ports or out of the guest's
/// range.
pub(super) fn set_iobitmap<P: Platform>(ctx: &mut Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let (bitmap, ports) = match ctx.width() {
        Width::Pv32 => {
            let a: x86_32::PhysdevSetIobitmap = ctx.read(at)?;
            (u64::from(a.bitmap), a.nr_ports)
        }
        Width::Pv64 => {
            let a: x86_64::PhysdevSetIobitmap = ctx.read(at)?;
            (a.bitmap, a.nr_ports)
        }
    };
    if ports > PORTS || !ctx.width().range_ok(bitmap, BITMAP_BYTES) {
        return Err(Errno::EINVAL);
    }
    ctx.state.io_bitmap = bitmap;
    ctx.state.io_bitmap_ports = ports;
    Ok(())
}

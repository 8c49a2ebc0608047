//! `physdev_op`: who may touch I/O ports.
//!
//! A guest's I/O privilege is emulated: the real IOPL is 0, so `in`, `out`, `cli` and `sti`
//! trap, and [`crate::trap::emulate`] goes by what is set here.

use pv_abi::errno::Errno;
use pv_abi::physdev::{PHYSDEVOP_SET_IOBITMAP, PHYSDEVOP_SET_IOPL, PhysdevSetIopl};
use pv_abi::{x86_32, x86_64};

use super::Args;
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::width::Width;

/// Ports of the machine, and bytes of a bitmap over all of them.
const PORTS: u32 = 65536;
const BITMAP_BYTES: u64 = PORTS as u64 / 8;

/// `physdev_op(cmd, args)`.
///
/// `EFAULT`: the argument. `EINVAL`: an IOPL above 3, a bitmap of more than 65536 ports or
/// out of the guest's range. `ENOSYS`: the other commands (physical interrupts).
pub fn physdev_op<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    match args[0] as u32 {
        PHYSDEVOP_SET_IOPL => {
            let argument: PhysdevSetIopl = ctx.read(args[1])?;
            if argument.iopl > 3 {
                return Err(Errno::EINVAL.into());
            }
            ctx.state.iopl = argument.iopl as u8;
            Ok(0)
        }
        PHYSDEVOP_SET_IOBITMAP => {
            let (bitmap, ports) = match ctx.width() {
                Width::Pv32 => {
                    let a: x86_32::PhysdevSetIobitmap = ctx.read(args[1])?;
                    (u64::from(a.bitmap), a.nr_ports)
                }
                Width::Pv64 => {
                    let a: x86_64::PhysdevSetIobitmap = ctx.read(args[1])?;
                    (a.bitmap, a.nr_ports)
                }
            };
            if ports > PORTS || !ctx.width().range_ok(bitmap, BITMAP_BYTES) {
                return Err(Errno::EINVAL.into());
            }
            ctx.state.io_bitmap = bitmap;
            ctx.state.io_bitmap_ports = ports;
            Ok(0)
        }
        _ => Err(Errno::ENOSYS.into()),
    }
}

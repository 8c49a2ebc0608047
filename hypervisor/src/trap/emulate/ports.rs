//! I/O ports: who may use them, and what they find there.
//!
//! Permission has two steps. First the guest's own: the virtual IOPL, or the bitmap that its
//! kernel set for its users; without it the instruction is a #GP. Then the hypervisor's:
//! which of the machine's ports the domain has. For now that is none, domain 0 included:
//! what is behind such a port reads as all ones, and writes to it go nowhere, as on a bus
//! without a device.

use pv_abi::errno::Errno;
use pv_abi::vm_assist::VMASST_TYPE_ARCHITECTURAL_IOPL;

use super::code::mask;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::trap::bounce;

/// Whether the virtual IOPL permits what depends on it. `EPERM` if not.
///
/// A kernel counts as level 1, or 0 under the assist `architectural_iopl`; users as 3.
pub fn check_iopl<P: Platform>(ctx: &Ctx<'_, P>) -> Result<(), Errno> {
    let level = match bounce::in_kernel(ctx) {
        true if ctx.domain.assists(VMASST_TYPE_ARCHITECTURAL_IOPL) => 0,
        true => 1,
        false => 3,
    };
    if level <= ctx.state.iopl { Ok(()) } else { Err(Errno::EPERM) }
}

/// Whether the guest lets the running code use `bytes` ports from `port` on. `EPERM` if not.
pub fn check<P: Platform>(ctx: &Ctx<'_, P>, port: u16, bytes: u8) -> Result<(), Errno> {
    if check_iopl(ctx).is_ok() {
        return Ok(());
    }
    let port = u32::from(port);
    if port + u32::from(bytes) > ctx.state.io_bitmap_ports {
        return Err(Errno::EPERM);
    }
    // A zero bit allows. The ports may lie in two bytes of the bitmap.
    let at = ctx.state.io_bitmap.wrapping_add(u64::from(port >> 3));
    let bits = u16::from_le_bytes(ctx.read(at).map_err(|_| Errno::EPERM)?) >> (port & 7);
    let wanted = (1u16 << bytes) - 1;
    if bits & wanted == 0 { Ok(()) } else { Err(Errno::EPERM) }
}

/// What is read from a port.
pub fn read<P: Platform>(_ctx: &Ctx<'_, P>, _port: u16, bytes: u8) -> u64 {
    mask(bytes)
}

/// Writes to a port.
pub fn write<P: Platform>(_ctx: &Ctx<'_, P>, _port: u16, _bytes: u8, _value: u64) {}

//! Debug registers: `set_debugreg`, `get_debugreg`, and `mov` to and from them.
//!
//! A guest may watch its own addresses only (XSA-444): a breakpoint in the hypervisor's
//! part of the address space would stop Ring 0. Reserved bits are forced to what the
//! processor has there, so that loading the registers cannot fault (XSA-12).

use pv_abi::errno::Errno;

use super::control::CR4_DE;
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::platform::Platform;
use crate::width::Width;

/// DR6 bits that read as one (SDM volume 3, 17.2.3).
const DR6_ONES: u64 = 0xffff_0ff0;
/// DR6 bits that may be set: B0 to B3, BD, BS, BT.
const DR6_SETTABLE: u64 = 0xe00f;
/// DR7 bits that read as one.
const DR7_ONES: u64 = 0x400;
/// DR7 bits that may be set, but for GD: enables, LE, GE, and the fields of the four breakpoints.
const DR7_SETTABLE: u64 = 0xffff_03ff;
/// DR7.GD: trap on access to the debug registers.
const DR7_GD: u64 = 1 << 13;
/// DR7's field for each breakpoint: what to break on.
const DR7_RW: u64 = 3;
/// Break on I/O.
const DR7_RW_IO: u64 = 2;

/// DR0 to DR7 after reset.
pub const RESET: [u64; 8] = [0, 0, 0, 0, 0, 0, DR6_ONES, DR7_ONES];

/// `set_debugreg(reg, value)`.
///
/// `EPERM`: an address that is not the guest's, DR7.GD, a breakpoint on I/O. `ENODEV`: no
/// such register (DR4 and DR5 are DR6 and DR7 unless CR4.DE is set).
pub fn set_debugreg<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    set(ctx, args[0] as u32, args[1])?;
    Ok(0)
}

/// `get_debugreg(reg)`: the value. `ENODEV`: no such register.
pub fn get_debugreg<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    Ok(get(ctx, args[0] as u32)?)
}

/// The register that a number means.
fn index<P: Platform>(ctx: &Ctx<'_, P>, number: u32) -> Result<u8, Errno> {
    match number {
        0..=3 | 6 | 7 => Ok(number as u8),
        4 | 5 if ctx.state.cr4 & CR4_DE == 0 => Ok(number as u8 + 2),
        _ => Err(Errno::ENODEV),
    }
}

/// The value of debug register `number`; errors as [`get_debugreg`].
pub fn get<P: Platform>(ctx: &Ctx<'_, P>, number: u32) -> Result<u64, Errno> {
    let index = index(ctx, number)?;
    ctx.state.debug_registers.get(usize::from(index)).copied().ok_or(Errno::ENODEV)
}

/// Sets debug register `number`; errors as [`set_debugreg`].
pub fn set<P: Platform>(ctx: &mut Ctx<'_, P>, number: u32, value: u64) -> Result<(), Errno> {
    let index = index(ctx, number)?;
    let value = check(ctx.width(), index, value)?;
    if let Some(register) = ctx.state.debug_registers.get_mut(usize::from(index)) {
        *register = value;
    }
    ctx.sys.platform.set_debug_register(index, value);
    Ok(())
}

/// What debug register `index` (0 to 3, 6 or 7) becomes; errors as [`set_debugreg`].
pub fn check(width: Width, index: u8, value: u64) -> Result<u64, Errno> {
    match index {
        // The processor aligns what a breakpoint covers, so its first byte tells.
        0..=3 if !width.range_ok(value, 1) => Err(Errno::EPERM),
        0..=3 => Ok(value),
        6 => Ok(value & DR6_SETTABLE | DR6_ONES),
        _ => check_dr7(value),
    }
}

/// What DR7 becomes.
const fn check_dr7(value: u64) -> Result<u64, Errno> {
    if value & DR7_GD != 0 {
        return Err(Errno::EPERM);
    }
    let mut breakpoint = 0;
    while breakpoint < 4 {
        let enabled = value >> (2 * breakpoint) & 3 != 0;
        if enabled && value >> (16 + 4 * breakpoint) & DR7_RW == DR7_RW_IO {
            return Err(Errno::EPERM);
        }
        breakpoint += 1;
    }
    Ok(value & DR7_SETTABLE | DR7_ONES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dr7_keeps_reserved_bits_as_they_are() {
        assert_eq!(check_dr7(0), Ok(0x400));
        assert_eq!(check_dr7(!DR7_GD & !0xaaaa_0000), Ok(0x5555_07ff));
        assert_eq!(check_dr7(DR7_GD), Err(Errno::EPERM));
    }

    #[test]
    fn breakpoints_on_ports_are_refused_when_enabled() {
        for breakpoint in 0..4 {
            let kind = DR7_RW_IO << (16 + 4 * breakpoint);
            assert_eq!(check_dr7(kind), Ok(kind | 0x400));
            assert_eq!(check_dr7(kind | 1 << (2 * breakpoint)), Err(Errno::EPERM));
            assert_eq!(check_dr7(kind | 2 << (2 * breakpoint)), Err(Errno::EPERM));
        }
    }
}

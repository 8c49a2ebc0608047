//! Debug registers: `set_debugreg`, `get_debugreg`, and `mov` to and from them.
//!
//! A guest may watch its own addresses only (XSA-444): a breakpoint in the hypervisor's
//! part of the address space would stop Ring 0. AMD's address masks, which would widen one, are not
//! offered. Reserved bits are refused or forced to what the processor has there, so that loading
//! the registers cannot fault (XSA-12).
//!
//! Breakpoints on I/O need CR4.DE, as on Xen. The processor never has them, since a guest's I/O
//! traps anyway: the emulation looks for them ([`io_match`]) and raises the #DB.
//!
//! DR6 is the guest's: causes are added, and only the guest takes them out. The processor's
//! is reset with each #DB, whoever it is for, so that none is reported twice (XSA-265).

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
/// DR7: the enable bits of all breakpoints, two each.
const DR7_ENABLES: u64 = 0xff;
/// DR7's field for each breakpoint, four bits from bit 16 on: what to break on, and two bits above,
/// how many bytes.
const DR7_RW: u64 = 3;
/// Break on I/O.
const DR7_RW_IO: u64 = 2;

/// DR0 to DR7 after reset.
pub const RESET: [u64; 8] = [0, 0, 0, 0, 0, 0, DR6_ONES, DR7_ONES];

/// `set_debugreg(reg, value)`.
///
/// `EPERM`: an address that is not the guest's, DR7.GD, a breakpoint on I/O without CR4.DE.
/// `EINVAL`: the upper half of DR6 or DR7. `ENODEV`: no such register (DR4 and DR5 are DR6 and
/// DR7 unless CR4.DE is set).
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
    let emulated = if index == 7 { ctx.state.special.io_breakpoints } else { 0 };
    let value = ctx.state.debug_registers.get(usize::from(index)).ok_or(Errno::ENODEV)?;
    Ok(value | emulated)
}

/// Sets debug register `number`; errors as [`set_debugreg`].
pub fn set<P: Platform>(ctx: &mut Ctx<'_, P>, number: u32, value: u64) -> Result<(), Errno> {
    let index = index(ctx, number)?;
    let (value, io) = check(ctx.width(), ctx.state.cr4, index, value)?;
    if let Some(register) = ctx.state.debug_registers.get_mut(usize::from(index)) {
        *register = value;
    }
    if index == 7 {
        ctx.state.special.io_breakpoints = io;
    }
    ctx.sys.platform.set_debug_register(index, value);
    Ok(())
}

/// What debug register `index` (0 to 3, 6 or 7) becomes with this CR4, and, of DR7, the enable bits
/// of breakpoints on I/O, which are kept apart; errors as [`set_debugreg`].
pub fn check(width: Width, cr4: u64, index: u8, value: u64) -> Result<(u64, u64), Errno> {
    match index {
        // The processor aligns what a breakpoint covers, so its first byte tells.
        0..=3 if !width.range_ok(value, 1) => Err(Errno::EPERM),
        0..=3 => Ok((value, 0)),
        _ if value >> 32 != 0 => Err(Errno::EINVAL),
        6 => Ok((value & DR6_SETTABLE | DR6_ONES, 0)),
        _ => check_dr7(value, cr4 & CR4_DE != 0),
    }
}

/// [`check`] for DR7; `io` says whether there may be breakpoints on I/O.
const fn check_dr7(value: u64, io: bool) -> Result<(u64, u64), Errno> {
    if value & DR7_GD != 0 {
        return Err(Errno::EPERM);
    }
    let mut emulated = 0;
    let mut breakpoint = 0;
    // Nothing is looked at as long as nothing is enabled.
    while breakpoint < 4 && value & DR7_ENABLES != 0 {
        if value >> (16 + 4 * breakpoint) & DR7_RW == DR7_RW_IO {
            if !io {
                return Err(Errno::EPERM);
            }
            emulated |= value & 3 << (2 * breakpoint);
        }
        breakpoint += 1;
    }
    Ok(((value & DR7_SETTABLE | DR7_ONES) & !emulated, emulated))
}

/// Bits of DR6 for the breakpoints on I/O that an access to `bytes` ports from `port` on meets.
pub fn io_match<P: Platform>(ctx: &Ctx<'_, P>, port: u16, bytes: u8) -> u64 {
    let enabled = ctx.state.special.io_breakpoints;
    if enabled == 0 || ctx.state.cr4 & CR4_DE == 0 {
        return 0;
    }
    let [addresses @ .., _, _, _, dr7] = &ctx.state.debug_registers;
    let (first, end) = (u64::from(port), u64::from(port) + u64::from(bytes));
    let mut causes = 0;
    for (breakpoint, address) in addresses.iter().enumerate() {
        if enabled >> (2 * breakpoint) & 3 == 0 {
            continue;
        }
        let width: u64 = match dr7 >> (18 + 4 * breakpoint) & 3 {
            0 => 1,
            1 => 2,
            2 => 8,
            _ => 4,
        };
        let start = address & !(width - 1);
        if start < end && first < start + width {
            causes |= 1 << breakpoint;
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// XSA-12: whatever a guest writes to DR7, the processor does not refuse what is loaded.
    #[test]
    fn xsa_12_dr7_keeps_reserved_bits_as_they_are() {
        assert_eq!(check_dr7(0, false), Ok((0x400, 0)));
        assert_eq!(check_dr7(0xffff_ffff & !DR7_GD & !0xaaaa_0000, false), Ok((0x5555_07ff, 0)));
        assert_eq!(check_dr7(DR7_GD, false), Err(Errno::EPERM));
        assert_eq!(check_dr7(DR7_GD, true), Err(Errno::EPERM));
    }

    #[test]
    fn breakpoints_on_ports_are_never_the_processors() {
        for breakpoint in 0..4 {
            let kind = DR7_RW_IO << (16 + 4 * breakpoint);
            assert_eq!(check_dr7(kind, false), Ok((kind | 0x400, 0)), "not enabled");
            for enable in [1, 2, 3] {
                let enabled = enable << (2 * breakpoint);
                assert_eq!(check_dr7(kind | enabled, false), Err(Errno::EPERM));
                assert_eq!(check_dr7(kind | enabled, true), Ok((kind | 0x400, enabled)));
            }
            // Another one is enabled: this one's kind is looked at, too.
            let other = 1 << (2 * ((breakpoint + 1) % 4));
            assert_eq!(check_dr7(kind | other, false), Err(Errno::EPERM));
            assert_eq!(check_dr7(kind | other, true), Ok((kind | other | 0x400, 0)));
        }
    }
}

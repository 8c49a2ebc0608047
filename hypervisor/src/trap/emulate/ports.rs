//! I/O ports: who may use them, and what they find there.
//!
//! Permission has two steps. First the guest's own: the virtual IOPL, or the bitmap that its
//! kernel set for its users; without it the instruction is a #GP. Then the hypervisor's: which
//! of the machine's ports the domain has ([`IoPermissions`]). An access that lies in those
//! altogether is made as it is. Else it is made in pieces, as Xen 4.17 does (`guest_io_read`),
//! and each piece that is nobody's reads as all ones and is written nowhere, as on a bus
//! without a device.
//!
//! Some ports are the hypervisor's, and the hardware domain may use what is harmless of them:
//!
//! | ports | what it has |
//! |---|---|
//! | 0x42, 0x43, 0x61 | channel 2 of the interval timer, and the speaker |
//! | 0x70, 0x71 | CMOS memory; the index is the domain's own, the NMI switch nobody's |
//! | 0xcf8, 0xcfc to 0xcff | PCI configuration space; the address is the domain's own |
//!
//! 0x70 reads as it was written in every domain, as on Xen; 0x71 needs permission for both.
//!
//! [`IoPermissions`]: crate::domain::permissions::IoPermissions

use pv_abi::errno::Errno;
use pv_abi::vm_assist::VMASST_TYPE_ARCHITECTURAL_IOPL;

use super::code::mask;
use crate::guest::Ctx;
use crate::irq;
use crate::platform::{Platform, Ports};
use crate::trap::bounce;

/// The timer's channel 2.
const PIT_CHANNEL_2: u16 = 0x42;
/// The timer's command port.
const PIT_COMMAND: u16 = 0x43;
/// The gate of channel 2, and the speaker.
const SPEAKER: u16 = 0x61;
/// CMOS memory: index and data.
const CMOS: u16 = 0x70;
/// PCI's address port, for 4 bytes at a time; by bytes, something else is there.
const PCI_ADDRESS: u16 = 0xcf8;
/// PCI's data: this port and the next three.
const PCI_DATA: u16 = 0xcfc;

/// What is read where nothing is.
const NOTHING: u32 = !0;

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

/// What is read from `bytes` (1, 2 or 4) ports.
pub fn read<P: Platform>(ctx: &Ctx<'_, P>, port: u16, bytes: u8) -> u32 {
    if is_direct(ctx, port, bytes) {
        return ctx.sys.platform.read_port(port, bytes);
    }
    let mut value = 0;
    let mut done = 0;
    while done < bytes {
        let (piece, count) = match port.checked_add(done.into()) {
            Some(port) => read_piece(ctx, port, bytes - done),
            None => (NOTHING, 1),
        };
        value |= (piece & mask(count) as u32) << (8 * done);
        done += count;
    }
    value
}

/// Writes to `bytes` (1, 2 or 4) ports.
pub fn write<P: Platform>(ctx: &Ctx<'_, P>, port: u16, bytes: u8, value: u32) {
    if is_direct(ctx, port, bytes) {
        return ctx.sys.platform.write_port(port, bytes, value);
    }
    let mut done = 0;
    while done < bytes {
        let Some(port) = port.checked_add(done.into()) else { return };
        done += write_piece(ctx, port, bytes - done, value >> (8 * done));
    }
}

/// Whether the domain has all of the ports, and none of them needs care.
fn is_direct<P: Platform>(ctx: &Ctx<'_, P>, port: u16, bytes: u8) -> bool {
    let touches_cmos = port <= CMOS + 1 && port.saturating_add(bytes.into()) > CMOS;
    let touches_pci_address = port == PCI_ADDRESS && bytes == 4;
    !(touches_cmos || touches_pci_address) && ctx.domain.permissions.has_ports(port, bytes)
}

/// Reads the first of `bytes` ports, and as many of the others as belong with it.
fn read_piece<P: Platform>(ctx: &Ctx<'_, P>, port: u16, bytes: u8) -> (u32, u8) {
    let (domain, platform) = (ctx.domain, &ctx.sys.platform);
    match port {
        PIT_CHANNEL_2 | SPEAKER if domain.privileged => (platform.read_port(port, 1), 1),
        CMOS => (domain.port_latches.cmos().into(), 1),
        0x71 if domain.permissions.has_ports(CMOS, 2) => {
            (ctx.sys.indexed_ports.read_cmos(platform, domain.port_latches.cmos()).into(), 1)
        }
        PCI_ADDRESS if bytes == 4 => (domain.port_latches.pci(), 4),
        PCI_DATA..=0xcff => {
            let (offset, count) = pci_piece(port, bytes);
            let value = match domain.privileged {
                true => {
                    let address = domain.port_latches.pci();
                    ctx.sys.indexed_ports.read_pci(platform, address, offset, count)
                }
                false => NOTHING,
            };
            (value, count)
        }
        PIT_CHANNEL_2 | PIT_COMMAND | SPEAKER | 0x71 => (NOTHING, 1),
        _ => match own_piece(ctx, port, bytes) {
            Some(count) => (platform.read_port(port, count), count),
            None => (NOTHING, 1),
        },
    }
}

/// Writes the first of `bytes` ports, and as many of the others as belong with it; how many.
fn write_piece<P: Platform>(ctx: &Ctx<'_, P>, port: u16, bytes: u8, value: u32) -> u8 {
    let (domain, platform) = (ctx.domain, &ctx.sys.platform);
    let byte = value as u8;
    match port {
        PIT_CHANNEL_2 | PIT_COMMAND | SPEAKER => {
            if domain.privileged {
                write_timer(platform, port, byte);
            }
            1
        }
        CMOS => {
            domain.port_latches.set_cmos(byte);
            1
        }
        0x71 => {
            if domain.permissions.has_ports(CMOS, 2) {
                ctx.sys.indexed_ports.write_cmos(platform, domain.port_latches.cmos(), byte);
            }
            1
        }
        PCI_ADDRESS if bytes == 4 => {
            domain.port_latches.set_pci(value);
            4
        }
        PCI_DATA..=0xcff => {
            let (offset, count) = pci_piece(port, bytes);
            if domain.privileged {
                let address = domain.port_latches.pci();
                let value = value & mask(count) as u32;
                if irq::msi::filter_write(ctx.sys, address, offset, count) {
                    ctx.sys.indexed_ports.write_pci(platform, address, offset, count, value);
                }
            }
            count
        }
        _ => match own_piece(ctx, port, bytes) {
            Some(count) => {
                platform.write_port(port, count, value & mask(count) as u32);
                count
            }
            None => 1,
        },
    }
}

/// Which bytes of the PCI data register an access of `bytes` at `port` has.
fn pci_piece(port: u16, bytes: u8) -> (u8, u8) {
    let offset = (port & 3) as u8;
    match bytes.min(4 - offset) {
        // There is no access of three.
        3 => (offset, 2),
        count => (offset, count),
    }
}

/// How many of the ports from `port` on can be used at once; `None`: the first is not the domain's.
fn own_piece<P: Platform>(ctx: &Ctx<'_, P>, port: u16, bytes: u8) -> Option<u8> {
    let permissions = &ctx.domain.permissions;
    if bytes > 1 && port & 1 == 0 && permissions.has_ports(port, 2) {
        return Some(2);
    }
    permissions.has_ports(port, 1).then_some(1)
}

/// The hardware domain writes to what it may have of the timer: channel 2 and its gate. The
/// hypervisor uses them before there is a guest only.
fn write_timer(ports: &impl Ports, port: u16, value: u8) {
    /// Command: which channel; 3 is the read-back command.
    const CHANNEL: u8 = 0xc0;
    /// Read-back: channel 2.
    const READ_BACK_2: u8 = 0x08;
    /// Read-back: which channels, and a bit that is reserved.
    const READ_BACK_OTHERS: u8 = 0x07;
    /// Port 0x61: gate and speaker. The rest belongs to the chipset.
    const GATE: u32 = 0x03;
    match port {
        PIT_CHANNEL_2 => ports.write_port(port, 1, value.into()),
        PIT_COMMAND => match value & CHANNEL {
            0x80 => ports.write_port(port, 1, value.into()),
            CHANNEL if value & READ_BACK_2 != 0 => {
                ports.write_port(port, 1, u32::from(value & !READ_BACK_OTHERS));
            }
            _ => {}
        },
        _ => {
            let kept = ports.read_port(SPEAKER, 1) & !GATE;
            ports.write_port(SPEAKER, 1, kept & 0xff | u32::from(value) & GATE);
        }
    }
}

//! What of the machine a domain may touch, kept as ranges.
//!
//! A domain starts with nothing. The hardware domain starts with everything but what the
//! hypervisor drives itself; more can be given and taken away at any time. A set has room for
//! a fixed number of ranges, so that nothing is allocated for what a toolstack asks.

use core::sync::atomic::{AtomicU64, Ordering};

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use super::Domain;
use crate::irq::IRQS;
use crate::lock::{Lock, Rank};
use crate::machine::range_set::RangeSet;
use crate::platform::{CpuRegisters, Platform};
use crate::system::System;

/// Ranges of I/O ports that one domain may have.
const PORT_RANGES: usize = 64;
/// Ranges of frames of device memory that one domain may have.
const MEMORY_RANGES: usize = 64;

/// The last I/O port.
const LAST_PORT: u64 = 0xffff;

/// Ports that no domain drives directly, as on Xen 4.17 (`dom0_setup_permissions`): the two
/// interrupt controllers, the interval timer, its gate and the speaker's, PCI's configuration
/// data. [`crate::trap::emulate::ports`] lets the hardware domain have what is safe of the last three.
const NOBODYS: [(u16, u16); 5] =
    [(0x20, 0x21), (0xa0, 0xa1), (0x40, 0x43), (0x61, 0x61), (0xcfc, 0xcff)];

/// Where devices write to interrupt a CPU; its first frame is that of the local APIC's registers.
const MESSAGES: (u64, u64) = (0xfee00, 0xfeeff);
/// CPUID leaves: vendor; family; physical address bits.
const VENDOR: u32 = 0;
const SIGNATURE: u32 = 1;
const ADDRESS_SIZES: u32 = 0x8000_0008;
/// "AuthenticAMD" and "HygonGenuine" in EBX of leaf [`VENDOR`].
const HYPER_TRANSPORT_VENDORS: [u32; 2] = [0x6874_7541, 0x6f67_7948];

/// What a domain may touch. Each set has a lock of its own, a leaf.
pub struct IoPermissions {
    /// I/O ports.
    ports: Lock<RangeSet<PORT_RANGES>>,
    /// Frames that are not RAM.
    memory: Lock<RangeSet<MEMORY_RANGES>>,
    /// Interrupts of the machine, a bit each.
    irqs: [AtomicU64; IRQS / 64],
}

impl IoPermissions {
    /// Nothing.
    pub const fn new() -> IoPermissions {
        IoPermissions {
            ports: Lock::new(Rank::Leaf, RangeSet::new()),
            memory: Lock::new(Rank::Leaf, RangeSet::new()),
            irqs: [const { AtomicU64::new(0) }; IRQS / 64],
        }
    }

    /// What the hardware domain starts with (`dom0_setup_permissions` in Xen): all ports but
    /// [`NOBODYS`] and those that the hypervisor's own drivers use; all device memory but the
    /// local APIC, where interrupts are written to, and AMD's HyperTransport window; all inputs
    /// of the I/O APICs but the timer's.
    pub fn give_hardware<P: Platform>(&self, sys: &System<P>) -> Result<(), Errno> {
        {
            let mut ports = self.ports.lock();
            ports.add(0, LAST_PORT)?;
            for &(first, last) in NOBODYS.iter().chain(sys.platform.own_ports()) {
                ports.remove(first.into(), last.into())?;
            }
        }
        let mut memory = self.memory.lock();
        let bits = physical_bits(&sys.platform);
        memory.add(0, (1 << (bits - 12)) - 1)?;
        memory.remove(MESSAGES.0, MESSAGES.1)?;
        if let Some(board) = sys.irqs.board.get() {
            memory.remove(board.local_apic >> 12, board.local_apic >> 12)?;
        }
        if let Some((first, last)) = hyper_transport(&sys.platform, bits) {
            memory.remove(first, last)?;
        }
        for irq in 1..sys.irq_inputs() {
            self.permit_irq(irq);
        }
        Ok(())
    }

    /// Lets the domain map the frames `first` to `last` if they are device memory. `EINVAL`,
    /// `ENOMEM`: as [`RangeSet::add`].
    pub fn permit_memory(&self, first: Mfn, last: Mfn) -> Result<(), Errno> {
        self.memory.lock().add(first.raw(), last.raw())
    }

    /// The contrary of [`IoPermissions::permit_memory`]. What is mapped stays so, as on Xen.
    pub fn deny_memory(&self, first: Mfn, last: Mfn) -> Result<(), Errno> {
        self.memory.lock().remove(first.raw(), last.raw())
    }

    /// Whether the domain may map all of the frames `first` to `last`, as far as they are device
    /// memory.
    pub fn has_memory(&self, first: Mfn, last: Mfn) -> bool {
        self.memory.lock().contains(first.raw(), last.raw())
    }

    fn irq_bit(&self, irq: u32) -> Option<(&AtomicU64, u64)> {
        Some((self.irqs.get((irq / 64) as usize)?, 1 << (irq % 64)))
    }

    /// Lets the domain use an interrupt of the machine. One that there cannot be stays out.
    pub fn permit_irq(&self, irq: u32) {
        if let Some((word, bit)) = self.irq_bit(irq) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// The contrary of [`IoPermissions::permit_irq`]. What is bound stays so, as on Xen.
    pub fn deny_irq(&self, irq: u32) {
        if let Some((word, bit)) = self.irq_bit(irq) {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// Whether the domain may use an interrupt of the machine.
    pub fn has_irq(&self, irq: u32) -> bool {
        self.irq_bit(irq).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Lets the domain use ports `first` to `last`. `EINVAL`, `ENOMEM`: as [`RangeSet::add`].
    pub fn permit_ports(&self, first: u16, last: u16) -> Result<(), Errno> {
        self.ports.lock().add(first.into(), last.into())
    }

    /// The contrary of [`IoPermissions::permit_ports`].
    pub fn deny_ports(&self, first: u16, last: u16) -> Result<(), Errno> {
        self.ports.lock().remove(first.into(), last.into())
    }

    /// Whether the domain may use all ports `first` to `last`.
    pub fn has_port_range(&self, first: u16, last: u16) -> bool {
        self.ports.lock().contains(first.into(), last.into())
    }

    /// Whether the domain may use all `count` ports from `first` on; ports end at 0xffff.
    pub fn has_ports(&self, first: u16, count: u8) -> bool {
        let first = u64::from(first);
        self.ports.lock().contains(first, first + u64::from(count.max(1)) - 1)
    }
}

impl Default for IoPermissions {
    fn default() -> Self {
        IoPermissions::new()
    }
}

/// How a domain may map a frame of device memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceAccess {
    /// Without RW, whatever the guest asks for: Xen clears the bit in the entry.
    ReadOnly,
    /// As it likes, but never cached.
    Full,
}

/// Whether `domain` may map `mfn`, which is no RAM.
pub fn may_map_io(domain: &Domain, mfn: Mfn) -> bool {
    domain.permissions.has_memory(mfn, mfn)
}

/// How `domain` may map `mfn`; `None` if it is RAM, or not the domain's to touch.
pub fn device_access<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    mfn: Mfn,
) -> Option<DeviceAccess> {
    if !sys.io_memory.is_device(mfn.raw()) || !may_map_io(domain, mfn) {
        return None;
    }
    let read_only = sys.io_memory.is_read_only(mfn.raw());
    Some(if read_only { DeviceAccess::ReadOnly } else { DeviceAccess::Full })
}

/// Bits of a machine address: 36 at least in any CPU that has PAE, 52 at most in an entry.
fn physical_bits(cpu: &impl CpuRegisters) -> u32 {
    (cpu.cpuid(ADDRESS_SIZES, 0)[0] & 0xff).clamp(36, 52)
}

/// The frames that AMD's CPUs use for HyperTransport: the last 12 GiB below 1 TiB, from family
/// 0x17 on below the end of the address space.
fn hyper_transport(cpu: &impl CpuRegisters, physical_bits: u32) -> Option<(u64, u64)> {
    let [_, vendor, ..] = cpu.cpuid(VENDOR, 0);
    if !HYPER_TRANSPORT_VENDORS.contains(&vendor) {
        return None;
    }
    let signature = cpu.cpuid(SIGNATURE, 0)[0];
    let family = (signature >> 8 & 0xf) + (signature >> 20 & 0xff);
    let end: u64 = 1 << (if family < 0x17 { 40 } else { physical_bits } - 12);
    Some((end.saturating_sub(3 << 20), end - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn irqs_come_and_go() {
        let permissions = IoPermissions::new();
        assert!(!permissions.has_irq(63));
        for irq in [63, 64, 255, 256, u32::MAX] {
            permissions.permit_irq(irq);
        }
        let has = |irq| permissions.has_irq(irq);
        assert!(has(63) && has(64) && has(255) && !has(256) && !has(u32::MAX) && !has(65));
        permissions.deny_irq(64);
        assert!(permissions.has_irq(63) && !permissions.has_irq(64));
    }

    #[test]
    fn device_memory_comes_and_goes() {
        let permissions = IoPermissions::new();
        let m = Mfn::new;
        assert_eq!(permissions.permit_memory(m(5), m(4)), Err(Errno::EINVAL));
        permissions.permit_memory(m(0xfe000), m(0xfefff)).unwrap();
        permissions.deny_memory(m(0xfee00), m(0xfeeff)).unwrap();
        assert!(permissions.has_memory(m(0xfe000), m(0xfedff)));
        assert!(!permissions.has_memory(m(0xfe000), m(0xfee00)));
        assert!(!permissions.has_memory(m(0xfee80), m(0xfee80)));
        assert!(permissions.has_memory(m(0xfef00), m(0xfef00)));
    }
}

//! Interrupts that PCI functions send as messages: MSI and MSI-X.
//!
//! The hypervisor writes the messages (a message is a vector and a CPU), domain 0 switches the
//! function from its wire to messages and back. So it is on Xen: `PHYSDEVOP_map_pirq` fills
//! in a message, and the kernel sets the enable bit in configuration space as on bare metal.
//! What the hypervisor has filled in, domain 0 cannot change: see [`filter_write`]. This
//! keeps honest kernels from confusion; without an IOMMU a hostile driver could have its
//! device write any message anywhere, and is trusted not to (ARCHITECTURE.md, DMA).

use pv_abi::errno::Errno;

use super::line::Source;
use super::pci::Function;
use crate::domain::Domain;
use crate::lock::Lock;
use crate::platform::{Message, Platform};
use crate::system::System;

/// Capability ids (PCI Local Bus 3.0, appendix H).
const CAPABILITY_MSI: u8 = 0x05;
pub(super) const CAPABILITY_MSIX: u8 = 0x11;

/// Both capabilities: where the control word lies.
pub(super) const CONTROL: u8 = 2;
/// MSI control (section 6.8.1.3).
const MSI_ENABLE: u32 = 1 << 0;
const MSI_VECTORS: u32 = 7 << 4;
const MSI_WIDE: u32 = 1 << 7;
const MSI_MASKABLE: u32 = 1 << 8;
/// MSI-X control (section 6.8.2.3).
pub(super) const MSIX_ENABLE: u32 = 1 << 15;
pub(super) const MSIX_MASK_ALL: u32 = 1 << 14;
pub(super) const MSIX_LAST_ENTRY: u32 = 0x7ff;
/// An entry of an MSI-X table: address, data, control.
pub(super) const ENTRY_SIZE: u64 = 16;
const ENTRY_DATA: u64 = 8;
const ENTRY_CONTROL: u64 = 12;
const ENTRY_MASKED: u32 = 1;

/// What `PHYSDEVOP_map_pirq` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsiRequest {
    /// The function.
    pub function: Function,
    /// Of MSI-X, the entry of its table; `None`: plain MSI.
    pub entry: Option<u32>,
}

/// A message of a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Msi {
    /// The function.
    pub function: Function,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The one of MSI's that is used, in configuration space.
    Msi { capability: u8, wide: bool, maskable: bool },
    /// An entry of an MSI-X table, by its machine address.
    Msix { capability: u8, entry: u64 },
}

impl Msi {
    /// Prepares a message of a function, masked where it can be.
    ///
    /// `ENODEV`: no such function, or it has no such messages; `EEXIST`: the message is in use;
    /// else as [`MsixTables::open`](super::msix_tables::MsixTables::open).
    pub fn open<P: Platform>(
        sys: &System<P>,
        domain: &Domain,
        request: &MsiRequest,
    ) -> Result<Msi, Errno> {
        let function = request.function;
        let msi = match request.entry {
            None => Msi::plain(sys, function)?,
            Some(entry) => {
                let capability = function.capability(sys, CAPABILITY_MSIX).ok_or(Errno::ENODEV)?;
                let mut tables = sys.irqs.msix.lock();
                let entry = tables.open(sys, domain, function, capability, entry)?;
                Msi { function, kind: Kind::Msix { capability, entry } }
            }
        };
        let taken = |(_, line): (u32, &Lock<super::line::Line>)| match line.lock().source {
            Source::Message(other) => other.is_same(&msi),
            _ => false,
        };
        if sys.irqs.lines().any(taken) {
            msi.forget(sys);
            return Err(Errno::EEXIST);
        }
        msi.mask(sys, true);
        Ok(msi)
    }

    fn plain<P: Platform>(sys: &System<P>, function: Function) -> Result<Msi, Errno> {
        let capability = function.capability(sys, CAPABILITY_MSI).ok_or(Errno::ENODEV)?;
        let control = function.read(sys, capability + CONTROL, 2);
        let (wide, maskable) = (control & MSI_WIDE != 0, control & MSI_MASKABLE != 0);
        Ok(Msi { function, kind: Kind::Msi { capability, wide, maskable } })
    }

    /// Whether both are one message: a function has one of MSI's.
    fn is_same(&self, other: &Msi) -> bool {
        self.function == other.function
            && match (self.kind, other.kind) {
                (Kind::Msix { entry: a, .. }, Kind::Msix { entry: b, .. }) => a == b,
                (Kind::Msi { .. }, Kind::Msi { .. }) => true,
                _ => false,
            }
    }

    /// Fills the message in. Callers have masked it.
    pub fn write<P: Platform>(&self, sys: &System<P>, message: Message) {
        let (low, high) = (message.address as u32, (message.address >> 32) as u32);
        let function = self.function;
        match self.kind {
            Kind::Msi { capability, wide, .. } => {
                let control = function.read(sys, capability + CONTROL, 2);
                // One message, and none while it changes.
                let quiet = control & !MSI_VECTORS & !MSI_ENABLE;
                function.write(sys, capability + CONTROL, 2, quiet);
                function.write(sys, capability + 4, 4, low);
                if wide {
                    function.write(sys, capability + 8, 4, high);
                }
                let data = capability + if wide { 12 } else { 8 };
                function.write(sys, data, 2, message.data & 0xffff);
                function.write(sys, capability + CONTROL, 2, quiet | control & MSI_ENABLE);
            }
            Kind::Msix { entry, .. } => self.reaching(sys, |sys| {
                sys.platform.write_device(entry, low);
                sys.platform.write_device(entry + 4, high);
                sys.platform.write_device(entry + ENTRY_DATA, message.data);
            }),
        }
    }

    /// Masks the message, or lets it go. One of MSI's may have no mask: see [`Msi::hush`].
    pub fn mask<P: Platform>(&self, sys: &System<P>, masked: bool) {
        let function = self.function;
        match self.kind {
            Kind::Msi { capability, wide, maskable: true } => {
                let at = capability + if wide { 16 } else { 12 };
                let bits = function.read(sys, at, 4) & !1;
                function.write(sys, at, 4, bits | u32::from(masked));
            }
            Kind::Msi { .. } => {}
            Kind::Msix { entry, .. } => self.reaching(sys, |sys| {
                let word = sys.platform.read_device(entry + ENTRY_CONTROL) & !ENTRY_MASKED;
                sys.platform.write_device(entry + ENTRY_CONTROL, word | u32::from(masked));
            }),
        }
    }

    /// Silences a message that comes too often, or lets it go: as [`Msi::mask`], but one that has
    /// no mask is switched off, and the wire with it.
    pub fn hush<P: Platform>(&self, sys: &System<P>, hushed: bool) {
        match self.kind {
            Kind::Msi { capability, maskable: false, .. } if hushed => {
                self.function.quiet_wire(sys);
                let control = self.function.read(sys, capability + CONTROL, 2);
                self.function.write(sys, capability + CONTROL, 2, control & !MSI_ENABLE);
            }
            Kind::Msi { maskable: false, .. } => self.switch_on(sys),
            _ => self.mask(sys, hushed),
        }
    }

    /// Gives the message up: the function's messages are switched off if it was the last.
    pub fn close<P: Platform>(&self, sys: &System<P>) {
        self.mask(sys, true);
        if let Kind::Msi { capability, .. } = self.kind {
            let control = self.function.read(sys, capability + CONTROL, 2);
            self.function.write(sys, capability + CONTROL, 2, control & !MSI_ENABLE);
        }
        self.forget(sys);
    }

    /// Gives up what [`Msi::open`] took, and no more.
    fn forget<P: Platform>(&self, sys: &System<P>) {
        if let Kind::Msix { .. } = self.kind {
            sys.irqs.msix.lock().close(sys, self.function);
        }
    }

    /// Calls `access`, which reads and writes table entries: some functions show their table
    /// only while messages are enabled. No message comes meanwhile.
    fn reaching<P: Platform>(&self, sys: &System<P>, access: impl FnOnce(&System<P>)) {
        let Kind::Msix { capability, .. } = self.kind else { return };
        let function = self.function;
        if !function.decodes_memory(sys) {
            return;
        }
        let control = function.read(sys, capability + CONTROL, 2);
        if control & MSIX_ENABLE != 0 {
            return access(sys);
        }
        function.write(sys, capability + CONTROL, 2, control | MSIX_ENABLE | MSIX_MASK_ALL);
        access(sys);
        function.write(sys, capability + CONTROL, 2, control);
    }

    /// Has the function use messages.
    fn switch_on<P: Platform>(&self, sys: &System<P>) {
        let (capability, enable) = match self.kind {
            Kind::Msi { capability, .. } => (capability, MSI_ENABLE),
            Kind::Msix { capability, .. } => (capability, MSIX_ENABLE),
        };
        let control = self.function.read(sys, capability + CONTROL, 2);
        self.function.write(sys, capability + CONTROL, 2, control | enable);
    }

    /// Whether a write of `bytes` bytes to `register` of configuration space would change what
    /// the hypervisor has filled in.
    fn is_hit_by(&self, register: u8, bytes: u8) -> bool {
        let (first, end) = match self.kind {
            Kind::Msi { capability, wide, maskable } => {
                let data = u16::from(capability) + if wide { 12 } else { 8 };
                (u16::from(capability) + 4, data + if maskable { 8 } else { 2 })
            }
            Kind::Msix { capability, .. } => {
                (u16::from(capability) + 4, u16::from(capability) + 12)
            }
        };
        let register = u16::from(register);
        register < end && first < register + u16::from(bytes)
    }
}

/// Whether domain 0 may write `bytes` bytes to configuration space; `address` and `offset` as
/// [`IndexedPorts::write_pci`](crate::machine::indexed_ports::IndexedPorts::write_pci) takes
/// them. What it may not is dropped.
pub fn filter_write<P: Platform>(sys: &System<P>, address: u32, offset: u8, bytes: u8) -> bool {
    let register = address as u8 & !3 | offset & 3;
    // The registers below, which kernels write often, are no capability's.
    if register < 0x40 {
        return true;
    }
    let function = Function::of_address(address);
    !sys.irqs.lines().any(|(_, line)| match line.lock().source {
        Source::Message(msi) => msi.function == function && msi.is_hit_by(register, bytes),
        _ => false,
    })
}

/// `PHYSDEVOP_restore_msi`: fills in all messages of a function again, which has lost them (to
/// sleep, or to a reset).
///
/// `ENODEV`: no such function; `ENXIO`: its table cannot be reached.
pub fn restore<P: Platform>(sys: &System<P>, function: Function) -> Result<(), Errno> {
    if !function.exists(sys) {
        return Err(Errno::ENODEV);
    }
    for (_, line) in sys.irqs.lines() {
        let line = line.lock();
        let Source::Message(msi) = line.source else { continue };
        if msi.function != function {
            continue;
        }
        if matches!(msi.kind, Kind::Msix { .. }) && !function.decodes_memory(sys) {
            return Err(Errno::ENXIO);
        }
        line.aim(sys);
        line.reopen(sys);
        msi.switch_on(sys);
    }
    Ok(())
}

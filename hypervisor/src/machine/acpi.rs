//! The little of ACPI that a hypervisor needs: which processors and interrupt controllers
//! there are.
//!
//! RSDP → RSDT or XSDT → MADT ("Multiple APIC Description Table"), by the ACPI specification
//! 6.5, sections 5.2.5 to 5.2.12. No AML: what is behind it (power, hot plug, PCI routing) is
//! domain 0's. Every table is checked (signature, length, checksum) and copied out; a broken
//! one is an error, never a wild read. Physical memory is read through a function, so tests
//! and other boot loaders can bring their own.

use heapless::Vec;

use super::multiboot::ReadPhysical;

/// Most processors that are remembered.
pub const MAX_PROCESSORS: usize = 64;
/// Most I/O APICs that are remembered.
pub const MAX_IO_APICS: usize = 8;
/// Most interrupt source overrides; there are 16 ISA interrupts.
pub const MAX_OVERRIDES: usize = 16;

/// Tables longer than this are taken for garbage.
const MAX_TABLE: u32 = 1 << 20;
/// Bytes of the header that every table starts with.
const HEADER: u32 = 36;

/// Processors and interrupt controllers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Madt {
    /// Physical address of every processor's local APIC.
    pub local_apic: u64,
    /// The processors that can be started, in the firmware's order.
    pub processors: Vec<Processor, MAX_PROCESSORS>,
    /// The I/O APICs.
    pub io_apics: Vec<IoApic, MAX_IO_APICS>,
    /// Where ISA interrupts are wired differently from 1:1.
    pub overrides: Vec<Override, MAX_OVERRIDES>,
}

/// One processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor {
    /// What interrupts call it.
    pub apic_id: u32,
    /// What ACPI calls it.
    pub acpi_id: u32,
}

/// One I/O APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoApic {
    /// Its id.
    pub id: u8,
    /// Physical address of its registers.
    pub address: u32,
    /// The global interrupt number of its pin 0.
    pub gsi_base: u32,
}

/// An ISA interrupt that is wired differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// The ISA interrupt, 0 to 15.
    pub isa_irq: u8,
    /// The global interrupt it arrives at.
    pub gsi: u32,
    /// How it is signalled.
    pub signal: Signal,
}

/// How an interrupt line is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signal {
    /// Active low rather than high.
    pub active_low: bool,
    /// Level-triggered rather than edge.
    pub level: bool,
}

/// Why there is no usable description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcpiError {
    /// No root pointer in the BIOS area: no ACPI, or a UEFI machine without a BIOS.
    NoRootPointer,
    /// A table is unreadable, wrongly signed, too long, or does not add up.
    BadTable(&'static str),
    /// There is no MADT.
    NoMadt,
}

impl core::fmt::Display for AcpiError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoRootPointer => write!(f, "no ACPI root pointer found"),
            Self::BadTable(name) => write!(f, "the ACPI table {name} is broken"),
            Self::NoMadt => write!(f, "ACPI does not describe the interrupt controllers"),
        }
    }
}

impl Madt {
    /// Where ISA interrupt `irq` arrives, and how it is signalled.
    pub fn isa_irq(&self, irq: u8) -> (u32, Signal) {
        let found = self.overrides.iter().find(|entry| entry.isa_irq == irq);
        found.map_or((irq.into(), Signal::default()), |entry| (entry.gsi, entry.signal))
    }
}

/// Finds the root pointer where a BIOS puts it: the first KiB of the EBDA, then
/// 0xe0000 to 0xfffff, on a 16-byte boundary (section 5.2.5.1).
pub fn find_root_pointer(read: ReadPhysical<'_>) -> Option<u64> {
    let mut segment = [0; 2];
    let ebda = match read(0x40e, &mut segment) {
        true => u64::from(u16::from_le_bytes(segment)) << 4,
        false => 0,
    };
    let places = [(ebda, if ebda == 0 { 0 } else { 1024 }), (0xe_0000, 0x2_0000)];
    for (start, length) in places {
        for at in (start..start + length).step_by(16) {
            let mut signature = [0; 8];
            if read(at, &mut signature) && &signature == b"RSD PTR " && sums_to_zero(at, 20, read) {
                return Some(at);
            }
        }
    }
    None
}

/// Reads the MADT that the root pointer at `root` leads to.
pub fn read_madt(root: u64, read: ReadPhysical<'_>) -> Result<Madt, AcpiError> {
    let mut pointer = [0; 36];
    let revision_2 = byte(root + 15, read).is_some_and(|revision| revision >= 2);
    let length = if revision_2 { 36 } else { 20 };
    if !pointer.get_mut(..length).is_some_and(|bytes| read(root, bytes)) {
        return Err(AcpiError::BadTable("RSDP"));
    }
    let xsdt = if revision_2 { u64_at(&pointer, 24) } else { 0 };
    let (list, entry_size) = match xsdt {
        0 => (check(u64::from(u32_at(&pointer, 16)), b"RSDT", "RSDT", read)?, 4),
        _ => (check(xsdt, b"XSDT", "XSDT", read)?, 8),
    };
    for at in (list.address + u64::from(HEADER)..list.end()).step_by(entry_size) {
        let mut entry = [0; 8];
        if !entry.get_mut(..entry_size).is_some_and(|bytes| read(at, bytes)) {
            return Err(AcpiError::BadTable("RSDT"));
        }
        let (table, mut signature) = (u64::from_le_bytes(entry), [0; 4]);
        if read(table, &mut signature) && &signature == b"APIC" {
            return parse_madt(check(table, b"APIC", "MADT", read)?, read);
        }
    }
    Err(AcpiError::NoMadt)
}

/// A table whose header and sum are right.
struct Table {
    address: u64,
    length: u32,
}

impl Table {
    fn end(&self) -> u64 {
        self.address + u64::from(self.length)
    }
}

fn check(
    address: u64,
    signature: &[u8; 4],
    name: &'static str,
    read: ReadPhysical<'_>,
) -> Result<Table, AcpiError> {
    let mut header = [0; HEADER as usize];
    if !read(address, &mut header) || !header.starts_with(signature) {
        return Err(AcpiError::BadTable(name));
    }
    let length = u32_at(&header, 4);
    let sane = (HEADER..=MAX_TABLE).contains(&length) && sums_to_zero(address, length, read);
    if sane { Ok(Table { address, length }) } else { Err(AcpiError::BadTable(name)) }
}

fn parse_madt(table: Table, read: ReadPhysical<'_>) -> Result<Madt, AcpiError> {
    let broken = AcpiError::BadTable("MADT");
    let mut fixed = [0; 8];
    if table.length < HEADER + 8 || !read(table.address + u64::from(HEADER), &mut fixed) {
        return Err(broken);
    }
    let mut madt = Madt { local_apic: u32_at(&fixed, 0).into(), ..Madt::default() };
    let mut at = table.address + u64::from(HEADER) + 8;
    while at + 2 <= table.end() {
        let mut entry = [0; 16];
        let length = usize::from(byte(at + 1, read).unwrap_or(0));
        let fits = length >= 2 && at + length as u64 <= table.end();
        let wanted = length.min(entry.len());
        if !fits || !entry.get_mut(..wanted).is_some_and(|bytes| read(at, bytes)) {
            return Err(broken);
        }
        madt.add_entry(&entry, length);
        at += length as u64;
    }
    Ok(madt)
}

impl Madt {
    /// Takes one structure of the table (section 5.2.12, table 5.21); unknown ones are passed
    /// over, and what exceeds a list's room is left out.
    fn add_entry(&mut self, entry: &[u8; 16], length: usize) {
        match (entry[0], length) {
            // Processor Local APIC.
            (0, 8..) if u32_at(entry, 4) & 1 != 0 => {
                self.add_processor(Processor {
                    apic_id: entry[3].into(),
                    acpi_id: entry[2].into(),
                });
            }
            // I/O APIC.
            (1, 12..) => {
                let (address, gsi_base) = (u32_at(entry, 4), u32_at(entry, 8));
                let _ = self.io_apics.push(IoApic { id: entry[2], address, gsi_base });
            }
            // Interrupt Source Override; flags as in section 5.2.12.5. Bus default is ISA's:
            // active high, edge.
            (2, 10..) => {
                let flags = u16::from_le_bytes([entry[8], entry[9]]);
                let signal = Signal { active_low: flags & 3 == 3, level: flags >> 2 & 3 == 3 };
                let gsi = u32_at(entry, 4);
                let _ = self.overrides.push(Override { isa_irq: entry[3], gsi, signal });
            }
            // Local APIC Address Override.
            (5, 12..) => self.local_apic = u64_at(entry, 4),
            // Processor Local x2APIC.
            (9, 16..) if u32_at(entry, 8) & 1 != 0 => {
                let (apic_id, acpi_id) = (u32_at(entry, 4), u32_at(entry, 12));
                self.add_processor(Processor { apic_id, acpi_id });
            }
            _ => {}
        }
    }

    fn add_processor(&mut self, processor: Processor) {
        if self.processors.iter().all(|known| known.apic_id != processor.apic_id) {
            let _ = self.processors.push(processor);
        }
    }
}

fn byte(at: u64, read: ReadPhysical<'_>) -> Option<u8> {
    let mut byte = [0];
    read(at, &mut byte).then_some(byte[0])
}

fn sums_to_zero(start: u64, length: u32, read: ReadPhysical<'_>) -> bool {
    let mut sum = 0u8;
    for at in start..start + u64::from(length) {
        match byte(at, read) {
            Some(byte) => sum = sum.wrapping_add(byte),
            None => return false,
        }
    }
    sum == 0
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut word = [0; 4];
    if let Some(source) = bytes.get(offset..offset + 4) {
        word.copy_from_slice(source);
    }
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from(u32_at(bytes, offset)) | u64::from(u32_at(bytes, offset + 4)) << 32
}

#[cfg(test)]
#[path = "acpi_tests.rs"]
mod tests;

//! What the boot loader and the BIOS left in memory: copied out, checked, before it is lost.
//!
//! Everything is read through the direct map, which covers the low 4 GiB from the first
//! instruction on; firmware tables above that are refused rather than followed.

// UNSAFETY: reading physical memory that no Rust object describes.
#![allow(unsafe_code)]

use super::boot::MULTIBOOT2_MAGIC;
use super::layout::DIRECT_MAP;
use crate::machine::acpi::{self, Madt};
use crate::machine::multiboot::{self, BootInfo, BootInfoError};
use crate::machine::multiboot2;

/// End of what [`read_physical`] reaches.
const FOUR_GIB: u64 = 1 << 32;

/// Copies physical memory below 4 GiB; false if the range is not below it.
///
/// Used while the boot page tables are loaded, which map all of it.
fn read_physical(address: u64, buffer: &mut [u8]) -> bool {
    let end = address.checked_add(buffer.len() as u64);
    if end.is_none_or(|end| end > FOUR_GIB) {
        return false;
    }
    let source = (DIRECT_MAP + address) as *const u8;
    // SAFETY: 1. The boot tables map DIRECT_MAP + 0 to 4 GiB, and the range is within (above).
    // 2. Nobody writes there yet: this is the only CPU that runs. 3. `buffer` is in the image
    // or on the boot stack, firmware tables are not.
    unsafe { core::ptr::copy_nonoverlapping(source, buffer.as_mut_ptr(), buffer.len()) };
    true
}

/// The boot loader's information, from what it left in `eax` and `ebx`.
pub fn boot_info(magic: u32, information: u32) -> Result<BootInfo, BootInfoError> {
    match magic {
        // The entry code lets nobody else in.
        MULTIBOOT2_MAGIC => multiboot2::parse(information, &read_physical),
        _ => multiboot::parse(information, &read_physical),
    }
}

/// Processors and interrupt controllers, as ACPI has them; without ACPI, one processor and
/// the PC's usual I/O APIC. `root_pointer` is where the boot loader says they begin; else they
/// are looked for where a BIOS has them.
pub fn interrupt_controllers(root_pointer: Option<u64>) -> Madt {
    let found = root_pointer
        .or_else(|| acpi::find_root_pointer(&read_physical))
        .ok_or(acpi::AcpiError::NoRootPointer)
        .and_then(|root| acpi::read_madt(root, &read_physical));
    match found {
        Ok(madt) => madt,
        Err(error) => {
            log::warn!("{error}: one CPU, and the usual I/O APIC at 0xfec00000");
            let mut madt = Madt { local_apic: 0xfee0_0000, ..Madt::default() };
            // The list is empty, so there is room.
            let _ = madt.io_apics.push(acpi::IoApic { id: 0, address: 0xfec0_0000, gsi_base: 0 });
            madt
        }
    }
}

/// Bytes of the symbol blob at physical address `start`; zero if there is none.
///
/// The image builder appends it: `FRSYMS\0\x01`, count, length in bytes (see `machine::symbols`).
pub fn symbol_blob_size(start: u64) -> u64 {
    let (mut magic, mut length) = ([0; 8], [0; 4]);
    let found = read_physical(start, &mut magic)
        && &magic == crate::machine::symbols::MAGIC
        && read_physical(start + 12, &mut length);
    if found { u64::from(u32::from_le_bytes(length)) } else { 0 }
}

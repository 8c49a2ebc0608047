//! A kernel that can be loaded: its file and its notes put together and checked.
//!
//! Three kinds of address meet here. A segment has an ELF physical address; taking
//! PADDR_OFFSET off gives the pseudo-physical address, adding VIRT_BASE the virtual one.
//! Pseudo-physical frame n is mapped at `virt_base + n * 4096` from the start.
#![deny(clippy::arithmetic_side_effects)]

use core::fmt;

use pv_abi::start_info::MAX_GUEST_CMDLINE;
use pv_abi::x86_32::HYPERVISOR_VIRT_START;

use crate::elf::{KernelFile, Segment};
use crate::layout::{PAGE, Wanted};
use crate::notes::{HypercallPage, KernelNotes, Pae, Role};
use crate::refusal::Refusal;
use crate::width::Width;

/// Where a pv32 guest's addresses end, unless its kernel asks for less.
const HV_START_PV32: u64 = HYPERVISOR_VIRT_START as u64;

/// A checked kernel.
pub struct Kernel<'a> {
    /// Its file.
    pub file: KernelFile<'a>,
    /// What it calls itself, or nothing.
    pub name: &'a str,
    /// Virtual address of pseudo-physical frame 0.
    pub virt_base: u64,
    /// Taken off a segment's address, gives its pseudo-physical address.
    pub paddr_offset: u64,
    /// Virtual addresses of the kernel, `[start, end)`.
    pub start: u64,
    /// See `start`.
    pub end: u64,
    /// Entry point.
    pub entry: u64,
    /// Address of the page that is to be filled with hypercall stubs.
    pub hypercall_page: Option<u64>,
    /// Where the hypervisor's window begins (32-bit) or the guest's addresses end.
    pub hv_start: u64,
    /// Whether the initrd is passed unmapped, by frame number.
    pub mod_start_pfn: bool,
    /// 32-bit: whether its page-table root may lie above 4 GiB.
    pub high_root: bool,
}

/// Why a kernel's addresses make no sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // `Display` words each; the fields are what it prints.
pub enum AddressError {
    BelowOffset { address: u64, offset: u64 },
    BaseNotAligned { virt_base: u64 },
    Wraps { virt_base: u64 },
    Entry { entry: u64, start: u64, end: u64 },
    HypercallPage { address: u64, start: u64, end: u64 },
    HvStart { wanted: u64 },
    Sixty4,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BelowOffset { address, offset } => write!(
                f,
                "a segment's address {address:#x} is below its note PADDR_OFFSET ({offset:#x})"
            ),
            Self::BaseNotAligned { virt_base } => {
                write!(f, "its note VIRT_BASE ({virt_base:#x}) is not the address of a page")
            }
            Self::Wraps { virt_base } => {
                write!(f, "mapped at VIRT_BASE ({virt_base:#x}) it reaches past the last address")
            }
            Self::Entry { entry, start, end } => {
                write!(f, "its entry point {entry:#x} lies outside of it ({start:#x} to {end:#x})")
            }
            Self::HypercallPage { address, start, end } => write!(
                f,
                "its hypercall page {address:#x} is not a page inside of it ({start:#x} to {end:#x})"
            ),
            Self::HvStart { wanted } => write!(
                f,
                "its note HV_START_LOW ({wanted:#x}) leaves the hypervisor less than it needs \
                 (from {HV_START_PV32:#x})"
            ),
            Self::Sixty4 => write!(f, "it is a 64-bit kernel, and only 32-bit ones can run so far"),
        }
    }
}

impl<'a> Kernel<'a> {
    /// Reads a kernel's file for a domain of that role, and looks whether the command line fits.
    pub fn read(bytes: &'a [u8], role: Role, command_line: &[u8]) -> Result<Kernel<'a>, Refusal> {
        let file = KernelFile::parse(bytes)?;
        let notes = KernelNotes::collect(&file);
        notes.check(file.width, role)?;
        let kernel = Kernel::new(file, &notes)?;
        if command_line.len() >= MAX_GUEST_CMDLINE {
            return Err(Refusal::CommandLine { length: command_line.len() });
        }
        Ok(kernel)
    }

    /// What a domain of so many pages needs for it alone: without initrd and rings.
    pub fn wanted(&self, pages: u64) -> Wanted {
        Wanted {
            width: self.file.width,
            virt_base: self.virt_base,
            kernel_end: self.end,
            initrd_len: 0,
            initrd_unmapped: self.mod_start_pfn,
            ring_pages: 0,
            pages,
            limit: self.hv_start,
        }
    }

    /// Puts file and notes together.
    fn new(file: KernelFile<'a>, notes: &KernelNotes<'a>) -> Result<Kernel<'a>, AddressError> {
        let virt_base = notes.virt_base.unwrap_or(0);
        let default_offset = if notes.legacy { virt_base } else { 0 };
        let paddr_offset = notes.paddr_offset.unwrap_or(default_offset);
        if !virt_base.is_multiple_of(PAGE) {
            return Err(AddressError::BaseNotAligned { virt_base });
        }
        let (low, high) = file.extent();
        let wraps = AddressError::Wraps { virt_base };
        let to_virtual = |address: u64| {
            let offset = paddr_offset;
            let physical =
                address.checked_sub(offset).ok_or(AddressError::BelowOffset { address, offset })?;
            physical.checked_add(virt_base).ok_or(wraps)
        };
        let (start, end) = (to_virtual(low)?, to_virtual(high)?);
        if file.width == Width::Pv32 && end > 1 << 32 {
            return Err(wraps);
        }
        let entry = notes.entry.unwrap_or(file.entry);
        if !(start..end).contains(&entry) {
            return Err(AddressError::Entry { entry, start, end });
        }
        let hypercall_page = match notes.hypercall_page {
            None => None,
            Some(HypercallPage::Address(address)) => Some(address),
            Some(HypercallPage::Page(number)) => Some(
                number.checked_mul(PAGE).and_then(|at| at.checked_add(virt_base)).ok_or(wraps)?,
            ),
        };
        if let Some(address) = hypercall_page {
            let inside = address >= start && address.checked_add(PAGE).is_some_and(|e| e <= end);
            if !inside || !address.is_multiple_of(PAGE) {
                return Err(AddressError::HypercallPage { address, start, end });
            }
        }
        let hv_start = match (file.width, notes.hv_start_low) {
            (Width::Pv32, Some(wanted)) if wanted > HV_START_PV32 => {
                return Err(AddressError::HvStart { wanted });
            }
            (Width::Pv32, _) => HV_START_PV32,
            (Width::Pv64, _) => return Err(AddressError::Sixty4),
        };
        Ok(Kernel {
            name: notes.guest_os.unwrap_or(""),
            virt_base,
            paddr_offset,
            start,
            end,
            entry,
            hypercall_page,
            hv_start,
            mod_start_pfn: notes.mod_start_pfn,
            high_root: notes.pae == Some(Pae::ExtendedCr3),
            file,
        })
    }

    /// The parts of the kernel, each with the virtual address that it is to lie at.
    pub fn segments(&self) -> impl Iterator<Item = (u64, &Segment<'a>)> {
        // Neither wraps: `new` went through both ends of the kernel.
        let to_virtual =
            |address: u64| address.wrapping_sub(self.paddr_offset).wrapping_add(self.virt_base);
        self.file.segments.iter().map(move |segment| (to_virtual(segment.address), segment))
    }
}

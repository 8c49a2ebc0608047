//! What a kernel says about itself: Xen's ELF notes, or the older `__xen_guest` section.
//!
//! Real kernels' notes are not always well made: GRUB's last one claims twelve bytes where
//! the segment has four left. So the walker takes what is there and stops at the end, and
//! never reads past it. What a kernel must say is judged afterwards, by name.
#![deny(clippy::arithmetic_side_effects)]

use core::fmt;

use pv_abi::elfnote as note;
use pv_abi::features as feature;

use crate::elf::KernelFile;
use crate::width::Width;

/// What a kernel said, typed; nothing is checked against the file yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelNotes<'a> {
    /// Address of the entry point.
    pub entry: Option<u64>,
    /// Where the hypercall page is wanted.
    pub hypercall_page: Option<HypercallPage>,
    /// Virtual address of pseudo-physical 0.
    pub virt_base: Option<u64>,
    /// What is taken off an ELF `p_paddr` to get a pseudo-physical address.
    pub paddr_offset: Option<u64>,
    /// The ABI: `xen-3.0` or `xen-3.0-...`.
    pub xen_version: Option<&'a str>,
    /// Name of the guest system, for the log.
    pub guest_os: Option<&'a str>,
    /// Who can load it: `generic`.
    pub loader: Option<&'a str>,
    /// What it says of PAE.
    pub pae: Option<Pae>,
    /// Features it must have, one bit each.
    pub required: u64,
    /// Whether it said what features it supports, and if so, which.
    pub supported: Option<u64>,
    /// Lowest address where the hypervisor may begin (32-bit).
    pub hv_start_low: Option<u64>,
    /// Where it wants the p2m list, instead of behind the kernel (64-bit).
    pub init_p2m: Option<u64>,
    /// Whether it takes the initrd unmapped.
    pub mod_start_pfn: bool,
    /// Whether all this was in the older section.
    pub legacy: bool,
    /// Whether anything was found at all.
    pub found: bool,
}

/// How a kernel names its hypercall page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HypercallPage {
    /// By virtual address.
    Address(u64),
    /// By page number from the start of its address space (older form).
    Page(u64),
}

/// What a 32-bit kernel says of PAE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pae {
    /// It has two-level tables.
    No,
    /// It has PAE's three levels.
    Yes,
    /// The same, and its roots may lie above 4 GiB.
    ExtendedCr3,
}

/// What a domain is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The one that the hypervisor builds.
    Domain0,
    /// Any other.
    DomU,
}

/// Why a kernel's notes do not do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // `Display` words each.
pub enum NotesError {
    None,
    NoXenVersion,
    XenVersion,
    Loader,
    NoPae,
    NotForDomain0,
    Needs { feature: &'static str },
}

impl fmt::Display for NotesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => {
                "it has neither Xen ELF notes nor a __xen_guest section: it is no PV kernel"
            }
            Self::NoXenVersion => "its notes lack XEN_VERSION, so it is no PV kernel",
            Self::XenVersion => "its note XEN_VERSION names an ABI other than xen-3.0",
            Self::Loader => "its note LOADER is not `generic`: it needs a loader of its own",
            Self::NoPae => "it is a 32-bit kernel without PAE page tables",
            Self::NotForDomain0 => "its note SUPPORTED_FEATURES says that it cannot be domain 0",
            Self::Needs { feature } => {
                return write!(f, "it needs the feature {feature}, which PV guests do not get");
            }
        })
    }
}

/// Names in FEATURES strings, by bit.
const FEATURE_NAMES: &[(u32, &str)] = &[
    (feature::XENFEAT_WRITABLE_PAGE_TABLES, "writable_page_tables"),
    (feature::XENFEAT_WRITABLE_DESCRIPTOR_TABLES, "writable_descriptor_tables"),
    (feature::XENFEAT_AUTO_TRANSLATED_PHYSMAP, "auto_translated_physmap"),
    (feature::XENFEAT_SUPERVISOR_MODE_KERNEL, "supervisor_mode_kernel"),
    (feature::XENFEAT_PAE_PGDIR_ABOVE_4GB, "pae_pgdir_above_4gb"),
    (feature::XENFEAT_DOM0, "dom0"),
];

/// Features that no PV guest gets. `writable_page_tables` is not among them: a kernel that
/// says it needs it asks for the `vm_assist`, as under Xen.
const NEVER: &[u32] =
    &[feature::XENFEAT_AUTO_TRANSLATED_PHYSMAP, feature::XENFEAT_SUPERVISOR_MODE_KERNEL];

impl<'a> KernelNotes<'a> {
    /// Collects what `kernel` says.
    pub fn collect(kernel: &KernelFile<'a>) -> KernelNotes<'a> {
        let mut notes = KernelNotes::default();
        for segment in kernel.note_segments() {
            walk(segment, |kind, desc| notes.take(kind, desc));
        }
        if !notes.found
            && let Some(text) = kernel.section(b"__xen_guest")
        {
            notes.take_legacy(text);
        }
        notes
    }

    /// Whether a kernel that says this can be run, and in this role.
    pub fn check(&self, width: Width, role: Role) -> Result<(), NotesError> {
        if !self.found {
            return Err(NotesError::None);
        }
        let version = self.xen_version.ok_or(NotesError::NoXenVersion)?;
        if !version.starts_with("xen-3.0") {
            return Err(NotesError::XenVersion);
        }
        // Xen asks Linux for no loader.
        if self.loader.is_some_and(|l| l != "generic") && self.guest_os != Some("linux") {
            return Err(NotesError::Loader);
        }
        if width == Width::Pv32 && matches!(self.pae, None | Some(Pae::No)) {
            return Err(NotesError::NoPae);
        }
        let able = self.supported.is_none_or(|s| s >> feature::XENFEAT_DOM0 & 1 != 0);
        if role == Role::Domain0 && !able {
            return Err(NotesError::NotForDomain0);
        }
        match FEATURE_NAMES.iter().find(|(n, _)| NEVER.contains(n) && self.required >> n & 1 != 0) {
            Some((_, feature)) => Err(NotesError::Needs { feature }),
            None => Ok(()),
        }
    }

    /// Takes one note.
    fn take(&mut self, kind: u32, desc: &'a [u8]) {
        self.found = true;
        match kind {
            note::XEN_ELFNOTE_ENTRY => self.entry = number(desc),
            note::XEN_ELFNOTE_HYPERCALL_PAGE => {
                self.hypercall_page = number(desc).map(HypercallPage::Address);
            }
            note::XEN_ELFNOTE_VIRT_BASE => self.virt_base = number(desc),
            note::XEN_ELFNOTE_PADDR_OFFSET => self.paddr_offset = number(desc),
            note::XEN_ELFNOTE_XEN_VERSION => self.xen_version = Some(text(desc)),
            note::XEN_ELFNOTE_GUEST_OS => self.guest_os = Some(text(desc)),
            note::XEN_ELFNOTE_LOADER => self.loader = Some(text(desc)),
            note::XEN_ELFNOTE_PAE_MODE => self.pae = Some(pae(text(desc))),
            note::XEN_ELFNOTE_FEATURES => self.required |= required(text(desc)),
            note::XEN_ELFNOTE_SUPPORTED_FEATURES => self.supported = number(desc),
            note::XEN_ELFNOTE_HV_START_LOW => self.hv_start_low = number(desc),
            note::XEN_ELFNOTE_INIT_P2M => self.init_p2m = number(desc),
            note::XEN_ELFNOTE_MOD_START_PFN => {
                self.mod_start_pfn = number(desc).is_some_and(|n| n != 0);
            }
            _ => {}
        }
    }

    /// Takes the older form: `NAME=value` pairs, separated by commas.
    fn take_legacy(&mut self, section: &'a [u8]) {
        self.found = true;
        self.legacy = true;
        for pair in text(section).split(',') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name.trim() {
                "VIRT_ENTRY" => self.entry = hex(value),
                "HYPERCALL_PAGE" => self.hypercall_page = hex(value).map(HypercallPage::Page),
                "VIRT_BASE" => self.virt_base = hex(value),
                "ELF_PADDR_OFFSET" => self.paddr_offset = hex(value),
                "XEN_VER" => self.xen_version = Some(value),
                "GUEST_OS" => self.guest_os = Some(value),
                "LOADER" => self.loader = Some(value),
                "PAE" => self.pae = Some(pae(value)),
                "FEATURES" => self.required |= required(value),
                _ => {}
            }
        }
    }
}

/// Calls `take` with type and contents of each of Xen's notes in `segment`.
fn walk<'a>(segment: &'a [u8], mut take: impl FnMut(u32, &'a [u8])) {
    let mut rest = segment;
    while let Some((header, after)) = rest.split_first_chunk::<12>() {
        let word = |at: usize| {
            header.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
        };
        let (name, after) = field(after, word(0));
        let (desc, after) = field(after, word(4));
        if name == b"Xen\0" {
            take(word(8), desc);
        }
        rest = after;
    }
}

/// Splits off `size` bytes, or what there is, and the padding to a multiple of 4 behind them.
fn field(bytes: &[u8], size: u32) -> (&[u8], &[u8]) {
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(bytes.len());
    let padded = size.checked_next_multiple_of(4).unwrap_or(size).min(bytes.len());
    (bytes.get(..size).unwrap_or(&[]), bytes.get(padded..).unwrap_or(&[]))
}

/// A numeric note: 1, 2, 4 or 8 bytes.
fn number(desc: &[u8]) -> Option<u64> {
    match *desc {
        [a] => Some(u64::from(a)),
        [a, b] => Some(u64::from(u16::from_le_bytes([a, b]))),
        [a, b, c, d] => Some(u64::from(u32::from_le_bytes([a, b, c, d]))),
        [a, b, c, d, e, f, g, h] => Some(u64::from_le_bytes([a, b, c, d, e, f, g, h])),
        _ => None,
    }
}

/// A string note: up to its NUL or its end. What is not UTF-8 says nothing.
fn text(desc: &[u8]) -> &str {
    let end = desc.iter().position(|b| *b == 0).unwrap_or(desc.len());
    desc.get(..end).and_then(|b| core::str::from_utf8(b).ok()).unwrap_or("")
}

/// A number of the older form: hexadecimal, with or without `0x`.
fn hex(value: &str) -> Option<u64> {
    u64::from_str_radix(value.strip_prefix("0x").unwrap_or(value), 16).ok()
}

/// `yes`, `no`, `bimodal`; `[extended-cr3]` may follow.
fn pae(value: &str) -> Pae {
    match value {
        v if v.contains("[extended-cr3]") => Pae::ExtendedCr3,
        "bimodal" => Pae::ExtendedCr3,
        v if v.starts_with("yes") => Pae::Yes,
        _ => Pae::No,
    }
}

/// The features that a FEATURES string marks as required.
fn required(value: &str) -> u64 {
    let mut bits = 0;
    for name in value.split('|').filter_map(|word| word.strip_prefix('!')) {
        if let Some((bit, _)) = FEATURE_NAMES.iter().find(|(_, n)| *n == name) {
            bits |= 1 << bit;
        }
    }
    bits
}

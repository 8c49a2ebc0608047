//! Page-table entries: which bits mean what, and which a guest may set at each level.
//!
//! Entries of both widths are 64 bits (PAE and long mode share the format; SDM volume
//! 3, 4.4 and 4.5).

use pv_abi::types::Mfn;

use super::frame::Type;
use crate::width::Width;

/// The entry maps something.
pub const P: u64 = 1 << 0;
/// Writes are allowed.
pub const RW: u64 = 1 << 1;
/// Ring 3 is allowed.
pub const US: u64 = 1 << 2;
/// Page write-through.
pub const PWT: u64 = 1 << 3;
/// Page cache disable.
pub const PCD: u64 = 1 << 4;
/// The CPU used the entry.
pub const A: u64 = 1 << 5;
/// The CPU wrote through the entry.
pub const D: u64 = 1 << 6;
/// Level 1: PAT. Level 2 and up: maps a large page.
pub const PAT_OR_PSE: u64 = 1 << 7;
/// Global. CR4.PGE is off, so it means nothing to the CPU.
pub const G: u64 = 1 << 8;
/// For software.
pub const AVAIL: u64 = 7 << 9;
/// The machine address.
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// For software.
pub const AVAIL_HIGH: u64 = 0x7ff << 52;
/// No execution.
pub const NX: u64 = 1 << 63;

/// Bits whose change needs no new reference: they permit nothing that the frame's type does not.
pub const SOFT: u64 = US | A | D | G | AVAIL | AVAIL_HIGH | NX;

/// Entries of a table.
pub const ENTRIES: u16 = 512;

/// The frame that an entry names.
#[inline(always)]
pub const fn mfn(entry: u64) -> Mfn {
    Mfn::new((entry & ADDRESS) >> 12)
}

/// An entry for `mfn` with `flags`.
pub const fn make(mfn: Mfn, flags: u64) -> u64 {
    mfn.raw() << 12 | flags
}

/// Bits that a present entry of a table of type `table` must not have.
#[inline(always)]
pub const fn forbidden(width: Width, table: Type) -> u64 {
    match (table, width) {
        (Type::L1, _) => PWT | PCD | PAT_OR_PSE,
        // Real PAE reserves most of these; Xen's mask lets RW, US, A, D and AVAIL pass.
        (Type::L3, Width::Pv32) => PWT | PCD | PAT_OR_PSE | G | AVAIL_HIGH | NX,
        _ => PWT | PCD | PAT_OR_PSE | G,
    }
}

/// A level-1 entry for device memory: uncached, by the weaker form of it (PCD alone) if the guest
/// says so. `IA32_PAT` is as after reset, where no other combination keeps from caching.
pub const fn uncached(entry: u64) -> u64 {
    if entry & PCD != 0 { entry } else { entry | PCD | PWT }
}

/// What an entry of the given table becomes before the CPU sees it.
///
/// A pv32 guest's level 3 is walked as long mode's level 3, whose entries carry
/// permissions that PAE's do not have: all are granted there and decided below.
#[inline(always)]
pub const fn adjust(width: Width, table: Type, entry: u64) -> u64 {
    match (width, table) {
        (Width::Pv32, Type::L3) if entry & P != 0 => entry | RW | US,
        _ => entry,
    }
}

/// The bits that [`adjust`] adds to a present entry, which go when the table is one no longer.
#[inline(always)]
pub const fn adjusted_bits(width: Width, table: Type) -> u64 {
    adjust(width, table, P) & !P
}

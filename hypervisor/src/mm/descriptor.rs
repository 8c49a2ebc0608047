//! Segment descriptors: which a guest may have in its GDT and LDT, and where the LDT comes from.
//!
//! A frame of descriptors has the type `SegDesc`: nobody maps it writable, and every
//! descriptor in it passed [`check`]. What a selector can reach is decided there:
//!
//! - no segment of the hypervisor's rings: the DPL is forced down to the guest kernel's;
//! - pv32: no 64-bit code segment (L), the only thing that could form an address of
//!   4 GiB or more. Bases and limits are the guest's affair: whatever they are, compatibility
//!   mode truncates addresses to 32 bits;
//! - no task, LDT, interrupt or trap gate descriptors. A call gate is stored with DPL 0, so
//!   that its use is a #GP (in long mode the CPU would take it for a 64-bit gate).
//!
//! The LDT is mapped page by page when the CPU first uses one, since the guest names it by
//! a virtual address whose mapping may come later.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::traps::FIRST_RESERVED_GDT_ENTRY;
use pv_abi::types::Mfn;
use pv_abi::{x86_32, x86_64};

use super::frame::Type;
use super::pte;
use super::types::PageTypes;
use super::update_va::find_l1;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::platform::{Platform, TablePage, Words};
use crate::width::Width;

/// Entries of an LDT at most.
pub const LDT_ENTRIES_MAX: u64 = 8192;

/// Bits of a descriptor (SDM volume 3, 3.4.5).
mod bits {
    /// Present.
    pub const P: u64 = 1 << 47;
    /// Code or data; clear for system descriptors and gates.
    pub const S: u64 = 1 << 44;
    /// 64-bit code.
    pub const L: u64 = 1 << 53;
    /// The limit counts pages.
    pub const G: u64 = 1 << 55;
    /// The type of a system descriptor.
    pub const TYPE: u64 = 0xf << 40;
    /// A call gate.
    pub const CALL_GATE: u64 = 0xc << 40;
    /// The DPL's place.
    pub const DPL_SHIFT: u32 = 45;
    /// The DPL.
    pub const DPL: u64 = 3 << DPL_SHIFT;
    /// A limit as high as it gets.
    pub const LIMIT: u64 = 0x000f_0000_0000_ffff;
    /// A call gate's selector.
    pub const GATE_SELECTOR: u64 = 0xffff << 16;
}

/// The ring that a guest kernel of this kind runs in.
#[inline(always)]
pub const fn kernel_ring(width: Width) -> u16 {
    match width {
        Width::Pv32 => 1,
        Width::Pv64 => 3,
    }
}

/// A selector for guest code or stack: its RPL is the guest kernel's ring or above.
#[inline(always)]
pub const fn guest_selector(width: Width, selector: u16) -> u16 {
    let ring = kernel_ring(width);
    if selector & 3 >= ring { selector } else { selector & !3 | ring }
}

/// The segment limit that a descriptor states, inclusive.
pub const fn limit(descriptor: u64) -> u32 {
    let raw = (descriptor & 0xffff | descriptor >> 32 & 0xf_0000) as u32;
    if descriptor & bits::G != 0 { raw << 12 | 0xfff } else { raw }
}

/// The segment base that a code or data descriptor states.
pub const fn base(descriptor: u64) -> u32 {
    (descriptor >> 16 & 0xff_ffff | descriptor >> 32 & 0xff00_0000) as u32
}

/// What a descriptor becomes before the CPU may see it; `EINVAL` if it must not.
///
/// `hv_start` is where the domain's window at the top begins (pv32).
pub const fn check(width: Width, hv_start: u64, descriptor: u64) -> Result<u64, Errno> {
    // Use of it always faults.
    if descriptor & bits::P == 0 {
        return Ok(descriptor);
    }
    let given = descriptor >> bits::DPL_SHIFT & 3;
    let ring = kernel_ring(width) as u64;
    let dpl = if given < ring { ring } else { given };
    let fixed = descriptor & !bits::DPL | dpl << bits::DPL_SHIFT;
    if descriptor & bits::S != 0 {
        return match width {
            Width::Pv32 if descriptor & bits::L != 0 => Err(Errno::EINVAL),
            // Kernels that end their segments below the classic, smaller window are let into ours.
            Width::Pv32 if base(descriptor) == 0 && limit(descriptor) as u64 >= hv_start => {
                Ok(fixed | bits::LIMIT)
            }
            _ => Ok(fixed),
        };
    }
    match descriptor & bits::TYPE {
        // Reserved: faults on use. The upper half of a 64-bit gate looks like that.
        0 => Ok(fixed),
        bits::CALL_GATE => check_gate(width, descriptor, dpl),
        _ => Err(Errno::EINVAL),
    }
}

/// The same for a call gate: the DPL it is given moves into its selector's RPL.
const fn check_gate(width: Width, descriptor: u64, dpl: u64) -> Result<u64, Errno> {
    let selector = (descriptor >> 16) as u16;
    let (flat, reserved) = match width {
        Width::Pv32 => (x86_32::FLAT_KERNEL_CS, 0xe0),
        Width::Pv64 => (x86_64::FLAT_KERNEL_CS, 0xff),
    };
    let own = (selector as u32 >> 3) < FIRST_RESERVED_GDT_ENTRY || selector & 4 != 0;
    if !(own || selector == flat) || descriptor >> 32 & reserved != 0 {
        return Err(Errno::EINVAL);
    }
    let selector = (selector & !3) as u64 | dpl;
    Ok(descriptor & !(bits::DPL | bits::GATE_SELECTOR) | selector << 16)
}

/// Checks and fixes all descriptors of a frame that nobody can write any more.
///
/// `EINVAL` if one is refused; those before it stay as they were fixed.
pub fn validate_frame(words: &Words, width: Width, hv_start: u64) -> Result<(), Errno> {
    for word in words {
        let given = word.load(Ordering::Relaxed);
        let fixed = check(width, hv_start, given)?;
        if fixed != given {
            word.store(fixed, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Frames of a guest's GDT.
pub type GdtFrames = heapless::Vec<Mfn, 14>;

/// Takes a reference to each frame of a GDT, or to none.
pub fn take_gdt<P: Platform>(types: &mut PageTypes<'_, P>, frames: &GdtFrames) -> Result<(), Stop> {
    for (taken, mfn) in frames.iter().enumerate() {
        if let Err(stop) = types.get(*mfn, Type::SegDesc) {
            for mfn in frames.iter().take(taken) {
                types.put(*mfn);
            }
            return Err(stop);
        }
    }
    Ok(())
}

/// `MMUEXT_SET_LDT`: the LDT is `entries` descriptors at `base`; none if `entries` is 0.
///
/// `EINVAL`: not page-aligned, not the guest's address, more than 8192 entries.
pub fn set_ldt<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    types: &mut PageTypes<'_, P>,
    base: u64,
    entries: u64,
) -> Result<(), Stop> {
    // The field is a C unsigned int.
    let entries = u64::from(entries as u32);
    let base = if entries == 0 { 0 } else { base };
    let aligned = base & 0xfff == 0;
    if !aligned || !ctx.width().range_ok(base, 1) || entries > LDT_ENTRIES_MAX {
        return Err(Errno::EINVAL.into());
    }
    if ctx.state.ldt_base == base && u64::from(ctx.state.ldt_entries) == entries {
        return Ok(());
    }
    forget_ldt_pages(ctx, types);
    ctx.state.ldt_base = base;
    ctx.state.ldt_entries = entries as u32;
    ctx.sys.platform.load_ldt(ctx.vcpu.window, entries as u32);
    Ok(())
}

/// Takes the LDT's pages away from the CPU; each comes back when it is used.
///
/// A change of the root page table may map something else at the LDT's address.
#[inline(always)]
pub fn forget_ldt_pages<P: Platform>(ctx: &mut Ctx<'_, P>, types: &mut PageTypes<'_, P>) {
    if ctx.state.ldt_entries == 0 {
        return;
    }
    for (page, slot) in (0..).zip(&mut ctx.state.ldt) {
        if let Some(mfn) = slot.take() {
            ctx.sys.platform.map_table_page(ctx.vcpu.window, TablePage::Ldt(page), None);
            types.put(mfn);
        }
    }
}

/// The CPU wants page `page` of the LDT: maps it from the guest's own mapping.
///
/// `EINVAL` if the guest's LDT has no such page, does not map it, or it holds descriptors
/// that are refused.
pub fn map_ldt_page<P: Platform>(ctx: &mut Ctx<'_, P>, page: u8) -> Result<(), Stop> {
    let offset = u64::from(page) << 12;
    if offset >> 3 >= u64::from(ctx.state.ldt_entries) {
        return Err(Errno::EINVAL.into());
    }
    let address = match ctx.width() {
        Width::Pv32 => u64::from((ctx.state.ldt_base as u32).wrapping_add(offset as u32)),
        Width::Pv64 => ctx.state.ldt_base.wrapping_add(offset),
    };
    let slot = ctx.state.ldt.get_mut(usize::from(page)).ok_or(Errno::EINVAL)?;
    if slot.is_some() {
        // It is there: nothing that mapping it would cure.
        return Err(Errno::EINVAL.into());
    }
    let mut types = ctx.sys.page_types(ctx.domain);
    let mfn = mapped_frame(ctx.sys, ctx.domain, ctx.state.root, address).ok_or(Errno::EINVAL)?;
    types.get(mfn, Type::SegDesc)?;
    *slot = Some(mfn);
    ctx.sys.platform.map_table_page(ctx.vcpu.window, TablePage::Ldt(page), Some(mfn));
    Ok(())
}

/// The frame that the tables below `root` map at `address`.
fn mapped_frame<P: Platform>(
    sys: &crate::system::System<P>,
    domain: &crate::domain::Domain,
    root: Mfn,
    address: u64,
) -> Option<Mfn> {
    let table = find_l1(sys, domain, root, address)?;
    let entry = sys.platform.words(table).get((address >> 12 & 511) as usize)?;
    let entry = entry.load(Ordering::Relaxed);
    (entry & pte::P != 0).then_some(pte::mfn(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HV: u64 = 0xf580_0000;
    const FLAT_CODE: u64 = 0x00cf_9b00_0000_ffff;
    const FLAT_DATA: u64 = 0x00cf_9300_0000_ffff;

    fn check32(descriptor: u64) -> Result<u64, Errno> {
        check(Width::Pv32, HV, descriptor)
    }

    #[test]
    fn the_dpl_is_at_least_the_kernels_ring() {
        assert_eq!(check32(FLAT_CODE), Ok(0x00cf_bb00_0000_ffff));
        assert_eq!(check32(FLAT_DATA | 1 << 45), Ok(FLAT_DATA | 1 << 45));
        assert_eq!(check32(FLAT_DATA | 3 << 45), Ok(FLAT_DATA | 3 << 45));
        assert_eq!(check(Width::Pv64, HV, FLAT_DATA | 1 << 45), Ok(FLAT_DATA | 3 << 45));
    }

    #[test]
    fn long_mode_code_is_for_64_bit_guests_only() {
        let long = 0x00af_9b00_0000_ffff;
        assert_eq!(check32(long), Err(Errno::EINVAL));
        assert_eq!(check32(long | 3 << 45), Err(Errno::EINVAL));
        assert_eq!(check(Width::Pv64, HV, long), Ok(long | 3 << 45));
        // L in a data descriptor means nothing to the CPU, but Xen refuses it, too.
        assert_eq!(check32(FLAT_DATA | 1 << 53), Err(Errno::EINVAL));
    }

    #[test]
    fn what_is_not_present_may_be_anything() {
        for descriptor in [0, 0x0000_8900_0000_0000 & !bits::P, !bits::P] {
            assert_eq!(check32(descriptor), Ok(descriptor));
        }
    }

    #[test]
    fn system_descriptors_are_refused() {
        for kind in 1..16u64 {
            let outcome = check32(bits::P | kind << 40 | 0x8 << 16);
            assert_eq!(outcome.is_ok(), kind == 0xc, "type {kind:#x}");
        }
        assert!(check32(bits::P).is_ok());
    }

    #[test]
    fn call_gates_fault_on_use_and_keep_their_dpl_in_the_selector() {
        let gate = 0x1234_ec00_0010_5678;
        assert_eq!(check32(gate), Ok(0x1234_8c00_0013_5678));
        // A gate for Ring 0 is one for the kernel.
        assert_eq!(check32(0x1234_8c00_0010_5678), Ok(0x1234_8c00_0011_5678));
        // Into the flat kernel segment, or an LDT: yes. Into the rest of the reserved page: no.
        assert!(check32(0x1234_8c00_e019_5678).is_ok());
        assert!(check32(0x1234_8c00_e01c_5678).is_ok());
        assert_eq!(check32(0x1234_8c00_e008_5678), Err(Errno::EINVAL));
        assert_eq!(check32(0x1234_8c20_0010_5678), Err(Errno::EINVAL));
        assert!(check32(0x1234_8c1f_0010_5678).is_ok());
        assert_eq!(check(Width::Pv64, HV, 0x1234_8c01_0010_5678), Err(Errno::EINVAL));
    }

    #[test]
    fn limits_within_the_window_are_stretched() {
        // 0xf67fffff: up to the end of the classic window.
        assert_eq!(check32(0x00cf_b300_0000_67ff), Ok(0x00cf_b300_0000_ffff));
        assert_eq!(check32(0x00cf_b300_0000_57ff), Ok(0x00cf_b300_0000_57ff));
        assert_eq!(check32(0x00cf_b300_0000_5800), Ok(0x00cf_b300_0000_ffff));
        // Not flat: left alone.
        assert_eq!(check32(0x00cf_b300_1000_67ff), Ok(0x00cf_b300_1000_67ff));
        // Byte limits never reach it.
        assert_eq!(check32(0x004f_b300_0000_ffff), Ok(0x004f_b300_0000_ffff));
    }

    #[test]
    fn bases_and_limits_are_read() {
        assert_eq!(base(0x12cf_9b34_5678_9abc), 0x1234_5678);
        assert_eq!(limit(0x00cf_9b00_0000_ffff), u32::MAX);
        assert_eq!(limit(0x0041_9b00_0000_2345), 0x1_2345);
    }
}

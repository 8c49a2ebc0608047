//! Segments: what a selector of the running guest leads to.
//!
//! The flat segments of the hypervisor's part of the GDT are known; others are read from
//! the guest's frames, which hold checked descriptors and nothing that the guest can
//! change meanwhile but through us.

use core::sync::atomic::Ordering;

use pv_abi::traps::FIRST_RESERVED_GDT_ENTRY;
use pv_abi::types::Mfn;
use pv_abi::{x86_32, x86_64};

use crate::guest::Ctx;
use crate::mm::descriptor;
use crate::platform::Platform;
use crate::width::Width;

/// How the processor reads instructions in a code segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// 16-bit operands and addresses by default.
    Bits16,
    /// 32-bit.
    Bits32,
    /// 64-bit mode.
    Bits64,
}

/// Descriptor bit D: 32-bit code.
const D: u64 = 1 << 54;
/// Descriptor bit L: 64-bit code.
const L: u64 = 1 << 53;
/// Descriptor bits P and S: present, code or data.
const PRESENT_SEGMENT: u64 = 1 << 47 | 1 << 44;

/// The descriptor that `selector` names, if it is one of a present code or data segment.
fn descriptor<P: Platform>(ctx: &Ctx<'_, P>, selector: u16) -> Option<u64> {
    let index = u32::from(selector >> 3);
    let (page, entry) = (index as usize / 512, index as usize % 512);
    let frame: Mfn = if selector & 4 != 0 {
        (*ctx.state.ldt.get(page)?)?
    } else if index < FIRST_RESERVED_GDT_ENTRY {
        *ctx.state.gdt.get(page)?
    } else {
        return None;
    };
    let word = ctx.sys.platform.words(frame).get(entry)?.load(Ordering::Relaxed);
    (word & PRESENT_SEGMENT == PRESENT_SEGMENT).then_some(word)
}

/// Whether `selector` is one of the flat segments of the hypervisor's part of a pv32 GDT.
#[inline(always)]
const fn flat32(selector: u16) -> bool {
    matches!(
        selector,
        x86_32::FLAT_RING1_CS
            | x86_32::FLAT_RING1_DS
            | x86_32::FLAT_RING3_CS
            | x86_32::FLAT_RING3_DS
    )
}

/// The base of a pv32 segment; `None` if there is no such segment.
#[inline(always)]
pub fn base32<P: Platform>(ctx: &Ctx<'_, P>, selector: u16) -> Option<u32> {
    // The one that kernels use.
    if selector == x86_32::FLAT_RING1_SS { Some(0) } else { base32_of_other(ctx, selector) }
}

#[cold]
fn base32_of_other<P: Platform>(ctx: &Ctx<'_, P>, selector: u16) -> Option<u32> {
    if flat32(selector) { Some(0) } else { descriptor(ctx, selector).map(descriptor::base) }
}

/// Base and mode of the code segment that the guest runs in.
pub fn code<P: Platform>(ctx: &Ctx<'_, P>) -> Option<(u64, Mode)> {
    let selector = ctx.regs.cs;
    match ctx.width() {
        Width::Pv32 if flat32(selector) => Some((0, Mode::Bits32)),
        // The pushed RPL of a 64-bit kernel is not what it runs with.
        Width::Pv64 if selector | 3 == x86_64::FLAT_RING3_CS64 => Some((0, Mode::Bits64)),
        Width::Pv64 if selector | 3 == x86_64::FLAT_RING3_CS32 => Some((0, Mode::Bits32)),
        _ => {
            let descriptor = descriptor(ctx, selector)?;
            Some(match (descriptor & L, descriptor & D) {
                (0, 0) => (descriptor::base(descriptor).into(), Mode::Bits16),
                (0, _) => (descriptor::base(descriptor).into(), Mode::Bits32),
                _ => (0, Mode::Bits64),
            })
        }
    }
}

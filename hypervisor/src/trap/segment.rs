//! Segments: what a selector of the running guest leads to.
//!
//! The flat segments of the hypervisor's part of the GDT are known; others are read from
//! the guest's frames, which hold checked descriptors and nothing that the guest can
//! change meanwhile but through us. A page of the LDT that is not mapped yet is mapped then,
//! as when the processor uses it. Nothing is read past the end of a table, whatever its last
//! page holds (XSA-298).

use core::sync::atomic::Ordering;

use pv_abi::traps::FIRST_RESERVED_GDT_ENTRY;
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

/// A segment descriptor, or a gate; zero where there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Descriptor(pub u64);

impl Descriptor {
    /// Nothing.
    pub const NONE: Descriptor = Descriptor(0);

    const fn bit(self, bit: u32) -> bool {
        self.0 >> bit & 1 != 0
    }

    /// Present.
    pub const fn is_present(self) -> bool {
        self.bit(47)
    }

    /// Code or data, rather than a gate.
    pub const fn is_segment(self) -> bool {
        self.bit(44)
    }

    /// Code.
    pub const fn is_code(self) -> bool {
        self.is_segment() && self.bit(43)
    }

    /// Code that runs in its caller's ring.
    pub const fn is_conforming(self) -> bool {
        self.is_code() && self.bit(42)
    }

    /// Data, or code that may be read.
    pub const fn is_readable(self) -> bool {
        self.is_segment() && (!self.bit(43) || self.bit(41))
    }

    /// Data that may be written.
    pub const fn is_writable(self) -> bool {
        self.is_segment() && !self.bit(43) && self.bit(41)
    }

    /// 32-bit code, or a stack of 32 bits.
    pub const fn is_32_bit(self) -> bool {
        self.bit(54)
    }

    /// 64-bit code.
    pub const fn is_64_bit(self) -> bool {
        self.bit(53)
    }

    /// The ring it is for.
    pub const fn dpl(self) -> u16 {
        (self.0 >> 45 & 3) as u16
    }

    /// Its base.
    pub const fn base(self) -> u32 {
        descriptor::base(self.0)
    }

    /// Its limit, inclusive.
    pub const fn limit(self) -> u32 {
        descriptor::limit(self.0)
    }

    /// Whether `bytes` bytes from `offset` on lie within its limit.
    pub const fn covers(self, offset: u32, bytes: u32) -> bool {
        let Some(last) = offset.checked_add(bytes.saturating_sub(1)) else { return false };
        let grows_down = self.is_segment() && !self.bit(43) && self.bit(42);
        if grows_down {
            let top = if self.bit(54) { u32::MAX } else { 0xffff };
            return offset > self.limit() && last <= top;
        }
        last <= self.limit()
    }
}

/// The flat segments of a pv32 guest: code, data.
const FLAT_CODE: u64 = 0x00cf_9b00_0000_ffff;
const FLAT_DATA: u64 = 0x00cf_9300_0000_ffff;

/// The descriptor that a pv32 `selector` names: one of the guest's, whatever it is, or a flat segment.
pub fn find32<P: Platform>(ctx: &mut Ctx<'_, P>, selector: u16) -> Descriptor {
    let ring = |descriptor: u64, dpl: u64| Descriptor(descriptor | dpl << 45);
    match selector & !3 {
        0 => Descriptor::NONE,
        FLAT_RING1_CODE => ring(FLAT_CODE, 1),
        FLAT_RING1_DATA => ring(FLAT_DATA, 1),
        FLAT_RING3_CODE => ring(FLAT_CODE, 3),
        FLAT_RING3_DATA => ring(FLAT_DATA, 3),
        _ => own(ctx, selector).map_or(Descriptor::NONE, Descriptor),
    }
}

const FLAT_RING1_CODE: u16 = x86_32::FLAT_RING1_CS & !3;
const FLAT_RING1_DATA: u16 = x86_32::FLAT_RING1_DS & !3;
const FLAT_RING3_CODE: u16 = x86_32::FLAT_RING3_CS & !3;
const FLAT_RING3_DATA: u16 = x86_32::FLAT_RING3_DS & !3;

/// The word that `selector` names in the guest's own tables.
fn own<P: Platform>(ctx: &mut Ctx<'_, P>, selector: u16) -> Option<u64> {
    let index = u32::from(selector >> 3);
    let (page, entry) = (index as usize / 512, index as usize % 512);
    let frame = if selector & 4 == 0 {
        *ctx.state.gdt.get(page).filter(|_| index < FIRST_RESERVED_GDT_ENTRY)?
    } else if index >= ctx.state.ldt_entries {
        return None;
    } else {
        if ctx.state.ldt.get(page)?.is_none() {
            descriptor::map_ldt_page(ctx, page as u8).ok()?;
        }
        (*ctx.state.ldt.get(page)?)?
    };
    Some(ctx.sys.platform.words(frame).get(entry)?.load(Ordering::Relaxed))
}

/// The call gate, or whatever else, that `selector` names in a pv32 guest's tables.
pub fn gate32<P: Platform>(ctx: &mut Ctx<'_, P>, selector: u16) -> Descriptor {
    // The last frame of the GDT may have room for more than the guest counts to its table.
    if selector & 4 == 0 && u32::from(selector >> 3) >= ctx.state.gdt_entries {
        return Descriptor::NONE;
    }
    own(ctx, selector).map_or(Descriptor::NONE, Descriptor)
}

/// The base of a pv32 segment; `None` if there is no such segment.
#[inline(always)]
pub fn base32<P: Platform>(ctx: &mut Ctx<'_, P>, selector: u16) -> Option<u32> {
    // The one that kernels use.
    if selector == x86_32::FLAT_RING1_SS { Some(0) } else { base32_of_other(ctx, selector) }
}

#[cold]
fn base32_of_other<P: Platform>(ctx: &mut Ctx<'_, P>, selector: u16) -> Option<u32> {
    let found = find32(ctx, selector);
    (found.is_present() && found.is_segment()).then_some(found.base())
}

/// Base and mode of the code segment that the guest runs in.
pub fn code<P: Platform>(ctx: &mut Ctx<'_, P>) -> Option<(u64, Mode)> {
    let selector = ctx.regs.cs;
    let found = match ctx.width() {
        Width::Pv32 if selector & !3 == FLAT_RING1_CODE => return Some((0, Mode::Bits32)),
        Width::Pv32 => find32(ctx, selector),
        // The pushed RPL of a 64-bit kernel is not what it runs with.
        Width::Pv64 if selector | 3 == x86_64::FLAT_RING3_CS64 => return Some((0, Mode::Bits64)),
        Width::Pv64 if selector | 3 == x86_64::FLAT_RING3_CS32 => return Some((0, Mode::Bits32)),
        Width::Pv64 => own(ctx, selector).map_or(Descriptor::NONE, Descriptor),
    };
    if !(found.is_present() && found.is_code()) {
        return None;
    }
    Some(match (found.is_64_bit(), found.is_32_bit()) {
        (true, _) => (0, Mode::Bits64),
        (false, true) => (found.base().into(), Mode::Bits32),
        (false, false) => (found.base().into(), Mode::Bits16),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_kept_to_the_byte() {
        // 16 bytes, growing up.
        let small = Descriptor(0x0040_9300_0000_000f);
        assert!(small.covers(0, 16) && small.covers(12, 4) && small.covers(15, 1));
        assert!(!small.covers(13, 4) && !small.covers(16, 1) && !small.covers(0, 17));
        assert!(!small.covers(u32::MAX, 2), "no way round the end");
        assert!(Descriptor(FLAT_DATA).covers(u32::MAX - 3, 4));
        assert!(!Descriptor(FLAT_DATA).covers(u32::MAX - 2, 4));
        // Growing down: what lies above the limit, to 64 KiB or 4 GiB.
        let down = Descriptor(0x0000_9700_0000_0fff);
        assert!(!down.covers(0xfff, 1) && down.covers(0x1000, 4) && down.covers(0xfffc, 4));
        assert!(!down.covers(0xfffd, 4));
        assert!(Descriptor(down.0 | 1 << 54).covers(0x1_0000, 4));
    }

    #[test]
    fn rights_are_read() {
        let (code, data) = (Descriptor(FLAT_CODE), Descriptor(FLAT_DATA));
        assert!(code.is_code() && code.is_readable() && !code.is_writable());
        assert!(!data.is_code() && data.is_readable() && data.is_writable());
        let execute_only = Descriptor(FLAT_CODE & !(1 << 41));
        assert!(!execute_only.is_readable());
        let gate = Descriptor(0x0000_8c00_0009_0000);
        assert!(!gate.is_code() && !gate.is_readable() && !gate.is_writable());
        assert!(!Descriptor::NONE.is_present());
    }
}

//! The guest's GDT: `set_gdt`, and single descriptors: `update_descriptor`.
//!
//! Which descriptors a guest may have is decided in [`crate::mm::descriptor`], which has the
//! LDT, too.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::traps::FIRST_RESERVED_GDT_ENTRY;
use pv_abi::types::Mfn;

use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::mm::descriptor::{GdtFrames, check, take_gdt};
use crate::mm::frame::Type;
use crate::mm::types::PageTypes;
use crate::platform::{Platform, TablePage};
use crate::width::Width;

/// Descriptors in a frame.
const PER_FRAME: u32 = 512;

/// `set_gdt(frame_list, entries)`: the frames that make up the GDT below the hypervisor's part.
///
/// `EINVAL`: more than 7168 entries, or a frame that cannot hold descriptors; the old GDT
/// stays. `EFAULT`: the list.
pub fn set_gdt<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let entries = args[1] as u32;
    if entries > FIRST_RESERVED_GDT_ENTRY {
        return Err(Errno::EINVAL.into());
    }
    let mut frames = GdtFrames::new();
    for i in 0..u64::from(entries.div_ceil(PER_FRAME)) {
        let mfn = Mfn::new(ctx.read_long(args[0], i)?);
        frames.push(mfn).map_err(|_| Errno::EINVAL)?;
    }
    let mut types = ctx.sys.page_types(ctx.domain);
    types.finish()?;
    take_gdt(&mut types, &frames)?;
    install(ctx, &mut types, frames, entries);
    Ok(0)
}

/// Puts the frames, to each of which there is a reference, in place of those before.
fn install<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    types: &mut PageTypes<'_, P>,
    frames: GdtFrames,
    entries: u32,
) {
    let platform = &ctx.sys.platform;
    let pages = frames.len().max(ctx.state.gdt.len());
    for page in 0..pages {
        let now = TablePage::Gdt(page as u8);
        platform.map_table_page(ctx.vcpu.window, now, frames.get(page).copied());
    }
    let old = core::mem::replace(&mut ctx.state.gdt, frames);
    ctx.state.gdt_entries = entries;
    for mfn in &old {
        types.put(*mfn);
    }
}

/// `update_descriptor(maddr, descriptor)`; a pv32 guest passes both in two words.
///
/// `EINVAL`: a misaligned address, a descriptor that is refused, a frame that is not the
/// caller's or is a page table.
pub fn update_descriptor<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let (maddr, descriptor) = match ctx.width() {
        Width::Pv32 => (args[0] | args[1] << 32, args[2] | args[3] << 32),
        Width::Pv64 => (args[0], args[1]),
    };
    // A misaligned one would change its neighbours.
    if maddr & 7 != 0 {
        return Err(Errno::EINVAL.into());
    }
    let descriptor = check(ctx.width(), ctx.domain.hv_start, descriptor)?;
    let mfn = Mfn::new(maddr >> 12);
    let mut types = ctx.sys.page_types(ctx.domain);
    types.finish()?;
    let frame = ctx.sys.memory.get_page(mfn, ctx.domain.id)?;
    let word = frame.load();
    // Under the paging lock, descriptors in use stay descriptors; everything else is data.
    let kind = match word.kind() {
        Type::SegDesc if word.type_count() > 0 => Type::SegDesc,
        _ => Type::Writable,
    };
    let taken = types.get(mfn, kind);
    if taken.is_ok() {
        if let Some(word) = ctx.sys.platform.words(mfn).get((maddr >> 3 & 511) as usize) {
            word.store(descriptor, Ordering::Relaxed);
        }
        types.put(mfn);
    }
    ctx.sys.put_page(mfn);
    taken.map(|()| 0)
}

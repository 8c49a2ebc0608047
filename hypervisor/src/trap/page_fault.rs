//! Page faults of the running guest.
//!
//! Most are the guest's own affair and go to its handler, with the address in
//! `vcpu_info.arch.cr2`. Ours are: the first use of a page of the LDT, and, where the domain
//! asked for `writable_pagetables`, a kernel's store to one of its level-1 tables.

use pv_abi::vectors;
use pv_abi::vm_assist::VMASST_TYPE_WRITABLE_PAGETABLES;

use super::{bounce, control, emulate};
use crate::error::Stop;
use crate::guest::Ctx;
use crate::mm::descriptor;
use crate::platform::{Platform, TablePage};
use crate::width::Width;

/// Bits of a page fault's error code (SDM volume 3, 4.7).
pub(super) mod code {
    /// The page is present.
    pub const PRESENT: u32 = 1 << 0;
    /// A write.
    pub const WRITE: u32 = 1 << 1;
    /// In user mode.
    pub const USER: u32 = 1 << 2;
    /// A reserved bit is set in an entry.
    pub const RESERVED: u32 = 1 << 3;
    /// An instruction fetch.
    pub const FETCH: u32 = 1 << 4;
}

/// A #PF arrived.
#[inline(always)]
pub fn page_fault<P: Platform>(ctx: &mut Ctx<'_, P>) -> Result<(), Stop> {
    let address = ctx.sys.platform.page_fault_address();
    let code = ctx.regs.error_code;
    if !ctx.width().range_ok(address, 1) {
        return outside(ctx, address, code);
    }
    const KINDS: u32 = code::PRESENT | code::WRITE | code::RESERVED | code::FETCH;
    if code & KINDS == code::PRESENT | code::WRITE
        && ctx.domain.assists(VMASST_TYPE_WRITABLE_PAGETABLES)
        && bounce::in_kernel(ctx)
        && emulate::ptwr::store(ctx, address)?
    {
        return Ok(());
    }
    deliver(ctx, address, code)
}

/// Enters the guest's handler for a page fault at `address`.
///
/// The user bit is the guest's view: set unless its kernel ran.
#[inline(always)]
pub(super) fn deliver<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    address: u64,
    code: u32,
) -> Result<(), Stop> {
    control::set_cr2(ctx, address);
    let user = if bounce::in_kernel(ctx) { 0 } else { code::USER };
    bounce::trap(ctx, vectors::PAGE_FAULT, Some(code & !code::USER | user))
}

/// A fault at an address that is not the guest's: the processor used a descriptor table, or
/// a 64-bit guest used an address that is ours.
#[cold]
fn outside<P: Platform>(ctx: &mut Ctx<'_, P>, address: u64, code: u32) -> Result<(), Stop> {
    let Some(page) = ctx.sys.platform.table_page_at(ctx.vcpu.window, address) else {
        return deliver(ctx, address, code);
    };
    let in_page = address & 0xff8;
    match page {
        TablePage::Ldt(n) => match descriptor::map_ldt_page(ctx, n) {
            Ok(()) => Ok(()),
            Err(Stop::Errno(_)) => {
                let offset = u64::from(n) << 12 | address & 0xfff;
                let shown = ctx.state.ldt_base.wrapping_add(offset);
                let shown = match ctx.width() {
                    Width::Pv32 => u64::from(shown as u32),
                    Width::Pv64 => shown,
                };
                deliver(ctx, shown, code)
            }
            Err(stop) => Err(stop),
        },
        // No frame there: as if the GDT ended before. The error code is the selector.
        TablePage::Gdt(n) => {
            let selector = u32::from(n) << 12 | in_page as u32;
            bounce::trap(ctx, vectors::GENERAL_PROTECTION, Some(selector))
        }
    }
}

/// The hypervisor itself met a page fault at `address` while it loaded the guest's segment
/// registers: maps the page of the LDT if that is what is missing. Whether to try again.
pub fn ldt_fault<P: Platform>(ctx: &mut Ctx<'_, P>, address: u64) -> bool {
    match ctx.sys.platform.table_page_at(ctx.vcpu.window, address) {
        Some(TablePage::Ldt(page)) => descriptor::map_ldt_page(ctx, page).is_ok(),
        _ => false,
    }
}

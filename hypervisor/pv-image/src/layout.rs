//! What lies where in a new domain's memory. Pure arithmetic.
//!
//! In the order in which Xen lays out its domains (`xen/arch/x86/pv/dom0_build.c` and, with the
//! pages for rings, `tools/libs/guest/xg_dom_x86.c`), from
//! pseudo-physical frame 0 at the kernel's VIRT_BASE on, each part on pages of its own:
//!
//! ```text
//! VIRT_BASE  (frames below the kernel: ordinary memory)
//!            kernel
//!            initrd, unless the kernel takes it unmapped
//!            p2m list: one frame number per page of the domain
//!            start info
//!            pages for rings: XenStore's and the console's, if the domain gets any
//!            page tables: the root first, then the levels below
//!            boot stack: one page
//!            slack, at least 512 KiB
//! end        the next multiple of 4 MiB; everything up to here is mapped
//!            initrd, if unmapped
//! ```
//!
//! The page tables map themselves, so their number depends on itself: it is raised until
//! it suffices.
#![deny(clippy::arithmetic_side_effects)]

use core::fmt;

use crate::width::Width;

/// Bytes in a page.
pub const PAGE: u64 = 4096;
/// Pages for rings of a domain that has them: XenStore's and the console's.
pub const RINGS: u64 = 2;
/// What the mapped part is rounded up to.
const END_ALIGNMENT: u64 = 4 << 20;
/// Mapped memory behind the boot stack, at least.
const SLACK: u64 = 512 << 10;
/// pv32: the GiB whose level-2 table must exist, since it carries the hypervisor's window.
const TOP_GIB: u64 = 3;

/// What the layout depends on.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The kind of guest.
    pub width: Width,
    /// Where pseudo-physical frame 0 is mapped.
    pub virt_base: u64,
    /// The first address past the kernel.
    pub kernel_end: u64,
    /// Bytes of the initrd; 0: none.
    pub initrd_len: u64,
    /// Whether the initrd is left unmapped.
    pub initrd_unmapped: bool,
    /// Pages for rings: [`RINGS`], or none for domain 0.
    pub ring_pages: u64,
    /// Pages of the domain.
    pub pages: u64,
    /// The first address that is not the guest's any more.
    pub limit: u64,
}

/// Where everything lies. Addresses are virtual and multiples of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Where pseudo-physical frame 0 is mapped.
    pub start: u64,
    /// The initrd; if unmapped, the address that its frames would have.
    pub initrd: u64,
    /// The p2m list.
    pub p2m: u64,
    /// The start info page.
    pub start_info: u64,
    /// The pages for rings: XenStore's, then the console's.
    pub rings: u64,
    /// The page tables, root first.
    pub tables: u64,
    /// How many.
    pub table_count: u64,
    /// The boot stack's page.
    pub stack: u64,
    /// The end of what is mapped.
    pub end: u64,
    /// Pages that all this takes, at least.
    pub pages_needed: u64,
}

/// Why there is no layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LayoutError {
    /// The domain has less memory than its start takes.
    TooLittleMemory {
        /// Pages it takes.
        needed: u64,
        /// Pages it has.
        pages: u64,
    },
    /// It does not fit below the addresses that are the hypervisor's.
    TooLarge {
        /// Where it would end; 0 if past the last address.
        end: u64,
        /// Where it must end.
        limit: u64,
    },
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooLittleMemory { needed, pages } => write!(
                f,
                "its start takes {} KiB of memory, and it has {} KiB",
                needed.saturating_mul(4),
                pages.saturating_mul(4)
            ),
            Self::TooLarge { end: 0, .. } => {
                write!(f, "kernel, initrd and p2m list reach past the last address")
            }
            Self::TooLarge { end, limit } => write!(
                f,
                "kernel, initrd and p2m list reach up to {end:#x}, \
                 but the hypervisor's addresses begin at {limit:#x}"
            ),
        }
    }
}

impl Layout {
    /// Lays out what is wanted.
    pub fn new(wanted: &Wanted) -> Result<Layout, LayoutError> {
        let layout =
            arrange(wanted).ok_or(LayoutError::TooLarge { end: 0, limit: wanted.limit })?;
        if layout.end > wanted.limit {
            return Err(LayoutError::TooLarge { end: layout.end, limit: wanted.limit });
        }
        if layout.pages_needed > wanted.pages {
            let (needed, pages) = (layout.pages_needed, wanted.pages);
            return Err(LayoutError::TooLittleMemory { needed, pages });
        }
        Ok(layout)
    }

    /// The pseudo-physical frame mapped at `address`.
    pub fn pfn(&self, address: u64) -> u64 {
        address.saturating_sub(self.start) >> 12
    }

    /// The pseudo-physical frames of the page tables.
    pub fn table_pfns(&self) -> core::ops::Range<u64> {
        let first = self.pfn(self.tables);
        first..first.saturating_add(self.table_count)
    }

    /// Pages that are mapped.
    pub fn mapped_pages(&self) -> u64 {
        self.pfn(self.end)
    }
}

/// The layout, or `None` if an address overflows.
fn arrange(wanted: &Wanted) -> Option<Layout> {
    let start = wanted.virt_base;
    let after_kernel = page_up(wanted.kernel_end)?;
    let initrd_size = page_up(wanted.initrd_len)?;
    let mapped_initrd = if wanted.initrd_unmapped { 0 } else { initrd_size };
    let p2m = after_kernel.checked_add(mapped_initrd)?;
    let p2m_size = page_up(wanted.pages.checked_mul(wanted.width.long())?)?;
    let start_info = p2m.checked_add(p2m_size)?;
    let rings = start_info.checked_add(PAGE)?;
    let tables = rings.checked_add(wanted.ring_pages.checked_mul(PAGE)?)?;

    let mut table_count = 1;
    let (stack, end) = loop {
        let stack = tables.checked_add(u64::checked_mul(table_count, PAGE)?)?;
        let end = end_of(stack.checked_add(PAGE)?)?;
        let needed = tables_for(wanted.width, start, end);
        if needed <= table_count {
            break (stack, end);
        }
        table_count = needed;
    };
    let initrd = if wanted.initrd_unmapped { end } else { after_kernel };
    let mapped = end.checked_sub(start)? / PAGE;
    let unmapped = initrd_size.checked_sub(mapped_initrd)? / PAGE;
    Some(Layout {
        start,
        initrd,
        p2m,
        start_info,
        rings,
        tables,
        table_count,
        stack,
        end,
        pages_needed: mapped.checked_add(unmapped)?,
    })
}

/// The end of the mapping, if what is needed ends at `used`.
fn end_of(used: u64) -> Option<u64> {
    used.checked_add(SLACK)?.checked_next_multiple_of(END_ALIGNMENT)
}

/// Page tables that map `[start, end)`.
fn tables_for(width: Width, start: u64, end: u64) -> u64 {
    // Tables of the level whose entries cover 2^shift bytes each.
    let covering = |shift: u32| {
        let last = end.saturating_sub(1).max(start);
        (last >> shift).saturating_sub(start >> shift).saturating_add(1)
    };
    let lower = covering(21).saturating_add(covering(30));
    match width {
        Width::Pv32 => {
            let top = u64::from(end <= TOP_GIB << 30);
            lower.saturating_add(top).saturating_add(1)
        }
        Width::Pv64 => lower.saturating_add(covering(39)).saturating_add(1),
    }
}

fn page_up(address: u64) -> Option<u64> {
    address.checked_next_multiple_of(PAGE)
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;

//! One's own grant table, and the uses of others'.

use pv_abi::grant_table::*;
use pv_abi::hypercall::GRANT_TABLE_OP;
use pv_abi::types::{DOMID_SELF, DomId, GrantHandle, GrantRef};
use pv_abi::x86_32::{GnttabCopy, GnttabCopyPtr, GnttabSetupTable};

use crate::call::{address_of, hypercall};
use crate::pages::{KRW, Page, entry, map as map_page, mfn_of, read32, write32};
use crate::verdict::{Outcome, must};
use crate::{check, check_eq};

const SELF: DomId = DomId::new(DOMID_SELF);

/// One operation; the call itself must succeed.
pub fn operation<T>(command: u32, argument: &mut T) {
    let result = hypercall(GRANT_TABLE_OP, &[command, address_of(argument), 1]);
    check_eq!(result, 0, "grant_table_op {command}");
}

/// The domain's grant table, of version 1, mapped.
#[derive(Clone, Copy)]
pub struct Table(Page);

impl Table {
    /// Makes the table one frame large and maps it in the place of a spare page.
    pub fn set_up() -> Outcome<Table> {
        let mut frame = 0_u32;
        let mut setup = GnttabSetupTable {
            dom: SELF,
            _pad0: [0; 2],
            nr_frames: 1,
            status: 1,
            _pad1: [0; 2],
            frame_list: address_of(&mut frame),
        };
        operation(GNTTABOP_SETUP_TABLE, &mut setup);
        check_eq!(setup.status, GNTST_OKAY, "setup_table's status");
        let page = Page::take();
        must(map_page(page.va, entry(frame, KRW)), "mapping the table")?;
        Ok(Table(page))
    }

    /// Grants a page to a domain.
    pub fn grant(self, gref: u32, to: DomId, page: Page, flags: u16) {
        write32(self.0.va + gref * 8 + 4, mfn_of(page.va));
        let flags = GTF_PERMIT_ACCESS | flags;
        write32(self.0.va + gref * 8, u32::from(flags) | u32::from(to.raw()) << 16);
    }

    /// An entry's flags.
    pub fn flags(self, gref: u32) -> u16 {
        read32(self.0.va + gref * 8) as u16
    }
}

/// Asks for a mapping; the argument as it comes back.
pub fn map(dom: DomId, gref: u32, flags: u32, at: u32) -> GnttabMapGrantRef {
    let mut op = GnttabMapGrantRef {
        host_addr: at.into(),
        flags,
        r#ref: GrantRef::new(gref),
        dom,
        status: 1,
        handle: GrantHandle::new(0),
        dev_bus_addr: 0,
    };
    operation(GNTTABOP_MAP_GRANT_REF, &mut op);
    op
}

/// Maps, which must succeed.
pub fn mapped(dom: DomId, gref: u32, flags: u32, at: u32) -> GrantHandle {
    let op = map(dom, gref, flags, at);
    check_eq!(op.status, GNTST_OKAY, "map_grant_ref's status");
    op.handle
}

/// Unmaps, which must succeed.
pub fn unmapped(handle: GrantHandle, at: u32) {
    let mut op = GnttabUnmapGrantRef {
        host_addr: at.into(),
        dev_bus_addr: 0,
        handle,
        status: 1,
        _pad: [0; 2],
    };
    operation(GNTTABOP_UNMAP_GRANT_REF, &mut op);
    check_eq!(op.status, GNTST_OKAY, "unmap_grant_ref's status");
}

/// Copies from a grant, from byte `offset` on, to the start of a page; the status.
pub fn copy_from(dom: DomId, gref: u32, offset: u16, to: Page, len: u16) -> i16 {
    let mut op = GnttabCopy {
        source: GnttabCopyPtr { u: gref, domid: dom, offset, _pad: [] },
        dest: GnttabCopyPtr { u: mfn_of(to.va), domid: SELF, offset: 0, _pad: [] },
        len,
        flags: GNTCOPY_SOURCE_GREF,
        status: 1,
        _pad: [0; 2],
    };
    operation(GNTTABOP_COPY, &mut op);
    check!(op.status <= 0, "copy's status {}", op.status);
    op.status
}

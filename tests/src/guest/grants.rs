//! Grant tables as a guest's kernel uses them.

use pv_abi::grant_table as abi;
use pv_abi::grant_table::{
    GnttabMapGrantRef, GnttabSetVersion, GnttabUnmapGrantRef, GrantEntryV1, GrantEntryV2,
};
use pv_abi::hypercall as nr;
use pv_abi::types::{DomId, GrantHandle, GrantRef, Mfn};
use pv_abi::x86_32::{GnttabCopy, GnttabCopyPtr, GnttabGetStatusFrames, GnttabSetupTable};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::mmu::{P, RW};
use super::{Guest, Page};

/// A guest's grant table, mapped.
pub struct GrantTable {
    /// Where its frames are mapped.
    pub pages: Vec<Page>,
    /// Where its status frames are mapped, in version 2.
    pub status: Vec<Page>,
}

impl Guest {
    /// Goes on as this guest: after another one ran.
    pub fn take_over(&mut self) {
        use hypervisor::platform::Mmu;
        self.run_as(self.vcpu.raw());
        let l4 = self.vcpu().state.lock().l4;
        if self.machine().root() != Some(l4) {
            self.machine().load_root(l4);
        }
    }

    /// `grant_table_op` of an array, which is read back; the result.
    pub fn gnttab<T>(&mut self, command: u32, ops: &mut [T]) -> i64
    where
        T: IntoBytes + FromBytes + Immutable,
    {
        self.take_over();
        let at = self.arg(&*ops);
        let result = self.call(nr::GRANT_TABLE_OP, &[command.into(), at, ops.len() as u64]);
        for (index, op) in ops.iter_mut().enumerate() {
            *op = self.read(at + (index * size_of::<T>()) as u64);
        }
        result
    }

    /// The same with one argument, for calls that succeed.
    pub fn gnttab_one<T>(&mut self, command: u32, op: T) -> T
    where
        T: IntoBytes + FromBytes + Immutable,
    {
        let mut ops = [op];
        assert_eq!(self.gnttab(command, &mut ops), 0);
        let [op] = ops;
        op
    }

    /// `setup_table` of `frames` frames of `dom`'s; status and list.
    pub fn setup_table(&mut self, dom: DomId, frames: u32) -> (i16, Vec<u32>) {
        self.take_over();
        let list = self.arg(&vec![0xffff_ffff_u32; frames as usize][..]);
        let op = GnttabSetupTable {
            dom,
            _pad0: [0; 2],
            nr_frames: frames,
            status: 1,
            _pad1: [0; 2],
            frame_list: list as u32,
        };
        let op = self.gnttab_one(abi::GNTTABOP_SETUP_TABLE, op);
        (op.status, (0..u64::from(frames)).map(|i| self.read(list + 4 * i)).collect())
    }

    /// Makes the guest's table `frames` frames large and maps it.
    pub fn grant_table(&mut self, frames: u32) -> GrantTable {
        let (status, list) = self.setup_table(DomId::SELF, frames);
        assert_eq!(status, abi::GNTST_OKAY);
        let pages = list.iter().map(|mfn| self.map_lent(u64::from(*mfn))).collect();
        GrantTable { pages, status: Vec::new() }
    }

    /// Maps a frame that the hypervisor lent, writable, in the place of one of the guest's pages.
    pub fn map_lent(&mut self, mfn: u64) -> Page {
        let page = self.page();
        assert_eq!(self.update_va(page.va, mfn << 12 | P | RW, pv_abi::mmu::UVMF_INVLPG), 0);
        Page { mfn: Mfn::new(mfn), ..page }
    }

    /// `set_version`: result, and the version in use.
    pub fn set_version(&mut self, version: u32) -> (i64, u32) {
        let mut op = [GnttabSetVersion { version }];
        let result = self.gnttab(abi::GNTTABOP_SET_VERSION, &mut op);
        (result, op[0].version)
    }

    /// `get_status_frames`: status and list.
    pub fn status_frames(&mut self, dom: DomId, frames: u32) -> (i16, Vec<u64>) {
        self.take_over();
        let list = self.arg(&vec![u64::MAX; frames as usize][..]);
        let op =
            GnttabGetStatusFrames { nr_frames: frames, dom, status: 1, frame_list: list as u32 };
        let op = self.gnttab_one(abi::GNTTABOP_GET_STATUS_FRAMES, op);
        (op.status, (0..u64::from(frames)).map(|i| self.read(list + 8 * i)).collect())
    }

    /// Makes the guest's table a version 2 one of `frames` frames and maps all of it.
    pub fn grant_table_v2(&mut self, frames: u32) -> GrantTable {
        let mut table = self.grant_table(frames);
        assert_eq!(self.set_version(2), (0, 2));
        let (status, list) = self.status_frames(DomId::SELF, frames.div_ceil(8));
        assert_eq!(status, abi::GNTST_OKAY);
        table.status = list.iter().map(|mfn| self.map_lent(*mfn)).collect();
        table
    }

    /// Maps a grant at an address.
    pub fn map_grant(&mut self, dom: u16, gref: u32, flags: u32, at: u64) -> GnttabMapGrantRef {
        self.gnttab_one(abi::GNTTABOP_MAP_GRANT_REF, map_op(dom, gref, flags, at))
    }

    /// Unmaps a grant from an address; the status.
    pub fn unmap_grant(&mut self, handle: GrantHandle, at: u64) -> i16 {
        self.gnttab_one(abi::GNTTABOP_UNMAP_GRANT_REF, unmap_op(handle, at, 0)).status
    }

    /// Makes one copy; the status.
    pub fn grant_copy(&mut self, source: End, dest: End, len: u16) -> i16 {
        self.gnttab_one(abi::GNTTABOP_COPY, copy_op(source, dest, len)).status
    }
}

/// An argument of `map_grant_ref`; what the hypervisor is to fill in is junk.
pub fn map_op(dom: u16, gref: u32, flags: u32, host_addr: u64) -> GnttabMapGrantRef {
    GnttabMapGrantRef {
        host_addr,
        flags,
        r#ref: GrantRef::new(gref),
        dom: DomId::new(dom),
        status: 1,
        handle: GrantHandle::new(0xdead),
        dev_bus_addr: 0xdead,
    }
}

/// An argument of `unmap_grant_ref`.
pub fn unmap_op(handle: GrantHandle, host_addr: u64, dev_bus_addr: u64) -> GnttabUnmapGrantRef {
    GnttabUnmapGrantRef { host_addr, dev_bus_addr, handle, status: 1, _pad: [0; 2] }
}

/// One end of a copy.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// A frame of the caller's, and the first byte.
    Own(Mfn, u16),
    /// A reference in a domain's table, and the first byte.
    Grant(u16, u32, u16),
}

/// An argument of `copy`.
pub fn copy_op(source: End, dest: End, len: u16) -> GnttabCopy {
    let pointer = |end: End| match end {
        End::Own(mfn, offset) => {
            GnttabCopyPtr { u: mfn.raw() as u32, domid: DomId::SELF, offset, _pad: [] }
        }
        End::Grant(dom, gref, offset) => {
            GnttabCopyPtr { u: gref, domid: DomId::new(dom), offset, _pad: [] }
        }
    };
    let flag = |end: End, flag: u16| if matches!(end, End::Grant(..)) { flag } else { 0 };
    GnttabCopy {
        source: pointer(source),
        dest: pointer(dest),
        len,
        flags: flag(source, abi::GNTCOPY_SOURCE_GREF) | flag(dest, abi::GNTCOPY_DEST_GREF),
        status: 1,
        _pad: [0; 2],
    }
}

impl GrantTable {
    /// Where entry `gref` of a version 1 table is.
    pub fn va(&self, gref: u32) -> u64 {
        self.pages[gref as usize / 512].va + u64::from(gref % 512) * 8
    }

    /// Grants a frame to `domid`, in version 1.
    pub fn grant(&self, guest: &mut Guest, gref: u32, domid: u16, mfn: Mfn, readonly: bool) {
        let flags = abi::GTF_PERMIT_ACCESS | if readonly { abi::GTF_READONLY } else { 0 };
        self.set(guest, gref, flags, domid, mfn.raw() as u32);
    }

    /// Writes an entry of version 1.
    pub fn set(&self, guest: &mut Guest, gref: u32, flags: u16, domid: u16, frame: u32) {
        guest.take_over();
        let entry = GrantEntryV1 { flags, domid: DomId::new(domid), frame };
        guest.write(self.va(gref), &entry);
    }

    /// Reads an entry of version 1.
    pub fn get(&self, guest: &mut Guest, gref: u32) -> GrantEntryV1 {
        guest.take_over();
        guest.read(self.va(gref))
    }

    /// The bits that say that a version 1 entry is in use.
    pub fn in_use(&self, guest: &mut Guest, gref: u32) -> u16 {
        self.get(guest, gref).flags & (abi::GTF_READING | abi::GTF_WRITING)
    }

    /// Where entry `gref` of a version 2 table is.
    pub fn va_v2(&self, gref: u32) -> u64 {
        self.pages[gref as usize / 256].va + u64::from(gref % 256) * 16
    }

    /// Writes an entry of version 2.
    pub fn set_v2(&self, guest: &mut Guest, gref: u32, entry: GrantEntryV2) {
        guest.take_over();
        guest.write(self.va_v2(gref), &entry);
    }

    /// Reads an entry of version 2.
    pub fn get_v2(&self, guest: &mut Guest, gref: u32) -> GrantEntryV2 {
        guest.take_over();
        guest.read(self.va_v2(gref))
    }

    /// The status word of a version 2 entry.
    pub fn status_of(&self, guest: &mut Guest, gref: u32) -> u16 {
        guest.take_over();
        guest.read(self.status[gref as usize / 2048].va + u64::from(gref % 2048) * 2)
    }
}

/// A version 2 entry that grants a whole page.
pub fn full_page(domid: u16, mfn: Mfn, flags: u16) -> GrantEntryV2 {
    entry_v2(abi::GTF_PERMIT_ACCESS | flags, domid, 0, 0, mfn.raw())
}

/// A version 2 entry that grants some bytes.
pub fn sub_page(domid: u16, mfn: Mfn, flags: u16, start: u16, length: u16) -> GrantEntryV2 {
    let flags = abi::GTF_PERMIT_ACCESS | abi::GTF_SUB_PAGE | flags;
    entry_v2(flags, domid, start, length, mfn.raw())
}

/// A version 2 entry that passes on a grant of another domain's.
pub fn transitive(domid: u16, from: u16, gref: u32, flags: u16) -> GrantEntryV2 {
    entry_v2(abi::GTF_TRANSITIVE | flags, domid, from, 0, gref.into())
}

/// Any version 2 entry.
pub fn entry_v2(flags: u16, domid: u16, first: u16, second: u16, frame: u64) -> GrantEntryV2 {
    let hdr = abi::GrantEntryHeader { flags, domid: DomId::new(domid) };
    GrantEntryV2 { hdr, page_off: first, length: second, frame }
}

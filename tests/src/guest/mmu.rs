//! The page-table hypercalls as a 32-bit guest's kernel makes them.

use pv_abi::hypercall as nr;
use pv_abi::mmu::{self, MmuUpdate};
use pv_abi::types::{DomId, Mfn};
use pv_abi::x86_32::{MemoryReservation, MmuextOp};

use super::{Guest, Page};

/// Entry bits: present.
pub const P: u64 = 1;
/// Writable.
pub const RW: u64 = 2;
/// For Ring 3.
pub const US: u64 = 4;
/// `DOMID_SELF`, as an argument.
pub const SELF: u64 = 0x7ff0;

impl Guest {
    /// `mmu_update` of a list of (pointer with command, value); the result, and what `pdone` says.
    pub fn mmu_update(&mut self, list: &[(u64, u64)]) -> (i64, u32) {
        let list: Vec<_> = list.iter().map(|&(ptr, val)| MmuUpdate { ptr, val }).collect();
        let at = self.arg(list.as_slice());
        let done = self.arg(&0xffff_ffff_u32);
        let result = self.call(nr::MMU_UPDATE, &[at, list.len() as u64, done, SELF]);
        (result, self.read(done))
    }

    /// Writes one entry of `table` by `mmu_update`.
    pub fn set_entry(&mut self, table: Mfn, index: u64, entry: u64) -> i64 {
        self.mmu_update(&[((table.raw() << 12) + 8 * index, entry)]).0
    }

    /// `mmuext_op` of a list of (command, arg1, arg2); the result, and what `pdone` says.
    pub fn mmuext_list(&mut self, list: &[(u32, u64, u64)]) -> (i64, u32) {
        let op = |&(cmd, arg1, arg2): &(u32, u64, u64)| MmuextOp {
            cmd,
            _pad: [],
            arg1: arg1 as u32,
            arg2: arg2 as u32,
        };
        let list: Vec<_> = list.iter().map(op).collect();
        let at = self.arg(list.as_slice());
        let done = self.arg(&0xffff_ffff_u32);
        let result = self.call(nr::MMUEXT_OP, &[at, list.len() as u64, done, SELF]);
        (result, self.read(done))
    }

    /// One `mmuext_op`.
    pub fn mmuext(&mut self, cmd: u32, arg1: u64, arg2: u64) -> i64 {
        self.mmuext_list(&[(cmd, arg1, arg2)]).0
    }

    /// Pins a frame at a level.
    pub fn pin(&mut self, level: u32, mfn: Mfn) -> i64 {
        self.mmuext(mmu::MMUEXT_PIN_L1_TABLE + level - 1, mfn.raw(), 0)
    }

    /// Ends a pin.
    pub fn unpin(&mut self, mfn: Mfn) -> i64 {
        self.mmuext(mmu::MMUEXT_UNPIN_TABLE, mfn.raw(), 0)
    }

    /// `update_va_mapping`.
    pub fn update_va(&mut self, va: u64, entry: u64, flags: u64) -> i64 {
        self.call(nr::UPDATE_VA_MAPPING, &[va, entry & 0xffff_ffff, entry >> 32, flags])
    }

    /// Takes a page and makes it ready to be a table: filled, and mapped read-only.
    pub fn table_page(&mut self, entries: &[(u64, u64)]) -> Page {
        let page = self.page();
        for (index, entry) in entries {
            self.write(page.va + 8 * index, entry);
        }
        let readonly = page.maddr() | P;
        assert_eq!(self.update_va(page.va, readonly, mmu::UVMF_INVLPG), 0);
        page
    }

    /// `memory_op` of a reservation command over `extents` of 2^`order` frames; the result and
    /// the array afterwards.
    pub fn reservation(
        &mut self,
        command: u32,
        extents: &[u32],
        order: u32,
        domid: DomId,
    ) -> (i64, Vec<u32>) {
        let list = self.arg(extents);
        let arg = self.arg(&MemoryReservation {
            extent_start: list as u32,
            nr_extents: extents.len() as u32,
            extent_order: order,
            mem_flags: 0,
            domid,
            _pad: [0; 2],
        });
        let result = self.call(nr::MEMORY_OP, &[command.into(), arg]);
        let after = (0..extents.len() as u64).map(|i| self.read(list + 4 * i)).collect();
        (result, after)
    }
}

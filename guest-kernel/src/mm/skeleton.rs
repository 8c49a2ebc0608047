//! The upper levels of an address space: its L3 and L2s, pinned as a whole, and used again.
//!
//! To check a table the hypervisor looks at each of its 512 entries, once when it becomes one and once
//! when it stops being one. So the upper levels of a space that ended stay what they are, empty and
//! pinned, for the next one to take: a fork or an exec then makes L1s only.

use super::frames::{self, Use};
use super::space::NoMemory;
use super::table::{self, Batch, ENTRIES, KERNEL_RO, ROOT_ENTRY};
use super::{direct, p2m, space};
use crate::sync::Guarded;
use heapless::Vec;
use pv_abi::mmu::{MMUEXT_PIN_L3_TABLE, MMUEXT_UNPIN_TABLE};
use pv_abi::types::Pfn;

/// L3 slots below the kernel's.
const USER_SLOTS: usize = 2;
/// The kernel's slot, whose L2 all spaces share.
const KERNEL_SLOT: u32 = 2;
/// The slot whose L2 carries the hypervisor's entries, and belongs to one L3 alone.
const XEN_SLOT: u32 = 3;
/// As many are kept: a shell's fork, exec and exit take two at a time.
const SPARES: usize = 4;

static SPARE: Guarded<Vec<Tables, SPARES>> = Guarded::new(Vec::new());

#[derive(Clone, Copy, Debug)]
struct Tables {
    root: Pfn,
    user_l2: [Pfn; USER_SLOTS],
    xen_l2: Pfn,
}

/// A pinned L3 with its L2s. When it is dropped no L1 is linked in it, and it is not loaded.
#[derive(Debug)]
pub struct Skeleton(Tables);

impl Skeleton {
    /// One that maps nothing but the kernel.
    pub fn new() -> Result<Self, NoMemory> {
        match SPARE.with(Vec::pop) {
            Some(spare) => Ok(Self(spare)),
            None => Tables::new().map(Self),
        }
    }

    /// The frame of the L3.
    pub fn root(&self) -> Pfn {
        self.0.root
    }

    /// The L2 of a user address, and the entry there.
    pub fn slot(&self, va: u32) -> (Pfn, u32) {
        (self.0.user_l2[(va >> 30) as usize % USER_SLOTS], (va >> 21) % ENTRIES)
    }
}

impl Drop for Skeleton {
    fn drop(&mut self) {
        if frames::is_short() || SPARE.with(|spare| spare.push(self.0)).is_err() {
            self.0.release();
        }
    }
}

impl Tables {
    fn new() -> Result<Self, NoMemory> {
        let mut tables: Vec<Pfn, 4> = Vec::new();
        for used_for in [Use::Table3, Use::Table2, Use::Table2, Use::Table2] {
            match frames::allocate_zeroed(used_for) {
                Some(pfn) => {
                    let _ = tables.push(pfn);
                }
                None => {
                    tables.into_iter().for_each(frames::release);
                    return Err(NoMemory);
                }
            }
        }
        let [root, low, high, xen_l2] = [tables[0], tables[1], tables[2], tables[3]];
        let slots = [(0, low), (1, high), (KERNEL_SLOT, table::kernel_l2()), (XEN_SLOT, xen_l2)];
        for (slot, l2) in slots {
            table::write_plain(root, slot, table::entry(l2, ROOT_ENTRY));
        }
        let new = Self { root, user_l2: [low, high], xen_l2 };
        new.set_mappings(KERNEL_RO | table::no_execute());
        // No flush: the hypervisor drops writable translations of what becomes a table.
        space::mmuext(MMUEXT_PIN_L3_TABLE, p2m::mfn(root).raw() as u32);
        Ok(new)
    }

    /// Its tables' own mappings get these flags.
    fn set_mappings(&self, flags: u64) {
        let mut batch = Batch::new();
        for pfn in self.all() {
            direct::set_entry(&mut batch, pfn, flags);
        }
    }

    fn all(&self) -> [Pfn; 4] {
        [self.user_l2[0], self.user_l2[1], self.xen_l2, self.root]
    }

    /// Makes memory of them again.
    fn release(&self) {
        space::mmuext(MMUEXT_UNPIN_TABLE, p2m::mfn(self.root).raw() as u32);
        self.set_mappings(table::kernel_data());
        space::flush();
        self.all().into_iter().for_each(frames::release);
    }
}

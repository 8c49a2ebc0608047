//! Address spaces: what a process maps, below an L3 over the shared kernel L2.
//!
//! The upper levels are a [`Skeleton`], pinned from the start. An L1 is filled as plain memory, then made
//! read-only and linked, which has the hypervisor check it as a whole, once. From then on it is live and
//! changes entry by entry. A space notes its L1s and which part of each it has used, so that nobody
//! searches 512 entries for the few that are there. Dropping it unlinks the L1s, releases what they map
//! and turns them back into memory; it must not be the current one then ([`leave`]).
#![allow(unsafe_code)] // UNSAFETY: loads page-table roots and pins tables.

use super::frames::{self, Use};
use super::skeleton::Skeleton;
use super::table::{self, Batch, COPY_ON_WRITE, ENTRIES, L1_SPAN, PRESENT, USER_TABLE};
use super::table::{ACCESSED_DIRTY, KERNEL_RO, USER, WRITE};
use super::{PAGE, direct, p2m};
use crate::regions::Access;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::mmu;
use pv_abi::types::Pfn;
use ring1::abi::MmuextOp;
use ring1::calls;

/// Spaces that exist, the kernel's not included.
static SPACES: AtomicU32 = AtomicU32::new(0);
/// Frame of the L3 in use; 0: the builder's.
static CURRENT: AtomicU32 = AtomicU32::new(0);

/// Out of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoMemory;

/// An L1 of a space.
#[derive(Debug)]
struct Leaf {
    table: Pfn,
    /// First address that it maps.
    base: u32,
    /// All entries that are not zero are in here.
    used: Range<u32>,
}

/// Where an address has its entry: the L1's place in the list, or where it is to be.
type Place = Result<usize, usize>;

/// An address space.
#[derive(Debug)]
pub struct Space {
    upper: Skeleton,
    /// In order of addresses.
    leaves: Vec<Leaf>,
    /// User frames mapped.
    resident: u32,
}

/// Number of spaces, the kernel's included.
pub fn count() -> u32 {
    SPACES.load(Ordering::Relaxed) + 1
}

/// The flags of an entry for a page of these permissions. `shared`: others see the frame, too, so
/// that a write must copy it.
pub fn flags(access: Access, shared: bool) -> u64 {
    let write = match (access.write, shared) {
        (true, false) => WRITE,
        (true, true) => COPY_ON_WRITE,
        (false, _) => 0,
    };
    let execute = if access.execute { 0 } else { table::no_execute() };
    PRESENT | USER | ACCESSED_DIRTY | write | execute
}

pub(super) fn mmuext(cmd: u32, argument: u32) {
    // SAFETY: 1. Callers pin and load roots whose kernel half is the shared one: no kernel mapping
    // changes.
    if let Err(errno) = unsafe { calls::mmuext_op(&[calls::mmuext(cmd, argument, 0)]) } {
        panic!("mmuext_op {cmd} of {argument:#x}: {errno:?}");
    }
}

/// Forgets every translation that the CPU may have cached.
pub fn flush() {
    mmuext(mmu::MMUEXT_TLB_FLUSH_LOCAL, 0);
}

/// The operation that loads the space with this L3, to be made at once; none when it is loaded.
pub fn activation(root: Pfn) -> Option<MmuextOp> {
    let new = root.raw() as u32;
    (CURRENT.swap(new, Ordering::Relaxed) != new)
        .then(|| calls::mmuext(mmu::MMUEXT_NEW_BASEPTR, p2m::mfn(root).raw() as u32, 0))
}

/// Loads the space with this L3.
pub fn activate(root: Pfn) {
    if let Some(operation) = activation(root) {
        mmuext(operation.cmd, operation.arg1);
    }
}

/// Loads the kernel's own space, so that the current one may go.
pub fn leave() {
    activate(table::boot_root());
}

impl Leaf {
    /// One that maps nothing yet, for the span of addresses around `va`.
    fn new(va: u32) -> Option<Self> {
        let table = frames::allocate_zeroed(Use::Table1)?;
        Some(Self { table, base: va & !(L1_SPAN - 1), used: 0..0 })
    }

    /// Notes that the entry of `va` is used; which one it is.
    fn note(&mut self, va: u32) -> u32 {
        let index = (va >> 12) % ENTRIES;
        let used = &self.used;
        self.used = if used.is_empty() {
            index..index + 1
        } else {
            used.start.min(index)..used.end.max(index + 1)
        };
        index
    }

    /// Its present entries in `start..end`: table, address, entry.
    fn present(&self, start: u32, end: u32) -> impl Iterator<Item = (Pfn, u32, u64)> {
        let index = |va: u32| (va.clamp(self.base, self.base + L1_SPAN) - self.base) / PAGE;
        let indices = self.used.start.max(index(start))..self.used.end.min(index(end));
        indices.filter_map(|index| {
            let entry = table::read(self.table, index);
            (entry & PRESENT != 0).then_some((self.table, self.base + index * PAGE, entry))
        })
    }
}

impl Space {
    /// An empty space.
    pub fn new() -> Result<Self, NoMemory> {
        let upper = Skeleton::new()?;
        SPACES.fetch_add(1, Ordering::Relaxed);
        Ok(Self { upper, leaves: Vec::new(), resident: 0 })
    }

    /// The frame of its L3.
    pub fn root(&self) -> Pfn {
        self.upper.root()
    }

    /// User frames that it maps.
    pub fn resident(&self) -> u32 {
        self.resident
    }

    fn is_current(&self) -> bool {
        CURRENT.load(Ordering::Relaxed) == self.root().raw() as u32
    }

    fn place(&self, va: u32) -> Place {
        self.leaves.binary_search_by_key(&(va & !(L1_SPAN - 1)), |leaf| leaf.base)
    }

    /// The entry that maps `va`, 0 where there is none; and where it is, for [`Self::map_at`].
    pub fn entry(&self, va: u32) -> (u64, Place) {
        let place = self.place(va);
        let leaf = place.ok().and_then(|at| self.leaves.get(at));
        (leaf.map_or(0, |leaf| table::read(leaf.table, va >> 12)), place)
    }

    /// Adds to a batch: an L1 that is complete becomes part of the tree, at this place of the list,
    /// where there is room.
    fn link(&mut self, batch: &mut Batch, at: usize, leaf: Leaf) {
        direct::set_entry(batch, leaf.table, KERNEL_RO | table::no_execute());
        let (l2, index) = self.upper.slot(leaf.base);
        batch.set(l2, index, table::entry(leaf.table, USER_TABLE));
        self.leaves.insert(at, leaf);
    }

    /// Maps a user frame, whose reference it takes over, where nothing is mapped.
    pub fn map(&mut self, va: u32, pfn: Pfn, flags: u64) -> Result<(), NoMemory> {
        self.map_at(self.place(va), va, pfn, flags)
    }

    /// As [`Self::map`], where [`Self::entry`] has just found no entry.
    pub fn map_at(&mut self, place: Place, va: u32, pfn: Pfn, flags: u64) -> Result<(), NoMemory> {
        let entry = table::entry(pfn, flags);
        match place {
            Ok(at) => {
                let is_current = self.is_current();
                let leaf = &mut self.leaves[at];
                let index = leaf.note(va);
                if is_current {
                    table::fill_va(va, entry);
                } else {
                    table::set(leaf.table, index, entry);
                }
            }
            Err(at) => {
                self.leaves.try_reserve(1).map_err(|_| NoMemory)?;
                let mut leaf = Leaf::new(va).ok_or(NoMemory)?;
                table::write_plain(leaf.table, leaf.note(va), entry);
                self.link(&mut Batch::new(), at, leaf);
            }
        }
        self.resident += 1;
        Ok(())
    }

    /// Replaces the entry of a page that is mapped. Only the current space.
    pub fn replace(&mut self, va: u32, pfn: Pfn, flags: u64) {
        table::set_va(va, table::entry(pfn, flags));
    }

    /// The present entries of `start..end`: table, address, entry.
    fn present(&self, start: u32, end: u32) -> impl Iterator<Item = (Pfn, u32, u64)> {
        self.leaves.iter().flat_map(move |leaf| leaf.present(start, end))
    }

    /// Unmaps what is mapped in `start..end` and releases the frames. Only the current space.
    pub fn unmap(&mut self, start: u32, end: u32) {
        // Frames must not be used again while the CPU may know the old translation: gather some,
        // flush, release.
        let mut at = start;
        while at < end {
            let mut gone: heapless::Vec<Pfn, 128> = heapless::Vec::new();
            let mut stop = end;
            let mut batch = Batch::new();
            for (table, va, entry) in self.present(at, end) {
                if gone.is_full() {
                    stop = va;
                    break;
                }
                if let Some(pfn) = table::target(entry) {
                    batch.set(table, va >> 12, 0);
                    let _ = gone.push(pfn);
                }
            }
            batch.send();
            if !gone.is_empty() {
                flush();
            }
            self.resident -= gone.len() as u32;
            frames::release_all(gone);
            at = stop;
        }
    }

    /// Gives the pages mapped in `start..end` new permissions. Writing to one that was not writable
    /// goes through the fault handler, which knows whether to copy. Only the current space.
    pub fn protect(&mut self, start: u32, end: u32, access: Access) {
        let new = flags(access, true);
        let kept = !(PRESENT | WRITE | COPY_ON_WRITE | USER | table::no_execute());
        // A page without rights stays mapped for the kernel's bookkeeping, but not for Ring 3.
        let user = if access.is_none() { !USER } else { u64::MAX };
        let mut batch = Batch::new();
        for (table, va, old) in self.present(start, end) {
            let entry = (old & kept | new) & user;
            if entry != old {
                batch.set(table, va >> 12, entry);
            }
        }
        batch.send();
        flush();
    }

    /// A copy that shares every frame; both copy what they write from now on. Only the current space.
    pub fn fork(&mut self) -> Result<Self, NoMemory> {
        let mut child = Self::new()?;
        child.leaves.try_reserve_exact(self.leaves.len()).map_err(|_| NoMemory)?;
        let mut batch = Batch::new();
        let outcome = self.leaves.iter().try_for_each(|leaf| child.share(leaf, &mut batch));
        batch.send();
        flush();
        outcome.map(|()| child)
    }

    /// Links a copy of an L1 of the parent's, or on an error of its first part. Writable pages become
    /// copied on write in both.
    fn share(&mut self, parents: &Leaf, batch: &mut Batch) -> Result<(), NoMemory> {
        let mut copy = Leaf::new(parents.base).ok_or(NoMemory)?;
        copy.used = parents.used.clone();
        let mut outcome = Ok(());
        for (table, va, entry) in parents.present(0, u32::MAX) {
            let Some(pfn) = table::target(entry) else { continue };
            if !frames::share(pfn) {
                outcome = Err(NoMemory);
                break;
            }
            let mut shared = entry;
            if entry & WRITE != 0 {
                shared = entry & !WRITE | COPY_ON_WRITE;
                batch.set(table, va >> 12, shared);
            }
            table::write_plain(copy.table, va >> 12, shared);
            self.resident += 1;
        }
        self.link(batch, self.leaves.len(), copy);
        outcome
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        assert!(!self.is_current(), "the current address space is dropped");
        let mut batch = Batch::new();
        for leaf in &self.leaves {
            let (l2, index) = self.upper.slot(leaf.base);
            batch.set(l2, index, 0);
            direct::set_entry(&mut batch, leaf.table, table::kernel_data());
        }
        batch.send();
        flush();
        for leaf in self.leaves.drain(..) {
            let mapped = leaf.present(0, u32::MAX);
            frames::release_all(mapped.filter_map(|(_, _, entry)| table::target(entry)));
            frames::release(leaf.table);
        }
        SPACES.fetch_sub(1, Ordering::Relaxed);
    }
}

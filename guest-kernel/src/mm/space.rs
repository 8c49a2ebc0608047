//! Address spaces: an L3 of a process's own over the shared kernel L2.
//!
//! A space is *built* as plain memory, then [pinned](Space::pin): all its tables become read-only
//! and the hypervisor validates the tree at once. From then on it is live and changes entry by
//! entry. Dropping it unpins it, releases what it maps and turns the tables back into memory; it must
//! not be the current one then ([`leave`]).
#![allow(unsafe_code)] // UNSAFETY: loads page-table roots and pins tables.

use super::frames::{self, Use};
use super::table::{self, Batch, COPY_ON_WRITE, ENTRIES, L1_SPAN, PRESENT, ROOT_ENTRY, USER_TABLE};
use super::table::{ACCESSED_DIRTY, KERNEL_RO, USER, WRITE};
use super::{PAGE, direct, p2m};
use crate::arch::abi::MmuextOp;
use crate::arch::calls;
use crate::regions::Access;
use core::sync::atomic::{AtomicU32, Ordering};
use heapless::Vec;
use pv_abi::mmu;
use pv_abi::types::Pfn;

/// L3 slots below the kernel's.
const USER_SLOTS: u32 = 2;
/// The slot whose L2 carries the hypervisor's entries.
const XEN_SLOT: u32 = 3;
const KERNEL_SLOT: u32 = 2;

/// Spaces that exist, the kernel's not included.
static SPACES: AtomicU32 = AtomicU32::new(0);
/// Frame of the L3 in use; 0: the builder's.
static CURRENT: AtomicU32 = AtomicU32::new(0);

/// Out of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoMemory;

/// An address space.
#[derive(Debug)]
pub struct Space {
    root: Pfn,
    user_l2: [Pfn; USER_SLOTS as usize],
    xen_l2: Pfn,
    pinned: bool,
    /// User frames mapped.
    resident: u32,
}

/// Number of pinned spaces, the kernel's included.
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

fn mmuext(cmd: u32, argument: u32) {
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

impl Space {
    /// An empty space, not yet pinned.
    pub fn new() -> Result<Self, NoMemory> {
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
        let [root, low, high, xen] = [tables[0], tables[1], tables[2], tables[3]];
        let slots = [(0, low), (1, high), (KERNEL_SLOT, table::kernel_l2()), (XEN_SLOT, xen)];
        for (slot, l2) in slots {
            table::write_plain(root, slot, table::entry(l2, ROOT_ENTRY));
        }
        SPACES.fetch_add(1, Ordering::Relaxed);
        Ok(Self { root, user_l2: [low, high], xen_l2: xen, pinned: false, resident: 0 })
    }

    /// The frame of its L3.
    pub fn root(&self) -> Pfn {
        self.root
    }

    /// User frames that it maps.
    pub fn resident(&self) -> u32 {
        self.resident
    }

    fn l2_slot(&self, va: u32) -> (Pfn, u32) {
        (self.user_l2[(va >> 30) as usize % USER_SLOTS as usize], (va >> 21) % ENTRIES)
    }

    fn l1(&self, va: u32) -> Option<Pfn> {
        let (l2, index) = self.l2_slot(va);
        table::target(table::read(l2, index))
    }

    /// The entry that maps `va`; 0 where there is none.
    pub fn entry(&self, va: u32) -> u64 {
        self.l1(va).map_or(0, |l1| table::read(l1, va >> 12))
    }

    /// Maps a user frame, whose reference it takes over, where nothing is mapped. When pinned: only
    /// the current space.
    pub fn map(&mut self, va: u32, pfn: Pfn, flags: u64) -> Result<(), NoMemory> {
        let entry = table::entry(pfn, flags);
        match (self.l1(va), self.pinned) {
            (Some(_), true) => table::set_va(va, entry),
            (Some(l1), false) => table::write_plain(l1, va >> 12, entry),
            (None, pinned) => {
                let l1 = frames::allocate_zeroed(Use::Table1).ok_or(NoMemory)?;
                table::write_plain(l1, va >> 12, entry);
                let (l2, index) = self.l2_slot(va);
                if pinned {
                    table::protect(l1);
                    table::set(l2, index, table::entry(l1, USER_TABLE));
                } else {
                    table::write_plain(l2, index, table::entry(l1, USER_TABLE));
                }
            }
        }
        self.resident += 1;
        Ok(())
    }

    /// Replaces the entry of a page that is mapped. Only the current space.
    pub fn replace(&mut self, va: u32, pfn: Pfn, flags: u64) {
        table::set_va(va, table::entry(pfn, flags));
    }

    /// Calls `f` with each L1 in `start..end` and the address it maps from.
    fn for_each_l1(&self, start: u32, end: u32, mut f: impl FnMut(Pfn, u32)) {
        let mut va = start & !(L1_SPAN - 1);
        while va < end {
            if let Some(l1) = self.l1(va) {
                f(l1, va);
            }
            va += L1_SPAN;
        }
    }

    /// Calls `change` with each present entry of `start..end` and puts in what it returns. Only the
    /// current space. The caller flushes.
    fn change(&self, start: u32, end: u32, mut change: impl FnMut(u64) -> u64) {
        let mut batch = Batch::new();
        self.for_each_l1(start, end, |l1, base| {
            let first = start.max(base);
            let last = end.min(base + L1_SPAN);
            for va in (first..last).step_by(PAGE as usize) {
                let old = table::read(l1, va >> 12);
                if old & PRESENT != 0 {
                    let new = change(old);
                    if new != old {
                        batch.set(l1, va >> 12, new);
                    }
                }
            }
        });
    }

    /// Unmaps what is mapped in `start..end` and releases the frames. Only the current space.
    pub fn unmap(&mut self, start: u32, end: u32) {
        // Frames must not be used again while the CPU may know the old translation: gather some,
        // flush, release.
        let mut at = start;
        while at < end {
            let mut gone: Vec<Pfn, 128> = Vec::new();
            let mut stop = end;
            let mut batch = Batch::new();
            self.for_each_l1(at, end, |l1, base| {
                for va in (at.max(base)..end.min(base + L1_SPAN)).step_by(PAGE as usize) {
                    if gone.is_full() {
                        stop = stop.min(va);
                        return;
                    }
                    if let Some(pfn) = table::target(table::read(l1, va >> 12)) {
                        batch.set(l1, va >> 12, 0);
                        let _ = gone.push(pfn);
                    }
                }
            });
            batch.send();
            if !gone.is_empty() {
                flush();
            }
            self.resident -= gone.len() as u32;
            gone.into_iter().for_each(frames::release);
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
        self.change(start, end, |old| (old & kept | new) & user);
        flush();
    }

    /// A copy that shares every frame; both copy what they write from now on. Only the current space.
    pub fn fork(&mut self) -> Result<Self, NoMemory> {
        let mut child = Self::new()?;
        let mut outcome = Ok(());
        let mut batch = Batch::new();
        self.for_each_l1(0, USER_SLOTS << 30, |l1, base| {
            if outcome.is_err() {
                return;
            }
            let Some(copy) = frames::allocate_zeroed(Use::Table1) else {
                outcome = Err(NoMemory);
                return;
            };
            let (l2, index) = child.l2_slot(base);
            table::write_plain(l2, index, table::entry(copy, USER_TABLE));
            for index in 0..ENTRIES {
                let mut entry = table::read(l1, index);
                let Some(pfn) = table::target(entry) else { continue };
                if !frames::share(pfn) {
                    outcome = Err(NoMemory);
                    return;
                }
                if entry & WRITE != 0 {
                    entry = entry & !WRITE | COPY_ON_WRITE;
                    batch.set(l1, index, entry);
                }
                table::write_plain(copy, index, entry);
                child.resident += 1;
            }
        });
        batch.send();
        flush();
        outcome?;
        child.pin();
        Ok(child)
    }

    /// Calls `f` with every table of the space, lower levels first.
    fn for_each_table(&self, mut f: impl FnMut(Pfn)) {
        self.for_each_l1(0, USER_SLOTS << 30, |l1, _| f(l1));
        self.user_l2.into_iter().for_each(&mut f);
        f(self.xen_l2);
        f(self.root);
    }

    /// Makes the tables the hypervisor's to check, and live.
    pub fn pin(&mut self) {
        let mut batch = Batch::new();
        let flags = KERNEL_RO | table::no_execute();
        self.for_each_table(|pfn| direct::set_entry(&mut batch, pfn, flags));
        batch.send();
        // No flush: the hypervisor drops writable translations of what becomes a table.
        mmuext(mmu::MMUEXT_PIN_L3_TABLE, p2m::mfn(self.root).raw() as u32);
        self.pinned = true;
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        assert!(
            CURRENT.load(Ordering::Relaxed) != self.root.raw() as u32,
            "the current address space is dropped"
        );
        if self.pinned {
            mmuext(mmu::MMUEXT_UNPIN_TABLE, p2m::mfn(self.root).raw() as u32);
        }
        self.for_each_l1(0, USER_SLOTS << 30, |l1, _| {
            for index in 0..ENTRIES {
                if let Some(pfn) = table::target(table::read(l1, index)) {
                    frames::release(pfn);
                }
            }
        });
        // The tables: a few at a time become writable memory again.
        let mut some: Vec<Pfn, 64> = Vec::new();
        let pinned = self.pinned;
        let free = |some: &mut Vec<Pfn, 64>| {
            if pinned {
                let mut batch = Batch::new();
                let flags = table::kernel_data();
                some.iter().for_each(|pfn| direct::set_entry(&mut batch, *pfn, flags));
                batch.send();
                flush();
            }
            some.iter().copied().for_each(frames::release);
            some.clear();
        };
        // An L2 is read for its L1s, so it must not be freed while they are walked: L1s first, as
        // `for_each_table` has it, and a freed L1's entry is not followed again.
        self.for_each_table(|pfn| {
            if some.is_full() {
                free(&mut some);
            }
            let _ = some.push(pfn);
        });
        free(&mut some);
        SPACES.fetch_sub(1, Ordering::Relaxed);
    }
}

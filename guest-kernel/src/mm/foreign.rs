//! Frames of other domains, mapped into a window of kernel addresses.
//!
//! A privileged domain names the frame's owner with `mmu_update` and may map what is the owner's,
//! by the owner's rules: page tables not writable, nothing at all once the owner is gone. Whoever
//! has a [`Foreign`] keeps the frames from being freed, so what is built up and looked at is
//! unmapped soon. (Rings are mapped by grants: [`crate::grant`].)
//!
//! The bytes are reached by pointer alone: the owner may change them at any time.
#![allow(unsafe_code)] // UNSAFETY: maps and reaches memory of other domains.

use super::range::Range;
use super::{PAGE, space, table};
use core::ptr::NonNull;
use heapless::Vec;
use pv_abi::errno::Errno;
use pv_abi::mmu::{MMU_NORMAL_PT_UPDATE, MmuUpdate};
use pv_abi::types::{DOMID_SELF, DomId, Mfn};
use ring1::calls;

/// First address of the window.
pub const FOREIGN: u32 = 0xb740_0000;
/// Address after it.
pub const END: u32 = 0xb7c0_0000;
/// Pages that can be mapped at a time, by all users.
const PAGES: usize = ((END - FOREIGN) / PAGE) as usize;

static WINDOW: Range<{ PAGES / 32 }> = Range::new(FOREIGN);

/// What may be done to mapped frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

/// Frames of another domain, mapped side by side; unmapped when dropped.
#[derive(Debug)]
pub struct Foreign {
    at: u32,
    pages: u32,
}

impl Foreign {
    /// Maps `frames` of `owner`.
    ///
    /// `ENOSPC`: no addresses are left; `ENOMEM`: no memory for a page table; else why the
    /// hypervisor refuses a frame.
    pub fn map(owner: DomId, frames: &[Mfn], access: Access) -> Result<Foreign, Errno> {
        let pages = u32::try_from(frames.len()).map_err(|_| Errno::ENOSPC)?;
        let at = WINDOW.take(frames.len()).ok_or(Errno::ENOSPC)?;
        // From here on dropping it unmaps what is mapped.
        let foreign = Foreign { at, pages };
        let flags = match access {
            Access::Read => table::KERNEL_RO,
            Access::Write => table::KERNEL_RW,
        } | table::no_execute();
        let entries =
            foreign.addresses().zip(frames).map(|(at, mfn)| (at, mfn.raw() << 12 | flags));
        change(owner, entries)?;
        Ok(foreign)
    }

    /// Where they are mapped.
    pub fn base(&self) -> NonNull<u8> {
        let address = core::ptr::with_exposed_provenance_mut(self.at as usize);
        NonNull::new(address).unwrap_or(NonNull::dangling())
    }

    /// Bytes that are mapped.
    pub fn len(&self) -> usize {
        (self.pages * PAGE) as usize
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.pages == 0
    }

    /// Writes bytes at `offset`. Panics where they do not fit.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset.checked_add(bytes.len()).is_some_and(|end| end <= self.len()));
        // SAFETY: 1. The range is mapped. 2. No reference to it exists in this program: it is
        // reached by pointers alone. 3. `bytes` lies elsewhere, being a reference.
        unsafe {
            let to = self.base().as_ptr().add(offset);
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }

    /// The address of each page.
    fn addresses(&self) -> impl Iterator<Item = u32> + use<> {
        (self.at..self.at + self.pages * PAGE).step_by(PAGE as usize)
    }

    /// Writes a 64-bit word at `offset`, a multiple of 4. Panics where it does not fit.
    pub fn write_u64(&self, offset: usize, value: u64) {
        assert!(
            offset.is_multiple_of(4) && offset.checked_add(8).is_some_and(|end| end <= self.len())
        );
        // SAFETY: 1. to 2. as in `write`. 3. Words are at multiples of 4 on this width.
        unsafe { self.base().as_ptr().add(offset).cast::<u64>().write_volatile(value) }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // Taking mappings out of one's own tables is refused to nobody.
        if change(DomId::new(DOMID_SELF), self.addresses().map(|at| (at, 0))).is_ok() {
            space::flush();
            WINDOW.give_back(self.at, self.pages as usize);
        }
    }
}

/// Pages that are mapped now.
pub fn mapped() -> u32 {
    WINDOW.taken()
}

/// Makes page-table entries of the window; frames in them are `owner`'s.
fn change(owner: DomId, entries: impl Iterator<Item = (u32, u64)>) -> Result<(), Errno> {
    let mut updates: Vec<MmuUpdate, { table::BATCH }> = Vec::new();
    for (at, val) in entries {
        let l1 = table::kernel_l1(at).ok_or(Errno::ENOMEM)?;
        let slot = super::p2m::mfn(l1).raw() << 12 | u64::from((at >> 12) % table::ENTRIES * 8);
        if updates.is_full() {
            send(owner, &mut updates)?;
        }
        let ptr = slot | u64::from(MMU_NORMAL_PT_UPDATE);
        let _ = updates.push(MmuUpdate { ptr, val });
    }
    send(owner, &mut updates)
}

fn send(owner: DomId, updates: &mut Vec<MmuUpdate, { table::BATCH }>) -> Result<(), Errno> {
    if updates.is_empty() {
        return Ok(());
    }
    // SAFETY: 1. The slots are the window's, and these pages of it the caller's.
    unsafe { calls::mmu_update_of(owner, updates) }?;
    updates.clear();
    Ok(())
}

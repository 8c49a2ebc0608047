//! Pages of ours that another domain may reach.
//!
//! **Freed last.** A page goes back to the allocator only after its grant has ended, and that is
//! refused while the other domain has it mapped. [`Own`] has no destructor for that reason: who
//! drops one keeps its pages from ever being used again, which is safe.
#![allow(unsafe_code)] // UNSAFETY: frames of the grant table and shared pages are reached by pointer.

use super::WINDOW;
use super::table::{Access, Frame, Full, InUse, Table};
use crate::mm::frames::Use;
use crate::mm::table::kernel_frame;
use crate::mm::{PAGE, p2m, window};
use crate::sync::Guarded;
use alloc::vec::Vec;
use core::ops::Deref;
use core::ptr::NonNull;
use pv_abi::errno::Errno;
use pv_abi::types::{DOMID_SELF, DomId, GrantRef, Mfn};
use ring1::grants;
use xenbus::access::Shared;
use xenbus::memory::Mapped;

static TABLE: Guarded<Table> = Guarded::new(Table::new());

/// Grants that this domain has given.
pub fn entries_in_use() -> usize {
    TABLE.with(|table| table.in_use())
}

/// Zeroed pages of ours, side by side, of which others may know.
#[derive(Debug)]
pub struct Own {
    memory: Mapped,
    at: u32,
}

impl Deref for Own {
    type Target = Mapped;

    fn deref(&self) -> &Mapped {
        &self.memory
    }
}

impl Own {
    /// So many pages, each granted to `with`, to read and write.
    ///
    /// EINVAL: none; ENOMEM: no memory; ENOSPC: no addresses, or no more grants.
    pub fn share(with: DomId, pages: usize) -> Result<Shared<Own>, Errno> {
        if pages == 0 {
            return Err(Errno::EINVAL);
        }
        let own = Self::allocate(pages)?;
        let mut grants = Vec::with_capacity(pages);
        for page in own.addresses() {
            match kernel_frame(page).ok_or(Errno::ENOMEM).and_then(|pfn| grant(with, p2m::mfn(pfn)))
            {
                Ok(granted) => grants.push(granted),
                Err(errno) => {
                    // Nobody has heard of them, so nobody has them mapped.
                    let _ = Self::end(Shared { memory: own, grants });
                    return Err(errno);
                }
            }
        }
        Ok(Shared { memory: own, grants })
    }

    /// Takes the grants back and frees the pages. Where one is in use all stay as they were.
    pub fn end(shared: Shared<Own>) -> Result<(), Shared<Own>> {
        let ended = TABLE.with(|table| withdraw_all(table, &shared));
        match ended {
            Ok(()) => {
                shared.memory.free();
                Ok(())
            }
            Err(InUse) => Err(shared),
        }
    }

    fn allocate(pages: usize) -> Result<Own, Errno> {
        let at = WINDOW.take(pages).ok_or(Errno::ENOSPC)?;
        if !window::map(at, pages as u32, Use::Kernel) {
            WINDOW.give_back(at, pages);
            return Err(Errno::ENOMEM);
        }
        let bytes = pages * PAGE as usize;
        let base: *mut u8 = core::ptr::with_exposed_provenance_mut(at as usize);
        // SAFETY: 1. The pages were just mapped there, for this alone.
        unsafe { base.write_bytes(0, bytes) };
        let base = NonNull::new(base).ok_or(Errno::ENOMEM)?;
        // SAFETY: 1. They stay mapped until `free` takes the value. 2. Nothing else in this program
        // reaches the frames: they are the allocator's to give. 3. They are whole pages.
        Ok(Own { memory: unsafe { Mapped::new(base, bytes) }, at })
    }

    fn pages(&self) -> usize {
        use xenbus::memory::SharedMemory;
        self.memory.size() / PAGE as usize
    }

    fn addresses(&self) -> impl Iterator<Item = u32> + use<> {
        (self.at..self.at + self.pages() as u32 * PAGE).step_by(PAGE as usize)
    }

    fn free(self) {
        window::unmap(self.at, self.pages() as u32);
        WINDOW.give_back(self.at, self.pages());
    }
}

/// Withdraws the grants of all pages and then frees their entries, or none.
fn withdraw_all(table: &mut Table, shared: &Shared<Own>) -> Result<(), InUse> {
    if shared.grants.iter().any(|grant| table.is_in_use(*grant)) {
        return Err(InUse);
    }
    let pages = || shared.memory.addresses().zip(&shared.grants);
    for (index, (_, grant)) in pages().enumerate() {
        if let Err(in_use) = table.withdraw(*grant) {
            // The peer has just mapped this one: those before are granted again.
            let peer = table.peer(*grant);
            for (page, grant) in pages().take(index) {
                if let Some((peer, pfn)) = peer.zip(kernel_frame(page)) {
                    table.activate(*grant, peer, p2m::mfn(pfn).raw() as u32, Access::Write);
                }
            }
            return Err(in_use);
        }
    }
    shared.grants.iter().for_each(|grant| table.free(*grant));
    Ok(())
}

/// Grants a machine frame of ours, to read and write.
fn grant(to: DomId, frame: Mfn) -> Result<GrantRef, Errno> {
    // Frames of 32-bit guests are below 16 TiB.
    let frame = frame.raw() as u32;
    TABLE.with(|table| {
        loop {
            match table.grant(to, frame, Access::Write) {
                Ok(grant) => return Ok(grant),
                Err(Full) => grow(table)?,
            }
        }
    })
}

/// Adds a frame to the table.
fn grow(table: &mut Table) -> Result<(), Errno> {
    let mut frames = heapless::Vec::<u32, { super::table::FRAMES }>::new();
    frames.resize(table.frames() + 1, 0).map_err(|_| Errno::ENOSPC)?;
    grants::setup_table(DomId::new(DOMID_SELF), &mut frames)?;
    let last = frames.last().copied().ok_or(Errno::ENOSPC)?;
    let at = window::map_frame(Mfn::new(u64::from(last))).ok_or(Errno::ENOMEM)?;
    // SAFETY: 1. The frame is mapped for good. 2. Its entries are atomics: the hypervisor writes
    // them at any time. 3. It is a page's address.
    let frame: &'static Frame = unsafe { at.cast().as_ref() };
    table.grow(frame).map_err(|Full| Errno::ENOSPC)
}

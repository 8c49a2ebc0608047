//! Pages that another domain granted us, mapped.
//!
//! A page stays mapped, whatever its domain does, until we unmap it: a domain that is gone leaves its
//! mapped pages behind. So whoever has a [`Granted`] lets go of it when its peer goes.
#![allow(unsafe_code)] // UNSAFETY: maps and reaches memory of other domains.

use super::WINDOW;
use crate::mm::{PAGE, table};
use alloc::vec::Vec;
use core::ops::Deref;
use core::ptr::NonNull;
use pv_abi::errno::Errno;
use pv_abi::grant_table::{GNTMAP_HOST_MAP, GNTST_OKAY, GnttabMapGrantRef, GnttabUnmapGrantRef};
use pv_abi::types::{DomId, GrantHandle, GrantRef};
use ring1::grants;
use ring1::println;
use xenbus::memory::Mapped;

/// Pages in one crossing.
const BATCH: usize = 32;

/// Pages of another domain, mapped side by side to read and write; unmapped when dropped.
#[derive(Debug)]
pub struct Granted {
    memory: Mapped,
    at: u32,
    handles: Vec<GrantHandle>,
}

impl Deref for Granted {
    type Target = Mapped;

    fn deref(&self) -> &Mapped {
        &self.memory
    }
}

impl Granted {
    /// Maps pages that `of` granted.
    ///
    /// EINVAL: none, or a grant that is none; EPERM: not to us, or not to write; ENOSPC: no addresses,
    /// or no more mappings; ENOMEM: no memory for a page table. If one fails none is mapped.
    pub fn map(of: DomId, grants: &[GrantRef]) -> Result<Granted, Errno> {
        if grants.is_empty() {
            return Err(Errno::EINVAL);
        }
        let at = WINDOW.take(grants.len()).ok_or(Errno::ENOSPC)?;
        let bytes = grants.len() * PAGE as usize;
        let base = NonNull::new(core::ptr::with_exposed_provenance_mut(at as usize));
        // SAFETY: 1. Nothing reaches the memory until all of it is mapped: on failure the value is
        // dropped, which touches none. 2. It then stays so until it is dropped, and the addresses are
        // this value's. 3. They are whole pages.
        let memory = unsafe { Mapped::new(base.unwrap_or(NonNull::dangling()), bytes) };
        // From here on dropping it unmaps what is mapped.
        let mut granted = Granted { memory, at, handles: Vec::with_capacity(grants.len()) };
        for part in grants.chunks(BATCH) {
            granted.map_more(of, part, grants.len())?;
        }
        Ok(granted)
    }

    /// Maps the next pages behind those that are.
    fn map_more(&mut self, of: DomId, grants: &[GrantRef], all: usize) -> Result<(), Errno> {
        let mut elements: heapless::Vec<GnttabMapGrantRef, BATCH> = heapless::Vec::new();
        for (number, grant) in (self.handles.len()..).zip(grants) {
            let at = address(self.at, number);
            table::kernel_l1(at).ok_or_else(|| self.give_up(all, Errno::ENOMEM))?;
            let _ = elements.push(element(of, *grant, at));
        }
        // SAFETY: 1. The addresses are this value's, and nothing is mapped there.
        let made = unsafe { grants::map(&mut elements) };
        made.map_err(|errno| self.give_up(all, errno))?;
        let failed = elements.iter().find(|element| element.status != GNTST_OKAY);
        let Some(failed) = failed else {
            self.handles.extend(elements.iter().map(|element| element.handle));
            return Ok(());
        };
        let errno = grants::status(failed.status).err().unwrap_or(Errno::EINVAL);
        unmap(
            elements
                .iter()
                .filter(|element| element.status == GNTST_OKAY)
                .map(|element| (element.host_addr as u32, element.handle)),
        );
        Err(self.give_up(all, errno))
    }

    /// Gives back the addresses behind those that are mapped; the rest goes with the value.
    fn give_up(&self, all: usize, errno: Errno) -> Errno {
        let mapped = self.handles.len();
        WINDOW.give_back(address(self.at, mapped), all - mapped);
        errno
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        let pages = self.handles.iter().enumerate();
        let done = unmap(pages.map(|(number, handle)| (address(self.at, number), *handle)));
        if done {
            WINDOW.give_back(self.at, self.handles.len());
        } else {
            // Never seen: the handles are ours. What is mapped there must not be reached by others.
            println!("{} granted pages cannot be unmapped", self.handles.len());
        }
    }
}

fn address(first: u32, number: usize) -> u32 {
    first + number as u32 * PAGE
}

fn element(dom: DomId, r#ref: GrantRef, at: u32) -> GnttabMapGrantRef {
    GnttabMapGrantRef {
        host_addr: u64::from(at),
        flags: GNTMAP_HOST_MAP,
        r#ref,
        dom,
        status: 0,
        handle: GrantHandle::new(0),
        dev_bus_addr: 0,
    }
}

/// Unmaps pages; whether all were. The hypervisor takes them out of the page table and the TLB.
fn unmap(mut pages: impl Iterator<Item = (u32, GrantHandle)>) -> bool {
    let mut all = true;
    loop {
        let part = pages.by_ref().take(BATCH);
        let mut elements: heapless::Vec<GnttabUnmapGrantRef, BATCH> = part
            .map(|(at, handle)| GnttabUnmapGrantRef {
                host_addr: u64::from(at),
                dev_bus_addr: 0,
                handle,
                status: 0,
                _pad: [0; 2],
            })
            .collect();
        if elements.is_empty() {
            return all;
        }
        // SAFETY: 1. Nothing in this program reaches the pages any more: they are unmapped by who
        // had them.
        all &= unsafe { grants::unmap(&mut elements) }.is_ok()
            && elements.iter().all(|element| element.status == GNTST_OKAY);
    }
}

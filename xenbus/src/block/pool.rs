//! Pages of a front end's through which all data goes: granted once, used in turn.
//!
//! The page that was used last is used next, so that a back end that keeps pages mapped needs few.

use alloc::vec::Vec;

use pv_abi::types::GrantRef;

use crate::access::Shared;
use crate::memory::{PAGE_SIZE, SharedMemory};

/// A page of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page(u32);

/// The pages.
#[derive(Debug)]
pub struct Pool<M> {
    shared: Shared<M>,
    /// Those that nobody uses.
    free: Vec<Page>,
}

impl<M: SharedMemory> Pool<M> {
    /// A pool of pages that were granted.
    pub fn new(shared: Shared<M>) -> Pool<M> {
        // The first one is taken first.
        let free = (0..shared.grants.len() as u32).rev().map(Page).collect();
        Pool { shared, free }
    }

    /// How many pages nobody uses.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Takes so many pages, all or none.
    pub fn take(&mut self, count: usize) -> Option<Vec<Page>> {
        let rest = self.free.len().checked_sub(count)?;
        Some(self.free.drain(rest..).rev().collect())
    }

    /// Gives pages back.
    pub fn give_back(&mut self, pages: impl IntoIterator<Item = Page>) {
        self.free.extend(pages);
    }

    /// The page's grant.
    pub fn grant(&self, page: Page) -> GrantRef {
        // Pages are of this pool.
        self.shared.grants.get(page.0 as usize).copied().unwrap_or(GrantRef::new(0))
    }

    /// Writes to the start of a page as much as fits.
    pub fn write(&self, page: Page, bytes: &[u8]) {
        let bytes = bytes.get(..PAGE_SIZE).unwrap_or(bytes);
        self.shared.memory.copy_in(page.0 as usize * PAGE_SIZE, bytes);
    }

    /// Reads from the start of a page as much as it has.
    pub fn read(&self, page: Page, into: &mut [u8]) {
        let bytes = into.len().min(PAGE_SIZE);
        let into = into.get_mut(..bytes).unwrap_or_default();
        self.shared.memory.copy_out(page.0 as usize * PAGE_SIZE, into);
    }

    /// Gives the memory back, for the grants on it to be ended.
    pub fn into_shared(self) -> Shared<M> {
        self.shared
    }
}

//! A model of a disk with a cache: operations are done in any order, what is not flushed may be lost.

use std::sync::{Arc, Mutex, MutexGuard};

use pv_abi::errno::Errno;
use xenbus::block::back::Opener;
use xenbus::block::{Chunk, Done, Properties, Storage, Work};
use xenbus::device::{Fault, Node};

/// Something that the disk did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// It wrote, from this sector on.
    Wrote(u64),
    /// It flushed.
    Flushed,
}

pub struct State {
    pub properties: Properties,
    /// What is read.
    pub cache: Vec<u8>,
    /// What outlives a power cut.
    pub durable: Vec<u8>,
    /// What was done, in order.
    pub log: Vec<Did>,
    /// Fails everything.
    pub broken: bool,
    /// Pages that may be in use at a time.
    pub memory: usize,
    pages: usize,
    waiting: Vec<(u32, Work<Page>)>,
    /// Decides what is done next.
    pub seed: u64,
}

/// A page of the disk's.
pub struct Page(Vec<u8>, Drive);

impl Drop for Page {
    fn drop(&mut self) {
        self.1.state().pages -= 1;
    }
}

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsMut<[u8]> for Page {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// The disk; a clone is the same one.
#[derive(Clone)]
pub struct Drive(Arc<Mutex<State>>);

impl Drive {
    pub fn new(sectors: u64, sector_size: u32) -> Drive {
        let bytes = sectors as usize * 512;
        Drive(Arc::new(Mutex::new(State {
            properties: Properties { sectors, sector_size, read_only: false, discard: true },
            cache: vec![0; bytes],
            durable: vec![0; bytes],
            log: Vec::new(),
            broken: false,
            memory: usize::MAX,
            pages: 0,
            waiting: Vec::new(),
            seed: 1,
        })))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no thread panics")
    }

    /// What waits is never done.
    pub fn forget(&self) {
        let waiting = std::mem::take(&mut self.state().waiting);
        drop(waiting);
    }

    pub fn is_flushed(&self) -> bool {
        let state = self.state();
        state.durable == state.cache
    }

    pub fn pages_in_use(&self) -> usize {
        self.state().pages
    }
}

impl State {
    fn act(&mut self, work: &mut Work<Page>) -> Result<(), Errno> {
        if self.broken {
            return Err(Errno::EIO);
        }
        match work {
            Work::Read { sector, chunks } => {
                let mut at = *sector as usize * 512;
                for Chunk { page, range } in chunks {
                    let bytes = range.len();
                    page.0[range.clone()].copy_from_slice(&self.cache[at..at + bytes]);
                    at += bytes;
                }
            }
            Work::Write { sector, chunks } => {
                let mut at = *sector as usize * 512;
                for Chunk { page, range } in chunks {
                    self.cache[at..at + range.len()].copy_from_slice(&page.0[range.clone()]);
                    at += range.len();
                }
                self.log.push(Did::Wrote(*sector));
            }
            Work::Flush => {
                self.durable.clone_from(&self.cache);
                self.log.push(Did::Flushed);
            }
            Work::Discard { sector, count } => {
                let from = *sector as usize * 512;
                self.cache[from..from + *count as usize * 512].fill(0);
            }
        }
        Ok(())
    }
}

impl Storage for Drive {
    type Page = Page;

    fn properties(&self) -> Properties {
        self.state().properties
    }

    fn page(&mut self) -> Option<Page> {
        let mut state = self.state();
        if state.pages >= state.memory {
            return None;
        }
        state.pages += 1;
        Some(Page(vec![0xdd; 4096], self.clone()))
    }

    fn submit(&mut self, tag: u32, work: Work<Page>) {
        let mut state = self.state();
        assert!(state.waiting.iter().all(|(other, _)| *other != tag), "tag {tag} is taken");
        state.waiting.push((tag, work));
    }

    fn completed(&mut self) -> Option<Done<Page>> {
        let mut state = self.state();
        if state.waiting.is_empty() {
            return None;
        }
        state.seed = state.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let next = (state.seed >> 33) as usize % state.waiting.len();
        let (tag, mut work) = state.waiting.remove(next);
        let result = state.act(&mut work);
        let chunks = match work {
            Work::Read { chunks, .. } | Work::Write { chunks, .. } => chunks,
            Work::Flush | Work::Discard { .. } => Vec::new(),
        };
        Some(Done { tag, chunks, result })
    }
}

/// Where the drive is found.
pub struct Shelf(pub Drive);

impl Opener for Shelf {
    type Storage = Drive;

    fn open(&mut self, _: &mut Node<'_>) -> Result<Option<Drive>, Fault> {
        Ok(Some(self.0.clone()))
    }
}

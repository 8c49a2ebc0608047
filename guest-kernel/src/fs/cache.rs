//! What of a disk is kept in memory: pages of it, read ahead and written back.
//!
//! The cache is what file systems see of a disk: bytes at any place. A miss reads the pages around,
//! too. Writes stay in memory until a flush, which somebody asks for, or time, or that too much is
//! dirty. A flush keeps [`Order`]: contents of files, then the structure, with a flush of the disk after
//! each. What could not be written stays dirty, and the next flush tries again; one that time brought
//! and that failed is reported to the next who asks.

use super::lock::Mutex;
use crate::block::{Disk, SECTOR};
use ::ext2::{Device, Failed, Order};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Bytes of a page.
const PAGE: usize = 4096;
/// Sectors of a page.
const SECTORS: u64 = (PAGE / SECTOR) as u64;
/// Pages that a miss reads, aligned to as many.
const AROUND: u64 = 8;
/// Most pages that are read or written at a time.
const RUN: u64 = 16;

/// A page. Its dirty sectors, a bit each: those of contents, those of the structure.
struct Page {
    bytes: Vec<u8>,
    contents: u8,
    structure: u8,
    /// Used since it was last passed over.
    recent: bool,
}

impl Page {
    fn is_dirty(&self) -> bool {
        self.contents | self.structure != 0
    }

    fn dirty(&mut self, order: Order) -> &mut u8 {
        match order {
            Order::Contents => &mut self.contents,
            Order::Structure => &mut self.structure,
        }
    }
}

struct State {
    pages: BTreeMap<u64, Page>,
    /// Pages in the order in which they may go.
    queue: VecDeque<u64>,
    dirty: usize,
    /// A flush failed that nobody had asked for.
    lost: bool,
}

/// A disk with its cache.
pub struct Cache {
    disk: Arc<dyn Disk>,
    /// Most pages.
    limit: usize,
    state: Mutex<State>,
}

impl Cache {
    /// The cache of a disk, of at most `limit` bytes.
    pub fn new(disk: Arc<dyn Disk>, limit: usize) -> Self {
        let state = State { pages: BTreeMap::new(), queue: VecDeque::new(), dirty: 0, lost: false };
        Self { disk, limit: (limit / PAGE).max(4 * RUN as usize), state: Mutex::new(state) }
    }

    /// Whether something waits to be written.
    pub fn is_dirty(&self) -> bool {
        self.state.lock().dirty > 0
    }

    /// A flush that nobody waits for: that it failed is told to the next who asks for one.
    pub fn lose(&self) {
        self.state.lock().lost = true;
    }

    /// Flushes, and lets all pages go: who reads then sees what is on the disk.
    ///
    /// # Errors
    /// What is dirty cannot be written; nothing is let go then.
    pub fn forget(&self) -> Result<(), Failed> {
        let mut state = self.state.lock();
        self.write_back(&mut state)?;
        state.pages.clear();
        state.queue.clear();
        Ok(())
    }

    /// How many bytes page `index` has: fewer where the disk ends.
    fn length(&self, index: u64) -> usize {
        let left = self.disk.sectors().saturating_sub(index * SECTORS);
        left.min(SECTORS) as usize * SECTOR
    }

    /// Reads pages from `index` on that are not there: those around up to one that is, and `wanted`
    /// of them if there are as many.
    fn load(&self, state: &mut State, index: u64, wanted: u64) -> Result<(), Failed> {
        let around = (index / AROUND + 1) * AROUND - index;
        let most = wanted.clamp(around, RUN);
        let end = self.disk.sectors().div_ceil(SECTORS);
        let last = (index + 1..(index + most).min(end))
            .find(|other| state.pages.contains_key(other))
            .unwrap_or((index + most).min(end));
        self.make_room(state, (last - index) as usize)?;
        if self.read_run(state, index, last).is_ok() {
            return Ok(());
        }
        // What is around may be what failed.
        self.read_run(state, index, index + 1)
    }

    fn read_run(&self, state: &mut State, index: u64, last: u64) -> Result<(), Failed> {
        let bytes: usize = (index..last).map(|index| self.length(index)).sum();
        let mut buffer = zeroes(bytes)?;
        self.disk.read(index * SECTORS, &mut buffer).map_err(|_| Failed)?;
        let mut rest = buffer.as_slice();
        for index in index..last {
            let (page, after) = rest.split_at_checked(self.length(index)).ok_or(Failed)?;
            let mut bytes = zeroes(PAGE)?;
            bytes[..page.len()].copy_from_slice(page);
            insert(state, index, bytes);
            rest = after;
        }
        Ok(())
    }

    /// Lets pages go that were not used lately, until `count` more may come.
    fn make_room(&self, state: &mut State, count: usize) -> Result<(), Failed> {
        if state.dirty > self.limit / 2 {
            self.write_back(state)?;
        }
        // Each page is passed over once for being in use; dirty ones stay.
        let mut chances = state.queue.len() * 2;
        while state.pages.len() + count > self.limit && chances > 0 {
            chances -= 1;
            let Some(index) = state.queue.pop_front() else { break };
            match state.pages.get_mut(&index) {
                Some(page) if page.recent || page.is_dirty() => {
                    page.recent = false;
                    state.queue.push_back(index);
                }
                _ => {
                    state.pages.remove(&index);
                }
            }
        }
        Ok(())
    }

    /// Writes what is dirty, and flushes the disk after contents and after structure.
    fn write_back(&self, state: &mut State) -> Result<(), Failed> {
        for order in [Order::Contents, Order::Structure] {
            let mut dirty = Vec::new();
            for (index, page) in &mut state.pages {
                if *page.dirty(order) != 0 {
                    dirty.push(*index);
                }
            }
            let mut from = 0;
            while let Some(first) = dirty.get(from) {
                from +=
                    self.write_run(state, *first, dirty.get(from..).unwrap_or_default(), order)?;
            }
            self.disk.flush().map_err(|_| Failed)?;
        }
        Ok(())
    }

    /// Writes as many of the dirty pages `list` as lie in a row, from its first on: how many.
    fn write_run(
        &self,
        state: &mut State,
        first: u64,
        list: &[u64],
        order: Order,
    ) -> Result<usize, Failed> {
        let whole = |state: &mut State, index: &u64| {
            state.pages.get_mut(index).is_some_and(|page| *page.dirty(order) == u8::MAX)
        };
        // Whole pages go together; of others only the dirty sectors go, as they may lie between
        // sectors whose turn has not come.
        let count = list
            .iter()
            .zip(first..first + RUN)
            .take_while(|(index, expected)| *index == expected && whole(state, index))
            .count();
        if count == 0 {
            self.write_sectors(state, first, order)?;
            return Ok(1);
        }
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(count * PAGE).map_err(|_| Failed)?;
        for index in list.iter().take(count) {
            if let Some(page) = state.pages.get(index) {
                buffer.extend_from_slice(&page.bytes);
            }
        }
        self.disk.write(first * SECTORS, &buffer).map_err(|_| Failed)?;
        for index in list.iter().take(count) {
            self.cleaned(state, *index, order);
        }
        Ok(count)
    }

    fn write_sectors(&self, state: &mut State, index: u64, order: Order) -> Result<(), Failed> {
        let Some(page) = state.pages.get_mut(&index) else { return Ok(()) };
        let mut dirty = u16::from(*page.dirty(order));
        while dirty != 0 {
            let first = dirty.trailing_zeros() as usize;
            let count = (dirty >> first).trailing_ones() as usize;
            let bytes = page.bytes.get(first * SECTOR..(first + count) * SECTOR).ok_or(Failed)?;
            self.disk.write(index * SECTORS + first as u64, bytes).map_err(|_| Failed)?;
            dirty &= !(((1 << count) - 1) << first);
        }
        self.cleaned(state, index, order);
        Ok(())
    }

    fn cleaned(&self, state: &mut State, index: u64, order: Order) {
        if let Some(page) = state.pages.get_mut(&index) {
            *page.dirty(order) = 0;
            if !page.is_dirty() {
                state.dirty = state.dirty.saturating_sub(1);
            }
        }
    }
}

fn zeroes(length: usize) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| Failed)?;
    bytes.resize(length, 0);
    Ok(bytes)
}

fn insert(state: &mut State, index: u64, bytes: Vec<u8>) {
    state.pages.insert(index, Page { bytes, contents: 0, structure: 0, recent: true });
    state.queue.push_back(index);
}

impl Device for Cache {
    fn bytes(&self) -> u64 {
        self.disk.sectors() * SECTOR as u64
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Failed> {
        if at.checked_add(into.len() as u64).is_none_or(|end| end > self.bytes()) {
            return Err(Failed);
        }
        let mut state = self.state.lock();
        let mut done = 0;
        while done < into.len() {
            let here = at + done as u64;
            let (index, offset) = (here / PAGE as u64, (here % PAGE as u64) as usize);
            if !state.pages.contains_key(&index) {
                let wanted = (offset + into.len() - done).div_ceil(PAGE) as u64;
                self.load(&mut state, index, wanted)?;
            }
            let page = state.pages.get_mut(&index).ok_or(Failed)?;
            page.recent = true;
            let from = page.bytes.get(offset..).unwrap_or_default();
            let to = into.get_mut(done..).unwrap_or_default();
            let count = from.len().min(to.len());
            to[..count].copy_from_slice(&from[..count]);
            done += count;
        }
        Ok(())
    }

    fn write(&self, at: u64, from: &[u8], order: Order) -> Result<(), Failed> {
        let end = at.checked_add(from.len() as u64).filter(|end| *end <= self.bytes());
        if end.is_none() || self.disk.read_only() {
            return Err(Failed);
        }
        let mut state = self.state.lock();
        let mut done = 0;
        while done < from.len() {
            let here = at + done as u64;
            let (index, offset) = (here / PAGE as u64, (here % PAGE as u64) as usize);
            let count = (from.len() - done).min(self.length(index).saturating_sub(offset));
            if !state.pages.contains_key(&index) {
                if count == PAGE {
                    self.make_room(&mut state, 1)?;
                    insert(&mut state, index, zeroes(PAGE)?);
                } else {
                    self.load(&mut state, index, 1)?;
                }
            }
            let page = state.pages.get_mut(&index).ok_or(Failed)?;
            let was_dirty = page.is_dirty();
            page.recent = true;
            // Whole sectors of the disk's own, which may be as long as a page.
            let own = (self.disk.sector_size() as usize).clamp(SECTOR, PAGE);
            let (first, last) = (offset / own * own, (offset + count).next_multiple_of(own));
            let (first, last) = (first / SECTOR, last / SECTOR);
            *page.dirty(order) |= ((1u16 << last) - (1 << first)) as u8;
            let to = page.bytes.get_mut(offset..offset + count).ok_or(Failed)?;
            let part = from.get(done..done + count).ok_or(Failed)?;
            to.copy_from_slice(part);
            state.dirty += usize::from(!was_dirty);
            done += count;
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Failed> {
        let mut state = self.state.lock();
        self.write_back(&mut state)?;
        if core::mem::take(&mut state.lost) { Err(Failed) } else { Ok(()) }
    }
}

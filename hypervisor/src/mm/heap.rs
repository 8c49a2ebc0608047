//! The frame allocator: a buddy allocator whose free blocks are linked through the frame table.
//!
//! It needs no memory of its own, starts in time proportional to the number of
//! memory ranges, and hands out blocks of 2^order frames aligned to their size.
//! Frames come as they are: whoever gives one to a guest zeroes it first.
//!
//! Invariant: a frame belongs to at most one free block; only the first frame of
//! a block is marked, all others of it are zero records.

use pv_abi::types::Mfn;

use super::frame::{Frame, Owner, Word};

/// The largest block: 2^18 frames, 1 GiB.
pub const MAX_ORDER: u8 = 18;

/// Free memory.
pub struct Heap {
    heads: [Option<Mfn>; MAX_ORDER as usize + 1],
    free: u64,
    total: u64,
}

impl Heap {
    /// A heap without memory.
    pub const fn new() -> Heap {
        Heap { heads: [None; MAX_ORDER as usize + 1], free: 0, total: 0 }
    }

    /// Free frames.
    pub fn free_frames(&self) -> u64 {
        self.free
    }

    /// Frames ever given to the heap.
    pub fn total_frames(&self) -> u64 {
        self.total
    }

    /// Adds the frames `[start, end)`, which nobody uses, when the machine starts.
    pub fn add_range(&mut self, frames: &[Frame], start: Mfn, end: Mfn) {
        for (mfn, order) in blocks(frames, start, end) {
            // Records that were never used are zero already, and boot has better things to do
            // than to look at all of them.
            self.insert(frames, mfn, order);
            self.total += 1 << order;
        }
    }

    /// Takes a block of 2^`order` frames, or `None` if there is no such block.
    pub fn take(&mut self, frames: &[Frame], order: u8) -> Option<Mfn> {
        let found = (order..=MAX_ORDER).find(|o| self.head(*o).is_some())?;
        let mfn = self.head(found)?;
        self.unlink(frames, mfn, found);
        let mut size = found;
        while size > order {
            size -= 1;
            self.link(frames, Mfn::new(mfn.raw() + (1 << size)), size);
        }
        self.free -= 1 << order;
        Some(mfn)
    }

    /// Takes a block of 2^`order` frames that ends at or below `limit`, or `None`. Slow: it looks
    /// at all free blocks.
    pub fn take_below(&mut self, frames: &[Frame], order: u8, limit: Mfn) -> Option<Mfn> {
        for size in order..=MAX_ORDER {
            let mut at = self.head(size);
            while let Some(mfn) = at {
                if mfn.raw() + (1 << order) <= limit.raw() {
                    self.unlink(frames, mfn, size);
                    for rest in (order..size).rev() {
                        self.link(frames, Mfn::new(mfn.raw() + (1 << rest)), rest);
                    }
                    self.free -= 1 << order;
                    return Some(mfn);
                }
                at = frames.get(mfn.raw() as usize).and_then(Frame::link);
            }
        }
        None
    }

    /// Gives back a block of 2^`order` frames taken before (or parts of one).
    pub fn release(&mut self, frames: &[Frame], mfn: Mfn, order: u8) {
        for i in 0..1u64 << order {
            if let Some(frame) = frames.get((mfn.raw() + i) as usize) {
                frame.set(Word::EMPTY);
                frame.set_owner(Owner::Nobody);
            }
        }
        self.insert(frames, mfn, order);
    }

    /// Gives back the frames `[start, end)`, each taken before, as few blocks.
    pub fn release_range(&mut self, frames: &[Frame], start: Mfn, end: Mfn) {
        for (mfn, order) in blocks(frames, start, end) {
            self.release(frames, mfn, order);
        }
    }

    /// Puts a block of zero records into its list, merged with its buddies.
    fn insert(&mut self, frames: &[Frame], mfn: Mfn, order: u8) {
        self.free += 1 << order;
        let (mut mfn, mut order) = (mfn, order);
        while order < MAX_ORDER {
            let buddy = Mfn::new(mfn.raw() ^ (1 << order));
            let Some(record) = frames.get(buddy.raw() as usize) else { break };
            if !record.load().free_head() || record.progress() != u16::from(order) {
                break;
            }
            self.unlink(frames, buddy, order);
            mfn = Mfn::new(mfn.raw() & !(1 << order));
            order += 1;
        }
        self.link(frames, mfn, order);
    }

    fn head(&self, order: u8) -> Option<Mfn> {
        self.heads.get(usize::from(order)).copied().flatten()
    }

    fn set_head(&mut self, order: u8, mfn: Option<Mfn>) {
        if let Some(head) = self.heads.get_mut(usize::from(order)) {
            *head = mfn;
        }
    }

    fn link(&mut self, frames: &[Frame], mfn: Mfn, order: u8) {
        let next = self.head(order);
        if let Some(frame) = frames.get(mfn.raw() as usize) {
            frame.set(Word::free_block(None));
            frame.set_progress(u16::from(order));
            frame.set_link(next);
        }
        if let Some(next) = next.and_then(|n| frames.get(n.raw() as usize)) {
            next.set(Word::free_block(Some(mfn)));
        }
        self.set_head(order, Some(mfn));
    }

    fn unlink(&mut self, frames: &[Frame], mfn: Mfn, order: u8) {
        let Some(frame) = frames.get(mfn.raw() as usize) else { return };
        let (previous, next) = (frame.load().previous_free(), frame.link());
        match previous.and_then(|p| frames.get(p.raw() as usize)) {
            Some(record) => record.set_link(next),
            None => self.set_head(order, next),
        }
        if let Some(record) = next.and_then(|n| frames.get(n.raw() as usize)) {
            record.set(Word::free_block(previous));
        }
        frame.set(Word::EMPTY);
        frame.set_progress(0);
        frame.set_link(None);
    }
}

/// The blocks that the frames `[start, end)` consist of, as large as they can be, in order.
fn blocks(frames: &[Frame], start: Mfn, end: Mfn) -> impl Iterator<Item = (Mfn, u8)> + use<> {
    let end = end.raw().min(frames.len() as u64);
    let mut at = start.raw();
    core::iter::from_fn(move || {
        let fits = end.saturating_sub(at).checked_ilog2()?;
        let aligned = at.trailing_zeros().min(u32::from(MAX_ORDER));
        let (mfn, order) = (Mfn::new(at), aligned.min(fits) as u8);
        at += 1 << order;
        Some((mfn, order))
    })
}

impl Default for Heap {
    fn default() -> Self {
        Heap::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn frames(n: usize) -> Vec<Frame> {
        (0..n).map(|_| Frame::default()).collect()
    }

    #[test]
    fn blocks_are_aligned_disjoint_and_merge_again() {
        let table = frames(4096);
        let mut heap = Heap::new();
        heap.add_range(&table, Mfn::new(3), Mfn::new(4000));
        let all = heap.free_frames();
        assert_eq!(all, 3997);
        let mut used = std::vec![false; 4096];
        let mut taken = Vec::new();
        for i in 0..200u64 {
            let order = (i % 5) as u8;
            let mfn = heap.take(&table, order).expect("enough memory");
            assert_eq!(mfn.raw() % (1 << order), 0);
            for f in 0..1u64 << order {
                let at = (mfn.raw() + f) as usize;
                assert!((3..4000).contains(&at) && !used[at]);
                used[at] = true;
            }
            taken.push((mfn, order));
        }
        for (mfn, order) in taken {
            heap.release(&table, mfn, order);
        }
        assert_eq!(heap.free_frames(), all);
        assert!(heap.take(&table, 10).is_some(), "buddies merged");
    }

    #[test]
    fn a_range_given_back_is_as_if_each_frame_were() {
        let table = frames(4096);
        let mut heap = Heap::new();
        heap.add_range(&table, Mfn::new(1024), Mfn::new(4096));
        let all = heap.free_frames();
        let block = heap.take(&table, 10).expect("enough memory");
        let (from, end) = (block.raw() + 3, block.raw() + 1000);
        heap.release_range(&table, Mfn::new(from), Mfn::new(end));
        assert_eq!(heap.free_frames(), all - 27);
        assert!(heap.take(&table, 11).is_some_and(|mfn| mfn != block));
        heap.release_range(&table, block, Mfn::new(from));
        heap.release_range(&table, Mfn::new(end), Mfn::new(block.raw() + 1024));
        assert_eq!(heap.free_frames(), all - 2048);
        assert_eq!(heap.take(&table, 10), Some(block), "its parts have merged");
    }

    #[test]
    fn a_block_below_a_limit_is_found_or_refused() {
        let table = frames(4096);
        let mut heap = Heap::new();
        heap.add_range(&table, Mfn::new(100), Mfn::new(200));
        heap.add_range(&table, Mfn::new(1024), Mfn::new(4096));
        let low = heap.take_below(&table, 3, Mfn::new(112)).expect("100 to 112 is free");
        assert_eq!(low, Mfn::new(104));
        assert_eq!(heap.take_below(&table, 3, Mfn::new(112)), None);
        assert!(heap.take_below(&table, 6, Mfn::new(1024)).is_some(), "128 to 192");
        assert_eq!(heap.take_below(&table, 6, Mfn::new(1024)), None);
        assert_eq!(heap.free_frames(), 100 + 3072 - 8 - 64);
    }

    #[test]
    fn an_empty_heap_has_nothing() {
        assert_eq!(Heap::new().take(&frames(8), 0), None);
    }
}

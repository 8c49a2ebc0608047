//! The new domain's memory: which machine frame stands behind each pseudo-physical one.
//!
//! The builder has no place for a list of single frames before the domain has memory, so it
//! takes memory in blocks as large as there are and remembers those: a machine that has just
//! started has few holes.
#![deny(clippy::arithmetic_side_effects)]

use pv_abi::types::Mfn;

use super::BuildError;
use crate::mm::frame::Owner;
use crate::mm::heap::MAX_ORDER;
use crate::mm::memory::Memory;

/// Blocks that a domain's memory may consist of.
const MAX_BLOCKS: usize = 128;
/// The first frame at 4 GiB.
pub const FRAMES_BELOW_4_GIB: u64 = 1 << 20;

/// Consecutive frames.
#[derive(Clone, Copy)]
struct Block {
    pfn: u32,
    mfn: u32,
    order: u8,
}

impl Block {
    fn pages(self) -> u64 {
        1_u64.checked_shl(self.order.into()).unwrap_or(0)
    }
}

/// Frames that are consecutive both as machine frames and as pseudo-physical ones.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The first pseudo-physical number.
    pub pfn: u64,
    /// The first machine frame.
    pub mfn: Mfn,
    /// How many.
    pub pages: u64,
}

/// Memory taken for a domain. Whoever has it gives it back or gives it to the domain.
pub struct DomainMemory {
    blocks: heapless::Vec<Block, MAX_BLOCKS>,
    pages: u64,
}

impl DomainMemory {
    /// Takes `pages` frames for `owner`, the one at pseudo-physical `low` below 4 GiB.
    ///
    /// Nothing is left taken on failure.
    pub fn take(
        memory: &Memory,
        owner: Owner,
        pages: u64,
        low: Option<u64>,
    ) -> Result<DomainMemory, BuildError> {
        let mut taken = DomainMemory { blocks: heapless::Vec::new(), pages: 0 };
        let outcome = match low.filter(|low| *low < pages) {
            None => taken.extend(memory, owner, pages),
            Some(low) => taken
                .extend(memory, owner, low)
                .and_then(|()| taken.push_low(memory, owner))
                .and_then(|()| taken.extend(memory, owner, pages)),
        };
        match outcome {
            Ok(()) => Ok(taken),
            Err(error) => {
                taken.give_back(memory);
                Err(error)
            }
        }
    }

    /// How many frames there are.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// The machine frame behind `pfn`.
    pub fn mfn(&self, pfn: u64) -> Option<Mfn> {
        let after = self.blocks.partition_point(|b| u64::from(b.pfn) <= pfn);
        let block = self.blocks.get(after.checked_sub(1)?)?;
        let offset = pfn.checked_sub(block.pfn.into()).filter(|o| *o < block.pages())?;
        Some(Mfn::new(u64::from(block.mfn).checked_add(offset)?))
    }

    /// Runs of frames that are consecutive in both numberings.
    pub fn runs(&self) -> impl Iterator<Item = Run> {
        self.blocks.iter().map(|b| Run {
            pfn: b.pfn.into(),
            mfn: Mfn::new(b.mfn.into()),
            pages: b.pages(),
        })
    }

    /// All machine frames, by pseudo-physical number.
    pub fn frames(&self) -> impl Iterator<Item = Mfn> {
        self.blocks.iter().flat_map(|b| {
            let start = u64::from(b.mfn);
            (start..start.saturating_add(b.pages())).map(Mfn::new)
        })
    }

    /// Gives everything back, whatever references there are: the domain never ran.
    pub fn give_back(self, memory: &Memory) {
        for block in &self.blocks {
            memory.release(Mfn::new(block.mfn.into()), block.order);
        }
    }

    /// Takes blocks until there are `upto` pages.
    fn extend(&mut self, memory: &Memory, owner: Owner, upto: u64) -> Result<(), BuildError> {
        let mut largest = MAX_ORDER;
        loop {
            let missing = upto.saturating_sub(self.pages);
            let Some(fits) = missing.checked_ilog2() else { return Ok(()) };
            largest = largest.min(u8::try_from(fits).unwrap_or(MAX_ORDER));
            match memory.allocate(owner, largest) {
                Ok(mfn) => self.push(memory, mfn, largest)?,
                Err(_) => {
                    largest = largest.checked_sub(1).ok_or(BuildError::NoMemory)?;
                }
            }
        }
    }

    fn push_low(&mut self, memory: &Memory, owner: Owner) -> Result<(), BuildError> {
        let limit = Mfn::new(FRAMES_BELOW_4_GIB);
        let mfn = memory.allocate_below(owner, 0, limit).map_err(|_| BuildError::NoLowMemory)?;
        self.push(memory, mfn, 0)
    }

    fn push(&mut self, memory: &Memory, mfn: Mfn, order: u8) -> Result<(), BuildError> {
        let numbers = u32::try_from(self.pages).ok().zip(u32::try_from(mfn.raw()).ok());
        let pushed =
            numbers.and_then(|(pfn, raw)| self.blocks.push(Block { pfn, mfn: raw, order }).ok());
        if pushed.is_none() {
            memory.release(mfn, order);
            return Err(BuildError::TooFragmented);
        }
        self.pages = self.pages.saturating_add(1_u64.checked_shl(order.into()).unwrap_or(0));
        Ok(())
    }
}

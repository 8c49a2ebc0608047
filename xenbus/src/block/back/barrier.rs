//! A write behind a barrier: what comes before is done, and lasts, before it; what comes after begins
//! after it.
//!
//! Storage knows no barriers, only flushes. So nothing is taken while there is one:
//!
//! ```text
//! Draining -- nothing is under way --> Flushing --> Writing --> Settling --> answered
//! ```

use alloc::vec::Vec;

use pv_abi::io::blkif::{BLKIF_RSP_ERROR, BLKIF_RSP_OKAY};

use crate::access::{Copies, Events};
use crate::block::check::{Plan, Segment};
use crate::block::storage::Work;
use crate::memory::SharedMemory;

use super::flights::{Asked, Flight, Kind};
use super::{BackEnd, Opener};

/// A barrier that is not answered.
#[derive(Debug)]
pub struct Barrier {
    queue: usize,
    asked: Asked,
    sector: u64,
    segments: Vec<Segment>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// What was taken before is being done.
    Draining,
    /// What was written before is being flushed.
    Flushing,
    /// Its own data is being written.
    Writing,
    /// Its own data is being flushed.
    Settling,
}

impl Barrier {
    /// A barrier that was just taken.
    pub fn new(queue: usize, asked: Asked, sector: u64, segments: Vec<Segment>) -> Barrier {
        Barrier { queue, asked, sector, segments, stage: Stage::Draining }
    }
}

impl<M: SharedMemory, O: Opener> BackEnd<M, O> {
    /// Has a barrier begin once all is done that was taken before.
    pub(super) fn drain_for_barrier<D>(&mut self, domain: &mut D)
    where
        D: Events + Copies<Foreign = M>,
    {
        let draining = self.barrier.as_ref().is_some_and(|one| one.stage == Stage::Draining);
        if draining && self.flights.count() == 0 {
            self.go_on_with_barrier(domain, true);
        }
    }

    /// The barrier's stage is over, well or not: begins the next one, or answers.
    pub(super) fn go_on_with_barrier<D>(&mut self, domain: &mut D, well: bool)
    where
        D: Events + Copies<Foreign = M>,
    {
        let Some(mut barrier) = self.barrier.take() else { return };
        let next = match barrier.stage {
            _ if !well => Err(BLKIF_RSP_ERROR),
            Stage::Draining => Ok((Stage::Flushing, Work::Flush)),
            Stage::Flushing if barrier.segments.is_empty() => Err(BLKIF_RSP_OKAY),
            Stage::Flushing => {
                let segments = core::mem::take(&mut barrier.segments);
                let work = self.prepare_work(domain, &Plan::Write(barrier.sector, segments));
                work.map(|work| (Stage::Writing, work)).map_err(|_| BLKIF_RSP_ERROR)
            }
            Stage::Writing => Ok((Stage::Settling, Work::Flush)),
            Stage::Settling => Err(BLKIF_RSP_OKAY),
        };
        let Barrier { queue, asked, .. } = barrier;
        match next {
            Err(status) => self.respond(queue, asked, status),
            Ok((stage, work)) => {
                self.barrier = Some(Barrier { stage, ..barrier });
                self.submit(Flight { queue: Some(queue), asked, kind: Kind::Barrier }, work);
            }
        }
    }
}

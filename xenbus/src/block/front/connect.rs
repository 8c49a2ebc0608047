//! How a front end makes its rings, and what it reads of its back end.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::io::blkif::{BLKIF_MAX_SEGMENTS_PER_REQUEST, VDISK_READONLY};
use pv_abi::types::DomId;

use crate::access::{Events, Grants, Shared};
use crate::block::pool::Pool;
use crate::block::wire::{Layout, SEGMENTS_PER_PAGE};
use crate::block::{Properties, SECTOR};
use crate::device::{Fault, Keys, Node};
use crate::front::FrontDriver;
use crate::ring::FrontRing;

use super::{Features, FrontEnd, Link, Queue};

/// Log2 of the pages of a ring, at most, whatever is offered.
const MOST_RING_ORDER: u32 = 4;

impl<D: Events + Grants, L: Layout> FrontDriver<D> for FrontEnd<L, D::Own> {
    fn publish(&mut self, domain: &mut D, back: DomId, peer: &mut Node<'_>) -> Result<Keys, Fault> {
        let order = offered(peer, "max-ring-page-order", 0)?;
        let order = order.min(self.options.ring_order).min(MOST_RING_ORDER);
        let queues = offered(peer, "multi-queue-max-queues", 1)?.min(self.options.queues).max(1);
        let indirect = offered(peer, "feature-max-indirect-segments", 0)?;
        let direct = BLKIF_MAX_SEGMENTS_PER_REQUEST as u32;
        // One page of segments is enough for all that is wanted.
        let most = indirect.max(direct).min(SEGMENTS_PER_PAGE as u32) as u16;
        let segments = self.options.segments.min(most).max(1);
        let mut made = Made { queues: Vec::new(), keys: common::<L>() };
        let pool =
            domain.share(back, self.options.pool).map_err(Fault::while_doing("pages for data"));
        let pool = pool.and_then(|pool| {
            let done = (0..queues).try_for_each(|queue| {
                let folder = if queues > 1 { format!("queue-{queue}/") } else { String::new() };
                made.add(domain, back, order, &folder)
            });
            match done {
                Ok(()) => Ok(pool),
                Err(fault) => {
                    // Nobody has heard of it, so it can be ended.
                    let _ = domain.end(pool);
                    Err(fault)
                }
            }
        });
        let Made { queues: rings, mut keys } = made;
        let pool = match pool {
            Ok(pool) => Pool::new(pool),
            Err(fault) => {
                for shared in let_go(domain, rings) {
                    let _ = domain.end(shared);
                }
                return Err(fault);
            }
        };
        if queues > 1 {
            keys = keys.with("multi-queue-num-queues", queues);
        }
        if order > 0 {
            keys = keys.with("ring-page-order", order).with("num-ring-pages", 1 << order);
        }
        let slots: u32 = rings.iter().map(|queue| queue.ring.slots()).sum();
        let flights = (0..slots).map(|_| None).collect();
        self.link = Some(Link { queues: rings, pool, flights, segments, turn: 0 });
        Ok(keys)
    }

    fn connect(&mut self, _domain: &mut D, peer: &mut Node<'_>) -> Result<(), Fault> {
        let sectors: u64 = peer.number("sectors")?;
        let sector_size = offered(peer, "sector-size", SECTOR as u32)?;
        let pages = SECTOR as u32..=4096;
        if !sector_size.is_power_of_two() || !pages.contains(&sector_size) {
            return Err(Fault::while_doing("reading sector-size")(Errno::EINVAL));
        }
        let read_only = offered(peer, "info", 0)? & VDISK_READONLY != 0;
        let mut has =
            |feature: &str| peer.has(feature).map_err(Fault::while_doing("reading features"));
        let discard = has("feature-discard")?;
        let features =
            Features { flush: has("feature-flush-cache")?, barrier: has("feature-barrier")? };
        self.disk = Some((Properties { sectors, sector_size, read_only, discard }, features));
        Ok(())
    }

    fn suspend(&mut self) {
        self.disk = None;
    }

    fn disconnect(&mut self, domain: &mut D) -> Vec<Shared<D::Own>> {
        self.disk = None;
        self.connection = self.connection.wrapping_add(1);
        let Some(link) = self.link.take() else { return Vec::new() };
        let mut shared = let_go(domain, link.queues);
        shared.push(link.pool.into_shared());
        shared
    }
}

/// What goes with all connections.
fn common<L: Layout>() -> Keys {
    Keys::default().with("protocol", L::PROTOCOL).with("feature-persistent", 1)
}

/// A number that the back end may have written.
fn offered(peer: &mut Node<'_>, key: &str, otherwise: u32) -> Result<u32, Fault> {
    match peer.number(key) {
        Err(Fault { errno: Errno::ENOENT, .. }) => Ok(otherwise),
        result => result,
    }
}

/// What has been made so far.
struct Made<L: Layout, M> {
    queues: Vec<Queue<L, M>>,
    keys: Keys,
}

impl<L: Layout, M> Made<L, M> {
    /// Makes a queue's ring and event channel.
    fn add<D>(&mut self, domain: &mut D, back: DomId, order: u32, folder: &str) -> Result<(), Fault>
    where
        D: Events + Grants<Own = M>,
        M: crate::memory::SharedMemory,
    {
        let sharing = || Fault::while_doing("sharing a ring");
        let Shared { memory, grants } = domain.share(back, 1 << order).map_err(sharing())?;
        let port = match domain.alloc_unbound(back) {
            Ok(port) => port,
            Err(errno) => {
                let _ = domain.end(Shared { memory, grants });
                return Err(Fault::while_doing("making an event channel")(errno));
            }
        };
        let mut keys = core::mem::take(&mut self.keys);
        for (page, grant) in grants.iter().enumerate() {
            let number = if order > 0 { format!("{page}") } else { String::new() };
            keys = keys.with(&format!("{folder}ring-ref{number}"), grant.raw());
        }
        self.keys = keys.with(&format!("{folder}event-channel"), port.raw());
        // A page is large enough for a ring.
        let ring = FrontRing::new(memory).map_err(|_| sharing()(Errno::EINVAL))?;
        self.queues.push(Queue { ring, port, grants });
        Ok(())
    }
}

/// Closes ports; what was shared.
fn let_go<D, L>(domain: &mut D, queues: Vec<Queue<L, D::Own>>) -> Vec<Shared<D::Own>>
where
    D: Events + Grants,
    L: Layout,
{
    let close = |queue: Queue<L, D::Own>| {
        // A port that is gone is as good as closed.
        let _ = domain.close(queue.port);
        Shared { memory: queue.ring.into_memory(), grants: queue.grants }
    };
    queues.into_iter().map(close).collect()
}

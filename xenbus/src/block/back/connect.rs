//! What a back end says in the store, and how it comes by its rings.
//!
//! What it offers stands there from `InitWait` on, since the front end makes its rings by it; what the
//! disk is like from `Connected` on.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::io::blkif::VDISK_READONLY;
use pv_abi::types::{DomId, GrantRef, Port};

use crate::access::{Copies, Events};
use crate::back::{BackDriver, Ready};
use crate::block::check::MOST_SEGMENTS;
use crate::block::storage::{Properties, Storage};
use crate::block::wire::{AnyRing, Protocol};
use crate::device::{Fault, Keys, Node};
use crate::handshake::Restart;
use crate::memory::{SharedMemory, TooSmall};

use super::{BackEnd, Link, Opener, Queue};

/// Queues that a front end may have.
pub const MOST_QUEUES: u32 = 4;
/// Log2 of the pages that a queue's ring may have.
pub const MOST_RING_ORDER: u32 = 4;

impl<D, O: Opener> BackDriver<D> for BackEnd<D::Foreign, O>
where
    D: Events + Copies,
{
    /// Answers come in any order.
    const RESTART: Restart = Restart::Anew;

    fn prepare(&mut self, own: &mut Node<'_>) -> Result<Ready, Fault> {
        if self.storage.is_none() {
            self.storage = self.opener.open(own)?;
        }
        let Some(storage) = &self.storage else { return Ok(Ready::Later) };
        Ok(Ready::Yes(offers(&storage.properties())))
    }

    fn connect(
        &mut self,
        domain: &mut D,
        front: DomId,
        peer: &mut Node<'_>,
    ) -> Result<Keys, Fault> {
        let wants = Wants::read(peer, self.native)?;
        let mut link = Link { front, queues: Vec::new() };
        for queue in 0..wants.queues {
            let attached = attach(domain, front, peer, &wants, queue);
            match attached {
                Ok(queue) => link.queues.push(queue),
                Err(fault) => {
                    let_go(domain, link);
                    return Err(fault);
                }
            }
        }
        self.link = Some(link);
        let properties = self.storage.as_ref().map(Storage::properties);
        properties.map(|disk| describe(&disk)).ok_or_else(|| no_use("opening the disk"))
    }

    fn disconnect(&mut self, domain: &mut D) {
        self.orphan();
        if let Some(link) = self.link.take() {
            let_go(domain, link);
        }
    }
}

fn no_use(what: &str) -> Fault {
    Fault::while_doing(what)(Errno::EINVAL)
}

/// What a front end may use.
fn offers(disk: &Properties) -> Keys {
    let keys = Keys::default()
        .with("feature-flush-cache", 1)
        .with("feature-barrier", 1)
        .with("feature-persistent", 0)
        .with("feature-max-indirect-segments", MOST_SEGMENTS)
        .with("max-ring-page-order", MOST_RING_ORDER)
        .with("max-ring-pages", 1 << MOST_RING_ORDER)
        .with("multi-queue-max-queues", MOST_QUEUES)
        .with("feature-discard", u8::from(disk.discard));
    if !disk.discard {
        return keys;
    }
    keys.with("discard-granularity", disk.sector_size)
        .with("discard-alignment", 0)
        .with("discard-secure", 0)
}

/// What the disk is like.
fn describe(disk: &Properties) -> Keys {
    Keys::default()
        .with("sectors", disk.sectors)
        .with("sector-size", disk.sector_size)
        .with("physical-sector-size", disk.sector_size)
        .with("info", if disk.read_only { VDISK_READONLY } else { 0 })
}

/// How the front end wants to be served.
struct Wants {
    protocol: Protocol,
    queues: u32,
    /// Pages of a ring. None: one, named without a number.
    ring_pages: Option<u32>,
}

impl Wants {
    fn read(peer: &mut Node<'_>, native: Protocol) -> Result<Wants, Fault> {
        let reading = || Fault::while_doing("reading protocol");
        let protocol = match peer.read("protocol").map_err(reading())? {
            None => native,
            Some(value) => Protocol::parse(&value).ok_or(Errno::EINVAL).map_err(reading())?,
        };
        let queues = optional(peer, "multi-queue-num-queues")?.unwrap_or(1);
        if !(1..=MOST_QUEUES).contains(&queues) {
            return Err(no_use("reading multi-queue-num-queues"));
        }
        let ring_pages = match optional(peer, "ring-page-order")? {
            None => None,
            Some(order @ 0..=MOST_RING_ORDER) => Some(1 << order),
            Some(_) => return Err(no_use("reading ring-page-order")),
        };
        Ok(Wants { protocol, queues, ring_pages })
    }
}

/// A number, where there is one.
fn optional(node: &mut Node<'_>, key: &str) -> Result<Option<u32>, Fault> {
    match node.number(key) {
        Ok(number) => Ok(Some(number)),
        Err(Fault { errno: Errno::ENOENT, .. }) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Maps a queue's ring and binds its event channel.
fn attach<D: Events + Copies>(
    domain: &mut D,
    front: DomId,
    peer: &mut Node<'_>,
    wants: &Wants,
    queue: u32,
) -> Result<Queue<D::Foreign>, Fault> {
    let folder = if wants.queues > 1 { format!("queue-{queue}/") } else { String::new() };
    let mut grants = Vec::new();
    match wants.ring_pages {
        // One page is named either way (note 6 of the header, and Linux's front end).
        None | Some(1) => grants.push(single(peer, &folder)?),
        Some(pages) => {
            for page in 0..pages {
                grants.push(peer.number(&format!("{folder}ring-ref{page}"))?);
            }
        }
    }
    let grants: Vec<GrantRef> = grants.into_iter().map(GrantRef::new).collect();
    let theirs = Port::new(peer.number(&format!("{folder}event-channel"))?);
    let memory = domain.map(front, &grants).map_err(Fault::while_doing("mapping the ring"))?;
    let port = match domain.bind(front, theirs) {
        Ok(port) => port,
        Err(errno) => {
            domain.unmap(memory);
            return Err(Fault::while_doing(format!("binding port {}", theirs.raw()))(errno));
        }
    };
    // A page is large enough for a ring.
    let ring = AnyRing::attach(wants.protocol, memory);
    ring.map(|ring| Queue { ring, port }).map_err(|TooSmall| no_use("mapping the ring"))
}

fn single(peer: &mut Node<'_>, folder: &str) -> Result<u32, Fault> {
    match peer.number(&format!("{folder}ring-ref")) {
        Err(Fault { errno: Errno::ENOENT, .. }) => peer.number(&format!("{folder}ring-ref0")),
        result => result,
    }
}

fn let_go<D: Events + Copies>(domain: &mut D, link: Link<D::Foreign>)
where
    D::Foreign: SharedMemory,
{
    for queue in link.queues {
        // A port that is gone is as good as closed.
        let _ = domain.close(queue.port);
        domain.unmap(queue.ring.into_memory());
    }
}

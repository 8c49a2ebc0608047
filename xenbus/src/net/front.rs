//! The guest's half.
//!
//! A [`Link`] is what there is between publishing the rings and closing. Its pages are granted once
//! and used over and over: what is sent is copied into one, what is received is copied out of one,
//! so that no grant changes while frames move, and no byte of a frame changes after it was looked
//! at. Whoever has the link polls at each event of its [ports](Link::ports).

mod rx;
mod tx;

use alloc::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, GrantRef, Port};

use crate::access::{Events, Grants, Shared};
use crate::device::{Fault, Keys, Node};
use crate::front::FrontDriver;
use crate::memory::{SharedMemory, TooSmall};
use crate::ring::{FrontRing, Notify};

use super::nodes::{self, Ports, QueueNodes};
use super::{Broken, Copes, Frame, QUEUES, flow};
use tx::Room;

/// There is no room for a frame now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// What a front end wants to have.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Queues, if the back end has as many.
    pub queues: usize,
    /// Pages of a queue to send from, and as many to receive into: at most 256, which is what a
    /// ring has slots for.
    pub pages: usize,
    /// What it copes with when it receives.
    pub copes: Copes,
    /// Whether it has a port for each direction, if the back end can do so.
    pub split: bool,
}

/// What a link has moved and lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames sent, and slots of them that the back end could make nothing of.
    pub sent: u64,
    /// See `sent`.
    pub sent_wrong: u64,
    /// Frames received, and those that arrived damaged.
    pub received: u64,
    /// See `received`.
    pub received_wrong: u64,
}

/// The queues that a guest has.
#[derive(Debug)]
pub struct Link<M> {
    queues: Vec<Queue<M>>,
    /// What the back end copes with, once it is connected.
    copes: Option<Copes>,
    counts: Counts,
}

#[derive(Debug)]
struct Queue<M> {
    tx: tx::Ring<M>,
    rx: rx::Ring<M>,
    ports: Ports,
}

impl<M: SharedMemory> Link<M> {
    /// Makes rings, pages and ports for `back`, whose directory `peer` is, and says in which nodes
    /// they are found.
    ///
    /// # Errors
    /// No memory, no grants, no ports; or the peer does not offer what is needed. Nothing is held
    /// then.
    pub fn publish<D>(
        domain: &mut D,
        back: DomId,
        peer: &mut Node<'_>,
        plan: &Plan,
    ) -> Result<(Link<M>, Keys), Fault>
    where
        D: Events + Grants<Own = M>,
    {
        let offer = nodes::read_offer(peer)?;
        let all = plan.queues.min(offer.queues).clamp(1, QUEUES);
        let mut link = Link { queues: Vec::new(), copes: None, counts: Counts::default() };
        let mut keys = nodes::write_count(nodes::wish(plan.copes), all);
        for number in 0..all {
            match Queue::make(domain, back, plan.pages, plan.split && offer.split) {
                Ok((queue, nodes)) => {
                    keys = nodes::write_queue(keys, (number, all), nodes);
                    link.queues.push(queue);
                }
                Err(errno) => {
                    // Nobody has heard of the pages, so they can be ended.
                    for shared in link.disconnect(domain) {
                        let _ = domain.end(shared);
                    }
                    return Err(Fault::while_doing("sharing rings and pages")(errno));
                }
            }
        }
        Ok((link, keys))
    }

    /// What a back end copes with, whose directory `peer` is.
    ///
    /// # Errors
    /// It does not offer what is needed.
    pub fn offered(peer: &mut Node<'_>) -> Result<Copes, Fault> {
        Ok(nodes::read_offer(peer)?.copes)
    }

    /// The back end, which copes with this, is connected, or another one took over: frames can be
    /// sent.
    pub fn connect(&mut self, events: &mut impl Events, copes: Copes) {
        self.copes = Some(copes);
        for port in self.ports() {
            // One that is gone is found when it is needed.
            let _ = events.send(port);
        }
    }

    /// Nothing is sent until [`connect`](Link::connect).
    pub fn suspend(&mut self) {
        self.copes = None;
    }

    /// Whether frames can be sent.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.copes.is_some()
    }

    /// Closes the ports and hands out the pages.
    pub fn disconnect<D: Events + Grants<Own = M>>(self, domain: &mut D) -> Vec<Shared<M>> {
        let mut pages = Vec::new();
        for queue in self.queues {
            for port in queue.ports.all() {
                // A port that is gone is as good as closed.
                let _ = domain.close(port);
            }
            pages.extend(queue.tx.into_shared());
            pages.extend(queue.rx.into_shared());
        }
        pages
    }

    /// Our ports, whose events say that there is something to poll.
    pub fn ports(&self) -> impl Iterator<Item = Port> + use<M> {
        let ports: Vec<Port> = self.queues.iter().flat_map(|queue| queue.ports.all()).collect();
        ports.into_iter()
    }

    /// What was moved so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Sends a frame. One that the back end does not cope with is made fit; while there is no back
    /// end, and where nothing is left, it is lost.
    ///
    /// # Errors
    /// [`Broken`]: the link is of no use any more. The inner `Busy`: there is no room for it, or
    /// for a part of what it was cut into; an event will come.
    pub fn send(
        &mut self,
        events: &mut impl Events,
        frame: Frame,
    ) -> Result<Result<(), Busy>, Broken> {
        let Some(copes) = self.copes else { return Ok(Ok(())) };
        let number = flow(&frame.bytes) as usize % self.queues.len().max(1);
        let Some(queue) = self.queues.get_mut(number) else { return Ok(Ok(())) };
        queue.tx.reclaim(&mut self.counts)?;
        let fit = frame.suit(copes);
        match queue.tx.room(&fit, &mut self.counts)? {
            Room::Now => {}
            Room::Later => return Ok(Err(Busy)),
            Room::Never => return Ok(Ok(())),
        }
        for frame in &fit {
            queue.tx.push(frame);
            self.counts.sent += 1;
        }
        if queue.tx.publish() == Notify::Yes {
            events.send(queue.ports.tx()).map_err(Broken::Event)?;
        }
        Ok(Ok(()))
    }

    /// Takes back pages that were sent from, and hands what was received to `sink`, a bounded part
    /// of it. Whether more waits, which no event will tell: poll again.
    ///
    /// # Errors
    /// The link is of no use any more.
    pub fn poll(
        &mut self,
        events: &mut impl Events,
        mut sink: impl FnMut(Frame),
    ) -> Result<bool, Broken> {
        let mut more = false;
        for queue in &mut self.queues {
            queue.tx.reclaim(&mut self.counts)?;
            let (received, notify) = queue.rx.poll(&mut self.counts, &mut sink)?;
            if notify == Notify::Yes {
                events.send(queue.ports.rx()).map_err(Broken::Event)?;
            }
            more |= received;
        }
        Ok(more)
    }
}

impl<M: SharedMemory> Queue<M> {
    fn make<D: Events + Grants<Own = M>>(
        domain: &mut D,
        back: DomId,
        pages: usize,
        split: bool,
    ) -> Result<(Queue<M>, QueueNodes), Errno> {
        // A ring and its pages are one piece of memory each way round: four pieces, all or none.
        let mut shared: Vec<Shared<M>> = Vec::new();
        let made = [1, pages, 1, pages].into_iter().try_for_each(|count| {
            shared.push(domain.share(back, count)?);
            Ok(())
        });
        let ports = made.and_then(|()| make_ports(domain, back, split));
        let ports = match ports {
            Ok(ports) => ports,
            Err(errno) => {
                for shared in shared {
                    // Nobody has heard of the pages, so they can be ended.
                    let _ = domain.end(shared);
                }
                return Err(errno);
            }
        };
        let ring_grants: Vec<GrantRef> =
            shared.iter().step_by(2).filter_map(|ring| ring.grants.first().copied()).collect();
        let mut shared = shared.into_iter();
        let rings = (shared.next(), shared.next(), shared.next(), shared.next());
        let ((Some(tx), Some(tx_pages), Some(rx), Some(rx_pages)), [tx_ring, rx_ring]) =
            (rings, ring_grants.as_slice())
        else {
            return Err(Errno::EINVAL);
        };
        let nodes = QueueNodes { tx_ring: *tx_ring, rx_ring: *rx_ring, ports };
        let too_small = |TooSmall| Errno::EINVAL;
        let tx_front = FrontRing::new(tx.memory).map_err(too_small)?;
        let rx_front = FrontRing::new(rx.memory).map_err(too_small)?;
        let tx = tx::Ring::new(tx_front, tx.grants, tx_pages);
        let rx = rx::Ring::new(rx_front, rx.grants, rx_pages);
        Ok((Queue { tx, rx, ports }, nodes))
    }
}

fn make_ports(domain: &mut impl Events, back: DomId, split: bool) -> Result<Ports, Errno> {
    let tx = domain.alloc_unbound(back)?;
    if !split {
        return Ok(Ports::Both(tx));
    }
    match domain.alloc_unbound(back) {
        Ok(rx) => Ok(Ports::Split { tx, rx }),
        Err(errno) => {
            // A port that is gone is as good as closed.
            let _ = domain.close(tx);
            Err(errno)
        }
    }
}

/// The driver of a device: a link while there is one.
#[derive(Debug)]
pub struct FrontEnd<M> {
    plan: Plan,
    /// The link.
    pub link: Option<Link<M>>,
}

impl<M> FrontEnd<M> {
    /// A driver by this plan.
    #[must_use]
    pub fn new(plan: Plan) -> FrontEnd<M> {
        FrontEnd { plan, link: None }
    }
}

impl<D: Events + Grants> FrontDriver<D> for FrontEnd<D::Own> {
    fn publish(&mut self, domain: &mut D, back: DomId, peer: &mut Node<'_>) -> Result<Keys, Fault> {
        let (link, keys) = Link::publish(domain, back, peer, &self.plan)?;
        self.link = Some(link);
        Ok(keys)
    }

    fn connect(&mut self, domain: &mut D, peer: &mut Node<'_>) -> Result<(), Fault> {
        let copes = Link::<D::Own>::offered(peer)?;
        if let Some(link) = &mut self.link {
            link.connect(domain, copes);
        }
        Ok(())
    }

    fn suspend(&mut self) {
        if let Some(link) = &mut self.link {
            link.suspend();
        }
    }

    fn disconnect(&mut self, domain: &mut D) -> Vec<Shared<D::Own>> {
        self.link.take().map_or_else(Vec::new, |link| link.disconnect(domain))
    }
}

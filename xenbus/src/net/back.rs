//! The half that has the network.
//!
//! A [`Link`] is what there is between [`Link::connect`] and [`Link::disconnect`]. Frames that the
//! guest sends come out of [`Link::poll`]; frames for it go into [`Link::deliver`] and, by
//! [`Link::poll`] again, into its pages. Whoever has the link polls at each event of its
//! [ports](Link::ports), and after it has delivered.

mod credit;
mod rx;
mod tx;

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, Port};

use crate::access::{Copies, Events, Grants};
use crate::back::{BackDriver, Ready};
use crate::device::{Fault, Keys, Node};
use crate::handshake::Restart;
use crate::memory::{SharedMemory, TooSmall};
use crate::ring::{BackRing, Notify};

use super::bridge::is_group;
use super::nodes::{self, Ports, Wish};
use super::{Broken, Frame, Mac, flow};

use credit::Credit;
pub use credit::{RATE, Rate};

/// Groups that a guest may name: as many as with Linux.
const GROUPS: usize = 64;

/// What a link has moved and lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames from the guest, and those of them that were wrong.
    pub sent: u64,
    /// See `sent`.
    pub sent_wrong: u64,
    /// Frames that the guest got, and those for it that were lost: it took none for too long, or
    /// named no page that could be written.
    pub received: u64,
    /// See `received`.
    pub received_lost: u64,
}

/// The queues that a guest connected.
#[derive(Debug)]
pub struct Link<M> {
    front: DomId,
    wish: Wish,
    queues: Vec<Queue<M>>,
    groups: BTreeSet<Mac>,
    counts: Counts,
    /// What the guest may send yet, where it may not send as much as it wants.
    credit: Option<Credit>,
}

#[derive(Debug)]
struct Queue<M> {
    tx: tx::Ring<M>,
    rx: rx::Ring<M>,
    ports: Ports,
}

impl<M: SharedMemory> Link<M> {
    /// What a back end with so many queues writes before it is connected to.
    #[must_use]
    pub fn offer(queues: usize) -> Keys {
        nodes::offer(queues)
    }

    /// Maps the rings of `front`, whose directory `peer` is, and binds its ports, for `most` queues
    /// as were offered.
    ///
    /// # Errors
    /// What the peer wrote is of no use; nothing is held then.
    pub fn connect<D>(
        domain: &mut D,
        front: DomId,
        peer: &mut Node<'_>,
        most: usize,
    ) -> Result<Link<M>, Fault>
    where
        D: Events + Grants<Foreign = M>,
    {
        let wish = nodes::read_wish(peer, most)?;
        let (queues, groups) = (Vec::new(), BTreeSet::new());
        let counts = Counts::default();
        let mut link = Link { front, wish, queues, groups, counts, credit: None };
        for number in 0..wish.queues {
            match Queue::connect(domain, front, peer, (number, wish.queues)) {
                Ok(queue) => link.queues.push(queue),
                Err(fault) => {
                    link.disconnect(domain);
                    return Err(fault);
                }
            }
        }
        Ok(link)
    }

    /// Closes the ports and unmaps the rings.
    pub fn disconnect<D: Events + Grants<Foreign = M>>(self, domain: &mut D) {
        for queue in self.queues {
            close(domain, queue.ports);
            domain.unmap(queue.tx.into_memory());
            domain.unmap(queue.rx.into_memory());
        }
    }

    /// Our ports, whose events say that there is something to poll.
    pub fn ports(&self) -> impl Iterator<Item = Port> {
        self.queues.iter().flat_map(|queue| queue.ports.all())
    }

    /// What was moved so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Has the guest send no faster than this. From now on time must be [told](Link::refill).
    pub fn limit(&mut self, rate: Rate, now_ns: u64) {
        self.credit = Some(Credit::new(rate, now_ns));
    }

    /// Says what time it is, where that matters, before a poll.
    pub fn refill(&mut self, now_ns: impl FnOnce() -> u64) {
        if let Some(credit) = &mut self.credit {
            credit.refill(now_ns());
        }
    }

    /// When to poll even if nothing happens: then the guest may send again. None: it may.
    pub fn poll_at(&self) -> Option<u64> {
        self.credit.as_ref().filter(|credit| !credit.is_left()).map(Credit::left_at)
    }

    /// Takes a frame for the guest, to be moved by the next poll. What the guest does not want, or
    /// has no room for, is lost.
    pub fn deliver(&mut self, frame: Frame) {
        if self.wish.groups && !self.wants(&frame) {
            return;
        }
        let number = flow(&frame.bytes) as usize % self.queues.len().max(1);
        let Some(queue) = self.queues.get_mut(number) else { return };
        let fit = frame.suit(self.wish.copes);
        if fit.is_empty() {
            self.counts.received_lost += 1;
        }
        for frame in fit {
            if !queue.rx.enqueue(frame, self.wish.tells) {
                self.counts.received_lost += 1;
            }
        }
    }

    /// Whether a frame is for a group that the guest named, or for no group.
    fn wants(&self, frame: &Frame) -> bool {
        frame
            .addresses()
            .is_some_and(|(to, _)| !is_group(to) || to == [0xff; 6] || self.groups.contains(&to))
    }

    /// Moves what can be moved, a bounded part of it: `sink` gets the guest's frames. Whether more
    /// waits, which no event will tell: poll again.
    ///
    /// # Errors
    /// The link is of no use any more.
    pub fn poll<D>(&mut self, domain: &mut D, mut sink: impl FnMut(Frame)) -> Result<bool, Broken>
    where
        D: Events + Copies<Foreign = M>,
    {
        let mut more = false;
        for queue in &mut self.queues {
            let context = tx::Context {
                front: self.front,
                groups: &mut self.groups,
                counts: &mut self.counts,
                credit: &mut self.credit,
            };
            let (taken, notify) = queue.tx.poll(domain, context, &mut sink)?;
            tell(domain, queue.ports.tx(), notify)?;
            let (given, notify) = queue.rx.poll(domain, self.front, &mut self.counts)?;
            tell(domain, queue.ports.rx(), notify)?;
            more |= taken | given;
        }
        Ok(more)
    }
}

impl<M: SharedMemory> Queue<M> {
    fn connect<D: Events + Grants<Foreign = M>>(
        domain: &mut D,
        front: DomId,
        peer: &mut Node<'_>,
        which: (usize, usize),
    ) -> Result<Queue<M>, Fault> {
        let nodes = nodes::read_queue(peer, which)?;
        let map = |domain: &mut D, grant: pv_abi::types::GrantRef| {
            let mapping = Fault::while_doing(format!("mapping ring-ref {}", grant.raw()));
            domain.map(front, &[grant]).map_err(mapping)
        };
        let tx = map(domain, nodes.tx_ring)?;
        let rx = match map(domain, nodes.rx_ring) {
            Ok(rx) => rx,
            Err(fault) => {
                domain.unmap(tx);
                return Err(fault);
            }
        };
        let ports = match bind(domain, front, nodes.ports) {
            Ok(ports) => ports,
            Err(fault) => {
                domain.unmap(tx);
                domain.unmap(rx);
                return Err(fault);
            }
        };
        let too_small = |TooSmall| Fault::while_doing("mapping a ring")(Errno::EINVAL);
        let tx = tx::Ring::new(BackRing::attach(tx).map_err(too_small)?);
        let rx = rx::Ring::new(BackRing::attach(rx).map_err(too_small)?);
        Ok(Queue { tx, rx, ports })
    }
}

fn bind(domain: &mut impl Events, front: DomId, theirs: Ports) -> Result<Ports, Fault> {
    let one = |domain: &mut dyn Events, port: Port| {
        domain.bind(front, port).map_err(Fault::while_doing(format!("binding port {}", port.raw())))
    };
    match theirs {
        Ports::Both(port) => Ok(Ports::Both(one(domain, port)?)),
        Ports::Split { tx, rx } => {
            let tx = one(domain, tx)?;
            match one(domain, rx) {
                Ok(rx) => Ok(Ports::Split { tx, rx }),
                Err(fault) => {
                    close(domain, Ports::Both(tx));
                    Err(fault)
                }
            }
        }
    }
}

fn close(domain: &mut impl Events, ports: Ports) {
    for port in ports.all() {
        // A port that is gone is as good as closed.
        let _ = domain.close(port);
    }
}

fn tell(domain: &mut impl Events, port: Port, notify: Notify) -> Result<(), Broken> {
    match notify {
        Notify::Yes => domain.send(port).map_err(Broken::Event),
        Notify::No => Ok(()),
    }
}

/// The driver of a device: a link while there is one.
#[derive(Debug)]
pub struct BackEnd<M> {
    queues: usize,
    /// The link.
    pub link: Option<Link<M>>,
}

impl<M> BackEnd<M> {
    /// A driver that offers so many queues.
    #[must_use]
    pub fn new(queues: usize) -> BackEnd<M> {
        BackEnd { queues, link: None }
    }
}

impl<D: Events + Copies> BackDriver<D> for BackEnd<D::Foreign> {
    const RESTART: Restart = Restart::Attach;

    fn prepare(&mut self, _own: &mut Node<'_>) -> Result<Ready, Fault> {
        Ok(Ready::Yes(nodes::offer(self.queues)))
    }

    fn connect(
        &mut self,
        domain: &mut D,
        front: DomId,
        peer: &mut Node<'_>,
    ) -> Result<Keys, Fault> {
        self.link = Some(Link::connect(domain, front, peer, self.queues)?);
        Ok(Keys::default())
    }

    fn disconnect(&mut self, domain: &mut D) {
        if let Some(link) = self.link.take() {
            link.disconnect(domain);
        }
    }
}

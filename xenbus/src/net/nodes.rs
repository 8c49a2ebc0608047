//! What the halves say in XenStore: what each copes with, and where a queue's rings and ports are.
//!
//! With one queue its nodes are in the device's own directory, with several in `queue-<n>` below
//! it. A feature that is not mentioned is not there, but for checksums over IPv4.

use alloc::format;
use alloc::string::String;
use core::str::FromStr;

use pv_abi::errno::Errno;
use pv_abi::types::{GrantRef, Port};

use super::{Copes, QUEUES};
use crate::device::{Fault, Keys, Node};

const RX_COPY: &str = "feature-rx-copy";
const SCATTER: &str = "feature-sg";
const SEGMENTS_V4: &str = "feature-gso-tcpv4";
const SEGMENTS_V6: &str = "feature-gso-tcpv6";
const NO_BLANK_V4: &str = "feature-no-csum-offload";
const BLANK_V6: &str = "feature-ipv6-csum-offload";
const SPLIT: &str = "feature-split-event-channels";
const QUEUES_MOST: &str = "multi-queue-max-queues";
const QUEUES_USED: &str = "multi-queue-num-queues";
const GROUPS: &str = "request-multicast-control";

/// Ports of a queue: one for both rings, or one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ports {
    Both(Port),
    Split { tx: Port, rx: Port },
}

impl Ports {
    pub(super) fn tx(self) -> Port {
        match self {
            Ports::Both(port) | Ports::Split { tx: port, .. } => port,
        }
    }

    pub(super) fn rx(self) -> Port {
        match self {
            Ports::Both(port) | Ports::Split { rx: port, .. } => port,
        }
    }

    /// All of them.
    pub(super) fn all(self) -> impl Iterator<Item = Port> {
        let second = match self {
            Ports::Both(_) => None,
            Ports::Split { rx, .. } => Some(rx),
        };
        core::iter::once(self.tx()).chain(second)
    }
}

/// Where the rings of a queue are.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueNodes {
    pub(super) tx_ring: GrantRef,
    pub(super) rx_ring: GrantRef,
    pub(super) ports: Ports,
}

/// What a back end offers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub(super) copes: Copes,
    pub(super) split: bool,
    pub(super) queues: usize,
}

/// What a front end wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) copes: Copes,
    /// It sends events when it has put pages up.
    pub(super) tells: bool,
    /// It names the groups whose frames it wants.
    pub(super) groups: bool,
    pub(super) queues: usize,
}

/// What a back end of so many queues writes.
pub(super) fn offer(queues: usize) -> Keys {
    let keys = [RX_COPY, SCATTER, SEGMENTS_V4, SEGMENTS_V6, BLANK_V6, SPLIT];
    let keys = keys.into_iter().fold(Keys::default(), |keys, feature| keys.with(feature, 1));
    keys.with("feature-rx-flip", 0)
        .with("feature-multicast-control", 1)
        .with(QUEUES_MOST, queues.clamp(1, QUEUES))
}

/// Reads what a back end offers.
pub(super) fn read_offer(peer: &mut Node<'_>) -> Result<Offer, Fault> {
    if !has(peer, RX_COPY)? {
        let refusing = Fault::while_doing("the back end does not copy what is received");
        return Err(refusing(Errno::EOPNOTSUPP));
    }
    let queues = number(peer, QUEUES_MOST)?.unwrap_or(1);
    Ok(Offer { copes: read_copes(peer)?, split: has(peer, SPLIT)?, queues })
}

/// What a front end writes that copes with this, without its queues.
pub(super) fn wish(copes: Copes) -> Keys {
    let number = u8::from;
    Keys::default()
        .with("request-rx-copy", 1)
        .with("feature-rx-notify", 1)
        .with(SCATTER, number(copes.scatter))
        .with(SEGMENTS_V4, number(copes.segments_v4))
        .with(SEGMENTS_V6, number(copes.segments_v6))
        .with(NO_BLANK_V4, number(!copes.blank_v4))
        .with(BLANK_V6, number(copes.blank_v6))
}

/// Reads what a front end wants.
pub(super) fn read_wish(peer: &mut Node<'_>, most: usize) -> Result<Wish, Fault> {
    if !has(peer, "request-rx-copy")? {
        let refusing = Fault::while_doing("the front end does not ask for copies");
        return Err(refusing(Errno::EOPNOTSUPP));
    }
    let queues = number(peer, QUEUES_USED)?.unwrap_or(1);
    if queues == 0 || queues > most {
        let refusing = Fault::while_doing(format!("connecting {queues} queues of 1 to {most}"));
        return Err(refusing(Errno::EINVAL));
    }
    let copes = read_copes(peer)?;
    let tells = has(peer, "feature-rx-notify")?;
    Ok(Wish { copes, tells, groups: has(peer, GROUPS)?, queues })
}

fn read_copes(peer: &mut Node<'_>) -> Result<Copes, Fault> {
    Ok(Copes {
        scatter: has(peer, SCATTER)?,
        blank_v4: !has(peer, NO_BLANK_V4)?,
        blank_v6: has(peer, BLANK_V6)?,
        segments_v4: has(peer, SEGMENTS_V4)?,
        segments_v6: has(peer, SEGMENTS_V6)?,
    })
}

/// Where the nodes of queue `number` of `all` are.
fn prefix(number: usize, all: usize) -> String {
    if all == 1 { String::new() } else { format!("queue-{number}/") }
}

/// Adds how many queues there are, if it must be said.
pub(super) fn write_count(keys: Keys, all: usize) -> Keys {
    if all == 1 { keys } else { keys.with(QUEUES_USED, all) }
}

/// Adds where the rings of a queue are.
pub(super) fn write_queue(keys: Keys, (number, all): (usize, usize), queue: QueueNodes) -> Keys {
    let at = prefix(number, all);
    let keys = keys
        .with(&format!("{at}tx-ring-ref"), queue.tx_ring.raw())
        .with(&format!("{at}rx-ring-ref"), queue.rx_ring.raw());
    match queue.ports {
        Ports::Both(port) => keys.with(&format!("{at}event-channel"), port.raw()),
        Ports::Split { tx, rx } => keys
            .with(&format!("{at}event-channel-tx"), tx.raw())
            .with(&format!("{at}event-channel-rx"), rx.raw()),
    }
}

/// Reads where the rings of a queue are.
pub(super) fn read_queue(
    peer: &mut Node<'_>,
    (queue, all): (usize, usize),
) -> Result<QueueNodes, Fault> {
    let at = prefix(queue, all);
    let tx_ring = GrantRef::new(peer.number(&format!("{at}tx-ring-ref"))?);
    let rx_ring = GrantRef::new(peer.number(&format!("{at}rx-ring-ref"))?);
    let ports = match number(peer, &format!("{at}event-channel-tx"))? {
        Some(tx) => {
            let rx = peer.number(&format!("{at}event-channel-rx"))?;
            Ports::Split { tx: Port::new(tx), rx: Port::new(rx) }
        }
        None => Ports::Both(Port::new(peer.number(&format!("{at}event-channel"))?)),
    };
    Ok(QueueNodes { tx_ring, rx_ring, ports })
}

fn has(peer: &mut Node<'_>, feature: &str) -> Result<bool, Fault> {
    peer.has(feature).map_err(Fault::while_doing(format!("reading {feature}")))
}

/// A number that need not be there.
fn number<T: FromStr>(peer: &mut Node<'_>, key: &str) -> Result<Option<T>, Fault> {
    match peer.number(key) {
        Ok(number) => Ok(Some(number)),
        Err(fault) if fault.errno == Errno::ENOENT => Ok(None),
        Err(fault) => Err(fault),
    }
}

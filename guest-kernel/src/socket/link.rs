//! The network device as smoltcp sees it: the interface, and the host itself on the same wire.
//!
//! Frames to the host's own address never reach the interface: they come back in order, as from
//! another host. So one set of sockets serves 127.0.0.1, the host's own address and everyone else.
//! smoltcp learns where its own addresses are from an ARP reply that [`Link::announce`] makes up.
//!
//! Nobody outside may speak from 127.0.0.0/8 or to it: such frames are dropped here.

use crate::net::{ETHERNET_HEADER, ETHERNET_MTU, Interface, Mac};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use smoltcp::phy::{self, Checksum, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, Ipv4Packet,
};

/// The address of a host without an interface: one of those that nobody owns.
const ALONE: Mac = [2, 0, 0, 0, 0, 1];
/// Frames on the way from the host to itself. More are lost, as on any network.
const LOOPED: usize = 256;
/// Frames that the interface had no room for. When there are so many, nothing is sent.
const DELAYED: usize = 8;

/// Frames and bytes, in and out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames received.
    pub frames_in: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Frames sent.
    pub frames_out: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

/// Where sent frames go.
struct Outgoing {
    mac: Mac,
    interface: Option<Arc<dyn Interface>>,
    frame: Vec<u8>,
    delayed: VecDeque<Vec<u8>>,
    looped: VecDeque<Vec<u8>>,
    outside: Counters,
    inside: Counters,
}

/// The device.
pub struct Link {
    out: Outgoing,
    /// The frame that is to be received next, if `is_filled`.
    next: Vec<u8>,
    is_filled: bool,
}

impl Link {
    /// A wire with an interface, or with this host alone.
    pub fn new(interface: Option<Arc<dyn Interface>>) -> Self {
        let out = Outgoing {
            mac: interface.as_ref().map_or(ALONE, |interface| interface.mac()),
            interface,
            frame: Vec::new(),
            delayed: VecDeque::new(),
            looped: VecDeque::new(),
            outside: Counters::default(),
            inside: Counters::default(),
        };
        Self { out, next: Vec::new(), is_filled: false }
    }

    /// The host's address on the wire.
    pub fn mac(&self) -> Mac {
        self.out.mac
    }

    /// Bytes in a frame behind its header.
    pub fn mtu(&self) -> usize {
        self.out.interface.as_ref().map_or(ETHERNET_MTU, |interface| interface.mtu())
    }

    /// Whether frames reach anybody else.
    pub fn is_up(&self) -> bool {
        self.out.interface.as_ref().is_some_and(|interface| interface.is_up())
    }

    /// Whether there is an interface.
    pub fn has_interface(&self) -> bool {
        self.out.interface.is_some()
    }

    /// What went over the interface, and what went from the host to itself.
    pub fn counters(&self) -> (Counters, Counters) {
        (self.out.outside, self.out.inside)
    }

    /// Whether frames wait for room in the interface.
    pub fn is_busy(&self) -> bool {
        !self.out.delayed.is_empty()
    }

    /// Has the host tell itself that it has `address`.
    pub fn announce(&mut self, address: Ipv4Addr) {
        let mac = EthernetAddress(self.out.mac);
        let reply = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Reply,
            source_hardware_addr: mac,
            source_protocol_addr: address,
            target_hardware_addr: mac,
            target_protocol_addr: address,
        };
        let mut frame = alloc::vec![0; ETHERNET_HEADER + reply.buffer_len()];
        let mut ethernet = EthernetFrame::new_unchecked(&mut frame);
        ethernet.set_src_addr(mac);
        ethernet.set_dst_addr(mac);
        ethernet.set_ethertype(EthernetProtocol::Arp);
        reply.emit(&mut ArpPacket::new_unchecked(ethernet.payload_mut()));
        // Before whatever waits for it.
        self.out.looped.push_front(frame);
    }

    /// The frame that is received next, if one has come.
    pub fn peek(&mut self) -> Option<&[u8]> {
        if !self.is_filled {
            self.is_filled = self.fill();
        }
        self.is_filled.then_some(&self.next)
    }

    /// Drops the frame that would be received next.
    pub fn skip(&mut self) {
        self.is_filled = false;
    }

    fn fill(&mut self) -> bool {
        if let Some(frame) = self.out.looped.pop_front() {
            count(&mut self.out.inside.frames_in, &mut self.out.inside.bytes_in, frame.len());
            self.next = frame;
            return true;
        }
        let Some(interface) = &self.out.interface else { return false };
        while interface.receive(&mut self.next) {
            let counters = &mut self.out.outside;
            count(&mut counters.frames_in, &mut counters.bytes_in, self.next.len());
            if !is_of_loopback(&self.next) {
                return true;
            }
        }
        false
    }
}

fn count(frames: &mut u64, bytes: &mut u64, length: usize) {
    *frames += 1;
    *bytes += length as u64;
}

/// Whether a frame from outside speaks of addresses that only the host itself has.
fn is_of_loopback(frame: &[u8]) -> bool {
    let Ok(frame) = EthernetFrame::new_checked(frame) else { return true };
    match frame.ethertype() {
        EthernetProtocol::Ipv4 => Ipv4Packet::new_checked(frame.payload())
            .is_ok_and(|packet| packet.src_addr().is_loopback() || packet.dst_addr().is_loopback()),
        EthernetProtocol::Arp => {
            let Ok(packet) = ArpPacket::new_checked(frame.payload()) else { return true };
            packet.source_protocol_addr().first() == Some(&127)
        }
        _ => false,
    }
}

impl Outgoing {
    /// Sends what waits for room, as far as there is room.
    fn flush(&mut self) {
        let Some(interface) = &self.interface else { return };
        while let Some(frame) = self.delayed.front() {
            if interface.send(frame).is_err() {
                return;
            }
            self.delayed.pop_front();
        }
    }

    /// Sends `self.frame`.
    fn send(&mut self) {
        let is_own = self.frame.get(..6) == Some(&self.mac);
        if is_own {
            count(&mut self.inside.frames_out, &mut self.inside.bytes_out, self.frame.len());
            if self.looped.len() < LOOPED {
                self.looped.push_back(core::mem::take(&mut self.frame));
            }
            return;
        }
        let Some(interface) = &self.interface else { return };
        count(&mut self.outside.frames_out, &mut self.outside.bytes_out, self.frame.len());
        if !self.delayed.is_empty() || interface.send(&self.frame).is_err() {
            // A reply may come on top of what is full already, but not without end.
            if self.delayed.len() < 2 * DELAYED {
                self.delayed.push_back(core::mem::take(&mut self.frame));
            }
        }
    }
}

/// A frame that was received.
pub struct Received<'a>(&'a [u8]);

/// The right to send a frame.
pub struct Sender<'a>(&'a mut Outgoing);

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl phy::TxToken for Sender<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        self.0.frame.clear();
        self.0.frame.resize(length, 0);
        let result = f(&mut self.0.frame);
        self.0.send();
        result
    }
}

impl phy::Device for Link {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sender<'a>;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = ETHERNET_HEADER + self.mtu();
        let offload = self.out.interface.as_ref().map(|interface| interface.offload());
        let offload = offload.unwrap_or_default();
        // What is sent without checksums comes back without them when it is for the host itself.
        let checksum = match (offload.transmit, offload.receive) {
            (true, true) => Checksum::None,
            (false, true) => Checksum::Tx,
            (_, false) => Checksum::Both,
        };
        capabilities.checksum.tcp = checksum;
        capabilities.checksum.udp = checksum;
        capabilities
    }

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sender<'_>)> {
        self.peek()?;
        self.is_filled = false;
        Some((Received(&self.next), Sender(&mut self.out)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sender<'_>> {
        self.out.flush();
        (self.out.delayed.len() < DELAYED).then_some(Sender(&mut self.out))
    }
}

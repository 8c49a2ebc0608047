//! The virtio network card: frames in each direction, a page at a time.
//!
//! Virtio 1.2, section 5.1; one pair of queues. In front of each frame is a header, which says
//! nothing here: checksums and segments are not left to the device, since QEMU's user network
//! takes neither. Without a control queue the device passes on frames for all addresses, which a
//! bridge needs.
#![allow(unsafe_code)] // UNSAFETY: gives pages to the device and takes them back.

use super::console::Error;
use super::dma::{Machine, Page};
use super::pci::{self, Configuration};
use crate::arch::io::Ports;
use crate::mm::PAGE;
use alloc::vec::Vec;
use bitflags::bitflags;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::Transport;
use virtio_drivers::transport::pci::PciTransport;
use virtio_drivers::transport::pci::bus::PciRoot;

/// Vendor and device of a network card that is no legacy one.
const ID: u32 = 0x1041_1af4;
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
/// Entries of a queue, as many as fit a page with room to spare; so many pages it holds.
const QUEUE: usize = 64;
/// Bytes in front of a frame.
const HEADER: usize = 12;
/// Bytes of the longest frame.
pub const FRAME: usize = PAGE as usize - HEADER;

bitflags! {
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        const MAC = 1 << 5;
        const VERSION_1 = 1 << 32;
    }
}

type Queue = VirtQueue<Machine, QUEUE>;

/// The device and its pages.
pub struct Card {
    transport: PciTransport,
    receive: Queue,
    transmit: Queue,
    /// Pages that the device has, by token.
    received: [Option<Page>; QUEUE],
    sent: [Option<(Page, usize)>; QUEUE],
    /// Pages to send.
    free: Vec<Page>,
    mac: [u8; 6],
    irq: u32,
}

impl Card {
    /// The machine's network card, ready to receive.
    pub fn new() -> Result<Self, Error> {
        let configuration = Configuration::new(Ports::take().map_err(|_| Error::None)?);
        let function = configuration.find(ID).ok_or(Error::None)?;
        let irq = configuration.irq(function);
        let mut root = PciRoot::new(configuration);
        pci::enable(&mut root, function);
        let transport = PciTransport::new::<Machine, _>(&mut root, function);
        let mut transport = transport.map_err(|_| Error::Device)?;
        if !transport.begin_init(Features::all()).contains(Features::all()) {
            return Err(Error::Device);
        }
        let mac = transport.read_config_space(0)?;
        let receive = Queue::new(&mut transport, RECEIVE, false, false)?;
        let mut transmit = Queue::new(&mut transport, TRANSMIT, false, false)?;
        // Room to send is looked for when it is wanted.
        transmit.set_dev_notify(false);
        transport.finish_init();
        let mut card = Self {
            transport,
            receive,
            transmit,
            received: [const { None }; QUEUE],
            sent: [const { None }; QUEUE],
            free: Vec::new(),
            mac,
            irq,
        };
        for _ in 0..QUEUE {
            card.free.push(Page::new().ok_or(Error::Memory)?);
            card.offer(Page::new().ok_or(Error::Memory)?)?;
        }
        card.transport.notify(RECEIVE);
        Ok(card)
    }

    /// Its own address, which a bridge has no use for but to derive another's from.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// The wire it interrupts by.
    pub fn irq(&self) -> u32 {
        self.irq
    }

    /// Takes note of an interrupt: the wire is quiet afterwards.
    pub fn acknowledge(&mut self) {
        self.transport.ack_interrupt();
    }

    /// Gives the device a page to fill.
    fn offer(&mut self, mut page: Page) -> Result<(), Error> {
        // SAFETY: 1. The page stays in `received`, untouched, until `pop_used` gives it back.
        let token = page.with(|bytes| unsafe { self.receive.add(&[], &mut [&mut bytes[..]]) })?;
        *self.received.get_mut(usize::from(token)).ok_or(Error::Device)? = Some(page);
        Ok(())
    }

    /// Calls `f` with the frames that have come, at most a queue of them, and gives the pages back.
    /// Whether any had come.
    pub fn receive(&mut self, mut f: impl FnMut(&[u8])) -> Result<bool, Error> {
        let mut count = 0;
        while count < QUEUE
            && let Some(token) = self.receive.peek_used()
        {
            let place = self.received.get_mut(usize::from(token));
            let mut page = place.and_then(Option::take).ok_or(Error::Device)?;
            page.with(|bytes| {
                // SAFETY: 1. The page is the one that was added under this token.
                let length = unsafe { self.receive.pop_used(token, &[], &mut [&mut bytes[..]]) }?;
                f(bytes.get(HEADER..length as usize).ok_or(Error::Device)?);
                Ok::<(), Error>(())
            })?;
            self.offer(page)?;
            count += 1;
        }
        if count > 0 && self.receive.should_notify() {
            self.transport.notify(RECEIVE);
        }
        Ok(count > 0)
    }

    /// Sends a frame of at most [`FRAME`] bytes. False: no page is free; an interrupt says when one
    /// is.
    pub fn send(&mut self, frame: &[u8]) -> Result<bool, Error> {
        self.reclaim()?;
        if self.free.is_empty() {
            // The device may have sent some just before it was asked to tell.
            self.transmit.set_dev_notify(true);
            self.reclaim()?;
        }
        let Some(mut page) = self.free.pop() else { return Ok(false) };
        self.transmit.set_dev_notify(false);
        let length = HEADER + frame.len();
        let token = page.with(|bytes| {
            let bytes = bytes.get_mut(..length).ok_or(Error::Device)?;
            let (header, body) = bytes.split_at_mut(HEADER);
            header.fill(0);
            body.copy_from_slice(frame);
            // SAFETY: 1. The page stays in `sent`, untouched, until `pop_used` gives it back.
            Ok::<u16, Error>(unsafe { self.transmit.add(&[bytes], &mut []) }?)
        })?;
        *self.sent.get_mut(usize::from(token)).ok_or(Error::Device)? = Some((page, length));
        if self.transmit.should_notify() {
            self.transport.notify(TRANSMIT);
        }
        Ok(true)
    }

    /// Takes back the pages that the device has sent.
    fn reclaim(&mut self) -> Result<(), Error> {
        while let Some(token) = self.transmit.peek_used() {
            let place = self.sent.get_mut(usize::from(token));
            let (mut page, length) = place.and_then(Option::take).ok_or(Error::Device)?;
            // SAFETY: 1. These are the bytes that were added under this token.
            page.with(|bytes| unsafe {
                self.transmit.pop_used(token, &[&bytes[..length]], &mut [])
            })?;
            self.free.push(page);
        }
        Ok(())
    }
}

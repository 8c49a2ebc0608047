//! The virtio console: a stream of bytes in each direction, a page at a time.
//!
//! Virtio 1.2, section 5.3; port 0 alone. The receiving queue always holds pages for the device to
//! fill. The sending queue's pages come back when the device has taken them; QEMU does so while it
//! is notified, unless whoever listens on the host does not.
#![allow(unsafe_code)] // UNSAFETY: gives pages to the device and takes them back.

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

/// Vendor and device of a console that is no legacy one.
const ID: u32 = 0x1043_1af4;
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
/// Entries of a queue, as many as fit a page with room to spare; so many pages it holds.
const QUEUE: usize = 64;

bitflags! {
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        const VERSION_1 = 1 << 32;
    }
}

type Queue = VirtQueue<Machine, QUEUE>;

/// Why there is no console, or not any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The machine has none, or the domain has no devices.
    None,
    /// Out of memory.
    Memory,
    /// The device does not work as it should.
    Device,
}

impl From<virtio_drivers::Error> for Error {
    fn from(error: virtio_drivers::Error) -> Self {
        match error {
            virtio_drivers::Error::DmaError => Self::Memory,
            _ => Self::Device,
        }
    }
}

/// The device and its pages.
pub struct Console {
    transport: PciTransport,
    receive: Queue,
    transmit: Queue,
    /// Pages that the device has, by token.
    received: [Option<Page>; QUEUE],
    sent: [Option<(Page, usize)>; QUEUE],
    /// Pages to send.
    free: Vec<Page>,
    irq: u32,
}

impl Console {
    /// The machine's console, ready to receive.
    pub fn new() -> Result<Self, Error> {
        let configuration = Configuration::new(Ports::take().map_err(|_| Error::None)?);
        let function = configuration.find(ID).ok_or(Error::None)?;
        let irq = configuration.irq(function);
        let mut root = PciRoot::new(configuration);
        pci::enable(&mut root, function);
        let transport = PciTransport::new::<Machine, _>(&mut root, function);
        let mut transport = transport.map_err(|_| Error::Device)?;
        if !transport.begin_init(Features::VERSION_1).contains(Features::VERSION_1) {
            return Err(Error::Device);
        }
        let receive = Queue::new(&mut transport, RECEIVE, false, false)?;
        let mut transmit = Queue::new(&mut transport, TRANSMIT, false, false)?;
        // Room to send is looked for when it is wanted.
        transmit.set_dev_notify(false);
        transport.finish_init();
        let mut console = Self {
            transport,
            receive,
            transmit,
            received: [const { None }; QUEUE],
            sent: [const { None }; QUEUE],
            free: Vec::new(),
            irq,
        };
        for _ in 0..QUEUE {
            console.free.push(Page::new().ok_or(Error::Memory)?);
            console.offer(Page::new().ok_or(Error::Memory)?)?;
        }
        console.transport.notify(RECEIVE);
        Ok(console)
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

    /// Calls `f` with what has come, page by page, and gives the pages back. Whether any had come.
    pub fn receive(&mut self, mut f: impl FnMut(&[u8])) -> Result<bool, Error> {
        let mut any = false;
        while let Some(token) = self.receive.peek_used() {
            let place = self.received.get_mut(usize::from(token));
            let mut page = place.and_then(Option::take).ok_or(Error::Device)?;
            page.with(|bytes| {
                // SAFETY: 1. The page is the one that was added under this token.
                let length = unsafe { self.receive.pop_used(token, &[], &mut [&mut bytes[..]]) }?;
                f(bytes.get(..length as usize).ok_or(Error::Device)?);
                Ok::<(), Error>(())
            })?;
            self.offer(page)?;
            any = true;
        }
        if any && self.receive.should_notify() {
            self.transport.notify(RECEIVE);
        }
        Ok(any)
    }

    /// Sends as much of `bytes` as there are pages for; how many bytes.
    pub fn transmit(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.reclaim()?;
        let mut taken = 0;
        for part in bytes.chunks(PAGE as usize) {
            let Some(mut page) = self.free.pop() else { break };
            let token = page.with(|bytes| {
                let bytes = &mut bytes[..part.len()];
                bytes.copy_from_slice(part);
                // SAFETY: 1. The page stays in `sent`, untouched, until `pop_used` gives it back.
                unsafe { self.transmit.add(&[bytes], &mut []) }
            })?;
            let place = self.sent.get_mut(usize::from(token)).ok_or(Error::Device)?;
            *place = Some((page, part.len()));
            taken += part.len();
        }
        if taken > 0 && self.transmit.should_notify() {
            self.transport.notify(TRANSMIT);
        }
        // An interrupt says when there is room again.
        self.transmit.set_dev_notify(taken < bytes.len());
        Ok(taken)
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

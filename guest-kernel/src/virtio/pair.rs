//! A device with two queues of pages, one in each direction: the [console](super::console), the
//! [network card](super::net).
//!
//! The receiving queue always holds pages for the device to fill. The sending queue's pages come back
//! when the device has taken them, which is looked for when there is something to send.
#![allow(unsafe_code)] // UNSAFETY: gives pages to the device and takes them back.

use super::dma::{Machine, Page};
use super::pci::{self, Configuration};
use crate::mm::PAGE;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bitflags::Flags;
use core::fmt::Debug;
use core::ops::{BitAnd, BitAndAssign};
use ring1::io::Ports;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::Transport;
use virtio_drivers::transport::pci::PciTransport;

const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
/// Entries of a queue, as many as fit a page with room to spare; so many pages it holds.
const QUEUE: usize = 64;

type Queue = VirtQueue<Machine, QUEUE>;

/// Why there is no device, or not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
pub struct Pair {
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

impl Pair {
    /// The machine's first device with this vendor and device, with all of these features, ready to
    /// receive. It is on the heap, and put together in a frame of its own: it is too large to be moved
    /// about on the stack of a kernel that starts.
    #[inline(never)]
    pub fn new<F>(id: u32, features: F) -> Result<Box<Self>, Error>
    where
        F: Flags<Bits = u64> + BitAnd<Output = F> + BitAndAssign + Copy + Debug,
    {
        let configuration = Configuration::new(Ports::take().map_err(|_| Error::None)?);
        let function = configuration.find(id).ok_or(Error::None)?;
        let opened = pci::open(configuration, function);
        let (mut transport, irq) = opened.map_err(|_| Error::Device)?;
        if !transport.begin_init(features).contains(features) {
            return Err(Error::Device);
        }
        let receive = Queue::new(&mut transport, RECEIVE, false, false)?;
        let mut transmit = Queue::new(&mut transport, TRANSMIT, false, false)?;
        // Room to send is looked for when it is wanted.
        transmit.set_dev_notify(false);
        transport.finish_init();
        let mut pair = Box::new(Self {
            transport,
            receive,
            transmit,
            received: [const { None }; QUEUE],
            sent: [const { None }; QUEUE],
            free: Vec::new(),
            irq,
        });
        for _ in 0..QUEUE {
            pair.free.push(Page::new().ok_or(Error::Memory)?);
            pair.offer(Page::new().ok_or(Error::Memory)?)?;
        }
        pair.transport.notify(RECEIVE);
        Ok(pair)
    }

    /// The device's registers.
    pub fn transport(&self) -> &PciTransport {
        &self.transport
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

    /// Calls `f` with what has come, page by page, at most a queue of them, and gives the pages back.
    /// Whether any had come.
    pub fn receive(
        &mut self,
        mut f: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let mut count = 0;
        while count < QUEUE
            && let Some(token) = self.receive.peek_used()
        {
            let place = self.received.get_mut(usize::from(token));
            let mut page = place.and_then(Option::take).ok_or(Error::Device)?;
            page.with(|bytes| {
                // SAFETY: 1. The page is the one that was added under this token.
                let length = unsafe { self.receive.pop_used(token, &[], &mut [&mut bytes[..]]) }?;
                f(bytes.get(..length as usize).ok_or(Error::Device)?)
            })?;
            self.offer(page)?;
            count += 1;
        }
        super::settle();
        if count > 0 && self.receive.should_notify() {
            self.transport.notify(RECEIVE);
        }
        Ok(count > 0)
    }

    /// Whether the device interrupts when it has taken a page, from now on.
    pub fn tell_of_room(&mut self, tell: bool) {
        self.transmit.set_dev_notify(tell);
        super::settle();
    }

    /// Takes back the pages that the device has sent. Whether there is one to send.
    pub fn has_room(&mut self) -> Result<bool, Error> {
        while let Some(token) = self.transmit.peek_used() {
            let place = self.sent.get_mut(usize::from(token));
            let (mut page, length) = place.and_then(Option::take).ok_or(Error::Device)?;
            // SAFETY: 1. These are the bytes that were added under this token.
            page.with(|bytes| unsafe {
                self.transmit.pop_used(token, &[&bytes[..length]], &mut [])
            })?;
            self.free.push(page);
        }
        Ok(!self.free.is_empty())
    }

    /// Has so many bytes sent, at most a page, which `fill` writes. False: no page is free.
    pub fn send(&mut self, length: usize, fill: impl FnOnce(&mut [u8])) -> Result<bool, Error> {
        let Some(mut page) = self.free.pop() else { return Ok(false) };
        let token = page.with(|bytes: &mut [u8; PAGE as usize]| {
            let bytes = bytes.get_mut(..length).ok_or(Error::Device)?;
            fill(bytes);
            // SAFETY: 1. The page stays in `sent`, untouched, until `pop_used` gives it back.
            Ok::<u16, Error>(unsafe { self.transmit.add(&[bytes], &mut []) }?)
        })?;
        *self.sent.get_mut(usize::from(token)).ok_or(Error::Device)? = Some((page, length));
        Ok(true)
    }

    /// Has the device look at what was given to it to send.
    pub fn flush(&mut self) {
        super::settle();
        if self.transmit.should_notify() {
            self.transport.notify(TRANSMIT);
        }
    }
}

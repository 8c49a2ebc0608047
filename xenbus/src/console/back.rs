//! The daemon's half.

use alloc::collections::VecDeque;
use alloc::format;

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, GrantRef, Port};

use crate::access::{Events, Grants};
use crate::back::{BackDriver, Ready};
use crate::console_page::{BackEnd, IN_SIZE, OUT_SIZE};
use crate::device::{Fault, Keys, Node};
use crate::handshake::Restart;
use crate::memory::{SharedMemory, TooSmall};

use super::{Broken, Log};

/// What a [`Console::poll`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// How many bytes were printed.
    pub printed: usize,
    /// How many typed bytes went to the guest: as many more can be typed.
    pub typed: usize,
    /// More wait: it is another's turn now, and this console's again without an event.
    pub more: bool,
}

/// A domain's console: what it printed last, what is typed, and the page through which both go
/// while there is one.
///
/// It outlives the page, so that what a domain said before it died can be read.
#[derive(Debug)]
pub struct Console<M> {
    line: Option<(BackEnd<M>, Port)>,
    log: Log,
    /// Typed, and not yet in the guest's ring: at most [`IN_SIZE`] bytes.
    typed: VecDeque<u8>,
}

impl<M: SharedMemory> Console<M> {
    /// A console without a page, whose log has the last `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Console<M> {
        Console { line: None, log: Log::new(capacity), typed: VecDeque::new() }
    }

    /// Takes over a page, and our port of its event channel. What waits in the page is found by the
    /// next [`poll`](Console::poll).
    ///
    /// # Errors
    /// The memory is smaller than the page's contents.
    pub fn attach(&mut self, memory: M, port: Port) -> Result<(), TooSmall> {
        self.line = Some((BackEnd::attach(memory)?, port));
        Ok(())
    }

    /// Gives page and port back, if there are any.
    pub fn detach(&mut self) -> Option<(M, Port)> {
        self.line.take().map(|(page, port)| (page.into_memory(), port))
    }

    /// Our port, while there is a page.
    #[must_use]
    pub fn port(&self) -> Option<Port> {
        self.line.as_ref().map(|(_, port)| *port)
    }

    /// What was printed, to read, or to add what the daemon has to say of the console.
    pub fn log(&mut self) -> &mut Log {
        &mut self.log
    }

    /// Types bytes, as many as there is room for; returns how many. [`poll`](Console::poll) carries
    /// them to the guest.
    pub fn type_in(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(IN_SIZE - self.typed.len());
        self.typed.extend(bytes.iter().take(count));
        count
    }

    /// Moves what is printed to the log, a ring's worth at most, and what is typed to the guest: at
    /// each event, and after [`type_in`](Console::type_in).
    ///
    /// # Errors
    /// The guest broke the ring, or its port is gone: the page is of no use any more.
    pub fn poll(&mut self, events: &mut impl Events) -> Result<Polled, Broken> {
        let Some((page, port)) = &mut self.line else {
            return Ok(Polled::default());
        };
        let mut printed = 0;
        let mut chunk = [0; 256];
        while printed < OUT_SIZE {
            let count = page.read(&mut chunk)?;
            if count == 0 {
                break;
            }
            self.log.push(chunk.get(..count).unwrap_or(&chunk));
            printed += count;
        }
        let typed = page.write(self.typed.make_contiguous())?;
        self.typed.drain(..typed);
        if printed + typed > 0 {
            events.send(*port).map_err(Broken::Event)?;
        }
        Ok(Polled { printed, typed, more: page.waiting()? > 0 })
    }
}

impl<D: Events + Grants> BackDriver<D> for Console<D::Foreign> {
    /// Bytes are taken in order, so nothing is lost and nothing comes twice.
    const RESTART: Restart = Restart::Attach;

    fn prepare(&mut self, _own: &mut Node<'_>) -> Result<Ready, Fault> {
        Ok(Ready::Yes(Keys::default()))
    }

    fn connect(
        &mut self,
        domain: &mut D,
        front: DomId,
        peer: &mut Node<'_>,
    ) -> Result<Keys, Fault> {
        let grant = GrantRef::new(peer.number("ring-ref")?);
        let theirs = Port::new(peer.number("port")?);
        let memory = domain
            .map(front, &[grant])
            .map_err(Fault::while_doing(format!("mapping ring-ref {}", grant.raw())))?;
        let port = match domain.bind(front, theirs) {
            Ok(port) => port,
            Err(errno) => {
                domain.unmap(memory);
                return Err(Fault::while_doing(format!("binding port {}", theirs.raw()))(errno));
            }
        };
        self.attach(memory, port)
            .map_err(|TooSmall| Fault::while_doing("mapping the ring")(Errno::EINVAL))?;
        Ok(Keys::default())
    }

    fn disconnect(&mut self, domain: &mut D) {
        if let Some((memory, port)) = self.detach() {
            // A port that is gone is as good as closed.
            let _ = domain.close(port);
            domain.unmap(memory);
        }
        self.typed.clear();
    }
}

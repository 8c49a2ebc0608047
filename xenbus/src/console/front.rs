//! The guest's half.

use alloc::vec;
use alloc::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, GrantRef, Port};

use crate::access::{Events, Grants, Shared};
use crate::console_page::GuestEnd;
use crate::device::{Fault, Keys, Node};
use crate::front::FrontDriver;
use crate::memory::{SharedMemory, TooSmall};

use super::Broken;

/// A console as a guest uses it: a page and a port.
#[derive(Debug)]
pub struct Terminal<M> {
    page: GuestEnd<M>,
    port: Port,
}

impl<M: SharedMemory> Terminal<M> {
    /// A terminal of the page and the port that the start info names, or that a device has.
    ///
    /// # Errors
    /// The memory is smaller than the page's contents.
    pub fn new(memory: M, port: Port) -> Result<Terminal<M>, TooSmall> {
        Ok(Terminal { page: GuestEnd::attach(memory)?, port })
    }

    /// The port whose events say that there is room again, or that something was typed.
    #[must_use]
    pub fn port(&self) -> Port {
        self.port
    }

    /// Prints as many bytes as fit; returns how many. If not all, the rest may be tried after the
    /// next event.
    ///
    /// # Errors
    /// The console is of no use any more.
    pub fn write(&mut self, events: &mut impl Events, bytes: &[u8]) -> Result<usize, Broken> {
        let count = self.page.write(bytes)?;
        self.tell(events, count)
    }

    /// Reads what was typed, as much as fits; returns how much.
    ///
    /// # Errors
    /// The console is of no use any more.
    pub fn read(&mut self, events: &mut impl Events, into: &mut [u8]) -> Result<usize, Broken> {
        let count = self.page.read(into)?;
        self.tell(events, count)
    }

    /// How many typed bytes wait.
    ///
    /// # Errors
    /// The console is of no use any more.
    pub fn waiting(&self) -> Result<usize, Broken> {
        Ok(self.page.waiting()?)
    }

    fn tell(&self, events: &mut impl Events, count: usize) -> Result<usize, Broken> {
        if count > 0 {
            events.send(self.port).map_err(Broken::Event)?;
        }
        Ok(count)
    }
}

/// The driver of a console that is a device.
#[derive(Debug)]
pub struct FrontEnd<M>(Option<(Terminal<M>, Vec<GrantRef>)>);

impl<M> Default for FrontEnd<M> {
    fn default() -> FrontEnd<M> {
        FrontEnd(None)
    }
}

impl<M> FrontEnd<M> {
    /// The terminal, while there is one. What is printed before the back end is connected waits in
    /// its ring.
    pub fn terminal(&mut self) -> Option<&mut Terminal<M>> {
        self.0.as_mut().map(|(terminal, _)| terminal)
    }
}

impl<D: Events + Grants> FrontDriver<D> for FrontEnd<D::Own> {
    fn publish(
        &mut self,
        domain: &mut D,
        back: DomId,
        _peer: &mut Node<'_>,
    ) -> Result<Keys, Fault> {
        let Shared { memory, grants } =
            domain.share(back, 1).map_err(Fault::while_doing("sharing the ring"))?;
        let port = match domain.alloc_unbound(back) {
            Ok(port) => port,
            Err(errno) => {
                // Nobody has heard of the page, so it can be ended.
                let _ = domain.end(Shared { memory, grants });
                return Err(Fault::while_doing("making an event channel")(errno));
            }
        };
        let grant = grants.first().map_or(0, |grant| grant.raw());
        let terminal = Terminal::new(memory, port)
            .map_err(|TooSmall| Fault::while_doing("sharing the ring")(Errno::EINVAL))?;
        self.0 = Some((terminal, grants));
        Ok(Keys::default().with("ring-ref", grant).with("port", port.raw()))
    }

    fn connect(&mut self, _domain: &mut D, _peer: &mut Node<'_>) -> Result<(), Fault> {
        // Nothing is offered, and the ring is in use since it was made.
        Ok(())
    }

    fn disconnect(&mut self, domain: &mut D) -> Vec<Shared<D::Own>> {
        let Some((terminal, grants)) = self.0.take() else {
            return Vec::new();
        };
        // A port that is gone is as good as closed.
        let _ = domain.close(terminal.port);
        vec![Shared { memory: terminal.page.into_memory(), grants }]
    }
}

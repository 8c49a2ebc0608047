//! `consoled`: the back end of every other domain's console.
//!
//! What a domain prints is taken out of its ring as soon as it comes and kept in a
//! [`Scrollback`], so that a domain never waits for a reader; `xl console` reads from there, any
//! number of them at a time. What is typed goes into the ring as far as there is room. A domain that
//! breaks its ring loses its console, and nothing else happens.

use super::watchers;
use crate::arch::calls;
use crate::arch::events::{self, Masked};
use crate::mm::foreign::SharedFrame;
use crate::scrollback::Scrollback;
use crate::sync::Guarded;
use crate::task::scheduler::{self, CONSOLED};
use crate::{ports, println};
use alloc::collections::BTreeMap;
use pv_abi::errno::Errno;
use pv_abi::types::{DomId, Port};
use pv_image::start::Ring;
use xenbus::console_page::BackEnd;

/// A domain's console.
struct Console {
    end: Option<BackEnd<SharedFrame>>,
    port: Port,
    said: Scrollback,
    /// Who reads it now.
    readers: u32,
    /// The domain has gone; it is kept for its readers.
    ended: bool,
}

static CONSOLES: Guarded<BTreeMap<u16, Console>> = Guarded::new(BTreeMap::new());

/// Starts the task.
pub fn start() {
    if scheduler::start_kernel("consoled", task, 0).is_none() {
        println!("no memory for consoled: other domains have no consoles");
    }
}

extern "C" fn task(_: u32) -> ! {
    let _masked = Masked::new();
    loop {
        let moved = CONSOLES.with(|consoles| {
            consoles.values_mut().filter_map(Console::take).filter(|n| *n > 0).count()
        });
        if moved > 0 {
            watchers::wake();
        }
        scheduler::sleep(CONSOLED, 0);
    }
}

/// A port has rung.
fn rung() {
    scheduler::wake(CONSOLED);
}

impl Console {
    /// Takes what was printed; how many bytes.
    fn take(&mut self) -> Option<usize> {
        let end = self.end.as_mut()?;
        let mut buffer = [0; 256];
        let mut taken = 0;
        loop {
            match end.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    self.said.push(buffer.get(..count).unwrap_or(&buffer));
                    taken += count;
                }
                Err(_) => {
                    self.said.push(b"\n(the domain broke its console)\n");
                    self.end = None;
                    break;
                }
            }
        }
        if taken > 0 {
            // There is room now. If it cannot be told, the domain is going.
            let _ = calls::evtchn_send(self.port);
        }
        Some(taken)
    }
}

/// Takes up the console of a new domain.
pub fn attach(domain: DomId, ring: Ring) -> Result<(), Errno> {
    let memory = SharedFrame::map(domain, ring.mfn)?;
    // A page is enough.
    let end = BackEnd::attach(memory).map_err(|_| Errno::EINVAL)?;
    let port = calls::evtchn_bind_interdomain(domain, ring.port)?;
    let console =
        Console { end: Some(end), port, said: Scrollback::new(), readers: 0, ended: false };
    CONSOLES.with(|consoles| consoles.insert(domain.raw(), console));
    ports::set(port, rung);
    events::unmask_port(port);
    Ok(())
}

/// Gives a domain's console up, as the domain ends: who reads it now may read what is left.
/// Nothing happens to one that is not there.
pub fn detach(domain: DomId) {
    let port = CONSOLES.with(|consoles| {
        let console = consoles.get_mut(&domain.raw())?;
        console.take();
        // Unmaps the page.
        console.end = None;
        let port = console.port;
        if console.readers == 0 {
            consoles.remove(&domain.raw());
        } else {
            console.ended = true;
        }
        Some(port)
    });
    let Some(port) = port else { return };
    events::mask_port(port);
    let _ = calls::evtchn_close(port);
    ports::clear(port);
    watchers::wake();
}

/// Takes a console up: the number of the first byte that nobody has read. None: there is none.
pub fn open(domain: DomId) -> Option<u64> {
    CONSOLES.with(|consoles| {
        let console = consoles.get_mut(&domain.raw()).filter(|console| !console.ended)?;
        console.readers += 1;
        Some(console.said.unseen())
    })
}

/// Leaves a console that was [taken up](open).
pub fn close(domain: DomId) {
    CONSOLES.with(|consoles| {
        let Some(console) = consoles.get_mut(&domain.raw()) else { return };
        console.readers = console.readers.saturating_sub(1);
        if console.ended && console.readers == 0 {
            consoles.remove(&domain.raw());
        }
    });
}

/// Copies what a domain said from byte `from` on; how many bytes, and the number after them. None:
/// there is no console, or its domain has ended and all was read.
pub fn read(domain: DomId, from: u64, into: &mut [u8]) -> Option<(usize, u64)> {
    CONSOLES.with(|consoles| {
        let console = consoles.get_mut(&domain.raw())?;
        let (count, next) = console.said.read(from, into);
        (count > 0 || !console.ended).then_some((count, next))
    })
}

/// Types at a domain's console; how many bytes there was room for. None: it has no console.
pub fn write(domain: DomId, bytes: &[u8]) -> Option<usize> {
    CONSOLES.with(|consoles| {
        let console = consoles.get_mut(&domain.raw())?;
        let count = console.end.as_mut()?.write(bytes).unwrap_or(0);
        if count > 0 {
            let _ = calls::evtchn_send(console.port);
        }
        Some(count)
    })
}

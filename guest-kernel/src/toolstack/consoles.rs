//! `consoled`: the daemon's half of every other domain's console.
//!
//! The half itself is `xenbus`'s [`Console`]: what a domain prints is taken out of its ring as soon as
//! it comes and kept in a bounded log, so that a domain never waits for a reader; `xl console` reads
//! from there, any number of them at a time. What is typed waits there for room in the ring, and so
//! much only. All that they print goes into one more log, [line by line](DomainLog), which outlives
//! them. This task polls the consoles whose ports have rung. A domain that breaks its ring loses
//! its console, and nothing else happens.

use super::watchers;
use crate::domain_log::DomainLog;
use crate::grant::Granted;
use crate::ports::{self, Channels};
use crate::sync::Guarded;
use crate::task::scheduler::{self, CONSOLED};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use core::fmt;
use pv_abi::errno::Errno;
use pv_abi::grant_table::GNTTAB_RESERVED_CONSOLE;
use pv_abi::types::{DomId, GrantRef, Port};
use ring1::events::{self, Masked};
use ring1::println;
use xenbus::access::Events;
use xenbus::console::{Broken, Chunk, Console, Polled};
use xenbus::memory::TooSmall;

/// Bytes of each console that are kept.
const KEPT: usize = 16 * 1024;
/// Bytes of the log of all of them that are kept.
const KEPT_OF_ALL: usize = 64 * 1024;
/// What the log says of a domain that breaks its ring.
const BROKEN: &[u8] = b"\n(the domain broke its console)\n";

/// A console, and who looks at it.
struct Viewed {
    domain: DomId,
    /// The number of the first byte that is not in the log of all.
    logged: u64,
    console: Console<Granted>,
    /// Who reads it now.
    readers: u32,
    /// The domain has gone; it is kept for its readers.
    ended: bool,
}

static LOG: Guarded<DomainLog> = Guarded::new(DomainLog::new(KEPT_OF_ALL));
static CONSOLES: Guarded<BTreeMap<u16, Viewed>> = Guarded::new(BTreeMap::new());
/// Domains whose consoles are to be polled.
static RANG: Guarded<BTreeSet<u16>> = Guarded::new(BTreeSet::new());

/// Starts the task.
pub fn start() {
    if scheduler::start_kernel("consoled", task, 0).is_none() {
        println!("no memory for consoled: other domains have no consoles");
    }
}

extern "C" fn task(_: u32) -> ! {
    let _masked = Masked::new();
    loop {
        let mut more = false;
        for domain in RANG.with(core::mem::take) {
            if CONSOLES
                .with(|consoles| consoles.get_mut(&domain).is_some_and(|one| one.poll().more))
            {
                RANG.with(|rang| rang.insert(domain));
                more = true;
            }
        }
        if more {
            // A domain that prints without end does not keep the others waiting.
            scheduler::give_way();
        } else {
            scheduler::sleep(CONSOLED, 0);
        }
    }
}

/// A domain's port has rung.
fn rung(domain: u32) {
    RANG.with(|rang| rang.insert(domain as u16));
    scheduler::wake(CONSOLED);
}

impl Viewed {
    /// Moves what is printed and what is typed, and wakes who waits for either.
    fn poll(&mut self) -> Polled {
        let polled = self.console.poll(&mut Channels).unwrap_or_else(|broken| {
            self.let_go();
            // A port fails only where the domain is going.
            let said = if let Broken::Ring(_) = broken { BROKEN } else { b"" };
            self.console.log().push(said);
            Polled { printed: said.len(), ..Polled::default() }
        });
        if polled.printed + polled.typed > 0 {
            watchers::wake();
        }
        self.copy_to_log();
        polled
    }

    /// Adds to the log of all what was printed since.
    fn copy_to_log(&mut self) {
        let mut piece = [0; 256];
        loop {
            let Chunk { start, count } = self.console.log().look(self.logged, &mut piece);
            if count == 0 {
                return;
            }
            LOG.with(|log| log.push(self.domain, piece.get(..count).unwrap_or_default()));
            self.logged = start + count as u64;
        }
    }

    /// Unmaps the page and closes the port, if there still are any.
    fn let_go(&mut self) {
        if let Some((_, port)) = self.console.detach() {
            // A port that is gone is as good as closed.
            let _ = Channels.close(port);
        }
    }
}

/// Takes up the console of a new domain, whose builder has granted us its page.
pub fn attach(domain: DomId, port: Port) -> Result<(), Errno> {
    let memory = Granted::map(domain, &[GrantRef::new(GNTTAB_RESERVED_CONSOLE)])?;
    let port = Channels.bind(domain, port)?;
    let mut console = Console::new(KEPT);
    if let Err(TooSmall) = console.attach(memory, port) {
        let _ = Channels.close(port);
        return Err(Errno::EINVAL);
    }
    let viewed = Viewed { domain, logged: 0, console, readers: 0, ended: false };
    CONSOLES.with(|consoles| consoles.insert(domain.raw(), viewed));
    ports::set_with(port, rung, domain.raw().into());
    events::unmask_port(port);
    Ok(())
}

/// Gives a domain's console up, as the domain ends: who reads it now may read what is left.
/// Nothing happens to one that is not there.
pub fn detach(domain: DomId) {
    CONSOLES.with(|consoles| {
        let Some(viewed) = consoles.get_mut(&domain.raw()) else { return };
        viewed.poll();
        viewed.let_go();
        LOG.with(|log| log.end(domain));
        if viewed.readers == 0 {
            consoles.remove(&domain.raw());
        } else {
            viewed.ended = true;
        }
    });
    watchers::wake();
}

/// Takes a console up: the number of the first byte that nobody has read. None: there is none.
pub fn open(domain: DomId) -> Option<u64> {
    CONSOLES.with(|consoles| {
        let viewed = consoles.get_mut(&domain.raw()).filter(|viewed| !viewed.ended)?;
        viewed.readers += 1;
        Some(viewed.console.log().unread())
    })
}

/// Leaves a console that was [taken up](open).
pub fn close(domain: DomId) {
    CONSOLES.with(|consoles| {
        let Some(viewed) = consoles.get_mut(&domain.raw()) else { return };
        viewed.readers = viewed.readers.saturating_sub(1);
        if viewed.ended && viewed.readers == 0 {
            consoles.remove(&domain.raw());
        }
    });
}

/// Copies what a domain said from byte `from` on; how many bytes, and the number after them. None:
/// there is no console, or its domain has ended and all was read.
pub fn read(domain: DomId, from: u64, into: &mut [u8]) -> Option<(usize, u64)> {
    CONSOLES.with(|consoles| {
        let viewed = consoles.get_mut(&domain.raw())?;
        let Chunk { start, count } = viewed.console.log().read(from, into);
        (count > 0 || !viewed.ended).then_some((count, start + count as u64))
    })
}

/// Types at a domain's console; how many bytes there was room for. None: it has no console.
pub fn write(domain: DomId, bytes: &[u8]) -> Option<usize> {
    CONSOLES.with(|consoles| {
        let viewed = consoles.get_mut(&domain.raw())?;
        viewed.console.port()?;
        let count = viewed.console.type_in(bytes);
        viewed.poll();
        Some(count)
    })
}

/// Adds a line of the toolstack's own to the log of all consoles.
pub fn note(line: fmt::Arguments<'_>) {
    LOG.with(|log| log.note(format!("xl: {line}\n")));
}

/// What all domains have printed and what became of them, line by line.
pub fn log() -> String {
    LOG.with(|log| log.text())
}

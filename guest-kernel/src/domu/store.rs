//! XenStore as a domU has it: a task that passes on what the kernel's services ask for.
//!
//! The domain has one ring to domain 0's store, in the page that the start info names. Services have a
//! [`local`] connection each, as in domain 0, and as many as they like; [`Share`] keeps apart what goes
//! over the one ring. A domain without a store, and one whose store broke the ring, ends each
//! connection as soon as it is made.
#![allow(unsafe_code)] // UNSAFETY: the page is shared with domain 0.

use crate::mm::{PAGE, p2m};
use crate::store::local::{self, Number};
use crate::sync::Guarded;
use crate::{ports, store};
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::ptr::NonNull;
use pv_abi::types::{Mfn, Port};
use ring1::abi::StartInfo;
use ring1::println;
use ring1::{calls, events};
use xenbus::memory::Mapped;
use xenbus::store_page::GuestEnd;
use xenstore::share::{Broken, ClientId, Share};

/// Bytes that are moved at a time: what the ring has room for.
const PIECE: usize = 1024;

/// The ring, until the task takes it.
static RING: Guarded<Option<Ring>> = Guarded::new(None);

/// Starts the task. Connections that are made before are served, too.
pub fn start(start_info: &StartInfo) {
    RING.with(|ring| *ring = Ring::attach(start_info));
    store::start_task("xenstore", task);
}

extern "C" fn task(_: u32) -> ! {
    let mut proxy = Proxy {
        ring: RING.with(Option::take),
        share: Share::default(),
        numbers: BTreeMap::new(),
        piece: vec![0; PIECE],
    };
    if proxy.ring.is_none() {
        proxy.share.fail();
    }
    store::work(|| proxy.pass())
}

/// The domain's end of the ring.
struct Ring {
    end: GuestEnd<Mapped>,
    port: Port,
}

impl Ring {
    /// Takes the page and the port that the start info names. None: the domain has no XenStore.
    fn attach(start_info: &StartInfo) -> Option<Ring> {
        let pfn = p2m::pfn(Mfn::new(u64::from(start_info.store_mfn)))?;
        let base = NonNull::new(p2m::pointer::<u8>(pfn))?;
        // SAFETY: 1. The builder laid the page out for this and mapped it; the frame allocator keeps
        // it. 2. Nothing else in this kernel reaches it.
        let memory = unsafe { Mapped::new(base, PAGE as usize) };
        let port = Port::new(start_info.store_evtchn);
        let end = GuestEnd::attach(memory).ok()?;
        ports::set(port, store::rung);
        events::unmask_port(port);
        Some(Ring { end, port })
    }

    /// Moves what there is and what there is room for; whether that was anything.
    fn pass(&mut self, share: &mut Share) -> Result<bool, Broken> {
        let sent = self.end.write(share.requests()).map_err(|_| Broken)?;
        share.requests_sent(sent);
        let mut piece = [0; PIECE];
        let received = self.end.read(&mut piece).map_err(|_| Broken)?;
        share.replies(piece.get(..received).unwrap_or_default())?;
        let moved = sent + received > 0;
        if moved {
            // The port is the builder's, and bound.
            let _ = calls::evtchn_send(self.port);
        }
        Ok(moved)
    }
}

struct Proxy {
    /// None: there is nobody to pass anything on to.
    ring: Option<Ring>,
    share: Share,
    /// The connections of the share's clients.
    numbers: BTreeMap<ClientId, Number>,
    piece: Vec<u8>,
}

impl Proxy {
    /// Looks at everything once; whether anything moved.
    fn pass(&mut self) -> bool {
        let mut moved = false;
        while let Some(number) = local::take_new() {
            self.numbers.insert(self.share.connect(), number);
            moved = true;
        }
        let ids: Vec<ClientId> = self.numbers.keys().copied().collect();
        for id in &ids {
            moved |= self.read(*id);
        }
        if let Some(ring) = &mut self.ring {
            match ring.pass(&mut self.share) {
                Ok(passed) => moved |= passed,
                Err(Broken) => {
                    println!("xenstore: domain 0 broke the ring, and is not heard any more");
                    self.ring = None;
                    self.share.fail();
                }
            }
        }
        for id in ids {
            moved |= self.write(id);
        }
        moved
    }

    /// Takes in a piece of what a client asks; whether there was any.
    fn read(&mut self, id: ClientId) -> bool {
        let Some(&number) = self.numbers.get(&id) else { return false };
        if !self.share.wants_input(id) {
            return false;
        }
        match local::take_requests(number, &mut self.piece) {
            Some(count) => {
                self.share.input(id, self.piece.get(..count).unwrap_or_default());
                count > 0
            }
            None => {
                self.disconnect(id);
                true
            }
        }
    }

    /// Gives a client what waits for it; whether it took any.
    fn write(&mut self, id: ClientId) -> bool {
        let Some(&number) = self.numbers.get(&id) else { return false };
        let waiting = self.share.output(id);
        let taken = if waiting.is_empty() { Some(0) } else { local::give_replies(number, waiting) };
        self.share.sent(id, taken.unwrap_or(0));
        let gone =
            taken.is_none() || (self.share.is_closed(id) && self.share.output(id).is_empty());
        if gone {
            self.disconnect(id);
        }
        gone || taken.is_some_and(|count| count > 0)
    }

    fn disconnect(&mut self, id: ClientId) {
        self.share.disconnect(id);
        if let Some(number) = self.numbers.remove(&id) {
            local::hang_up(number);
        }
    }
}

//! The bridge of domain 0, or of a driver domain, with its ports: each a queue of frames that wait to
//! leave by it.
//!
//! Whoever has a port (a [back end](super::back), the [card](super::card), the domain's
//! [own interface](super::own)) puts in what comes from its side by [`Port::input`] and takes what
//! is to leave by [`Port::take`]. Where frames go is decided by the pure [`Bridge`]. They go with what
//! is not in their bytes, as far as the port they leave by copes with it.
//!
//! No port waits for another: what a port does not take is lost beyond a bound.

use crate::sync::Guarded;
use crate::time;
use crate::waker::Waker;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use xenbus::net::bridge::{Behind, Bridge, PortId, Refused};
use xenbus::net::{Copes, Frame};

/// Frames that wait at a port at most, and bytes of them.
const FRAMES: usize = 256;
const BYTES: usize = 512 * 1024;

/// What waits to leave by a port.
struct Outlet {
    frames: VecDeque<Frame>,
    bytes: usize,
    copes: Copes,
    waker: Waker,
}

struct Hub {
    bridge: Bridge,
    outlets: BTreeMap<PortId, Outlet>,
    next: PortId,
    counts: Counts,
    /// Where the frame at hand goes.
    targets: Vec<PortId>,
}

/// What has become of frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Frames that came.
    pub received: u64,
    /// Of these, those that claimed a wrong sender, and others that go nowhere.
    pub dropped: u64,
    /// Frames for which a port had no room.
    pub lost: u64,
}

static HUB: Guarded<Hub> = Guarded::new(Hub {
    bridge: Bridge::new(),
    outlets: BTreeMap::new(),
    next: 1,
    counts: Counts { received: 0, dropped: 0, lost: 0 },
    targets: Vec::new(),
});

/// A port; unplugged when dropped.
#[derive(Debug)]
pub struct Port(PortId);

impl Port {
    /// Plugs one in, by which frames leave that somebody copes with. `waker` is called when one waits.
    ///
    /// # Errors
    /// As [`Bridge::add`].
    pub fn plug(behind: Behind, copes: Copes, waker: Waker) -> Result<Port, Refused> {
        HUB.with(|hub| {
            let id = hub.next;
            hub.bridge.add(id, behind)?;
            hub.next = hub.next.wrapping_add(1);
            let frames = VecDeque::new();
            hub.outlets.insert(id, Outlet { frames, bytes: 0, copes, waker });
            Ok(Port(id))
        })
    }

    /// Names another waker.
    pub fn set_waker(&self, waker: Waker) {
        HUB.with(|hub| {
            if let Some(outlet) = hub.outlets.get_mut(&self.0) {
                outlet.waker = waker;
            }
        });
    }

    /// A frame has come from this port's side.
    pub fn input(&self, frame: Frame) {
        HUB.with(|hub| hub.forward(self.0, frame));
    }

    /// The next frame that leaves by this port.
    pub fn take(&self) -> Option<Frame> {
        HUB.with(|hub| {
            let outlet = hub.outlets.get_mut(&self.0)?;
            let frame = outlet.frames.pop_front()?;
            outlet.bytes -= frame.bytes.len();
            Some(frame)
        })
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        HUB.with(|hub| {
            hub.bridge.remove(self.0);
            hub.outlets.remove(&self.0);
        });
    }
}

impl Hub {
    fn forward(&mut self, from: PortId, frame: Frame) {
        self.counts.received += 1;
        let mut targets = core::mem::take(&mut self.targets);
        let routed = frame.addresses().is_some_and(|addresses| {
            self.bridge.route(from, addresses, time::now(), &mut targets).is_ok()
        });
        if !routed {
            self.counts.dropped += 1;
            targets.clear();
        }
        if let Some((last, others)) = targets.split_last() {
            others.iter().for_each(|port| self.put(*port, frame.clone()));
            self.put(*last, frame);
        }
        self.targets = targets;
    }

    fn put(&mut self, port: PortId, frame: Frame) {
        let Some(outlet) = self.outlets.get_mut(&port) else { return };
        for frame in frame.suit(outlet.copes) {
            if outlet.frames.len() >= FRAMES || outlet.bytes + frame.bytes.len() > BYTES {
                self.counts.lost += 1;
                return;
            }
            outlet.bytes += frame.bytes.len();
            outlet.frames.push_back(frame);
        }
        // A waker sets something down and wakes a task; it does not come back here.
        outlet.waker.wake();
    }
}

/// What has become of frames since the start.
pub fn counts() -> Counts {
    HUB.with(|hub| hub.counts)
}

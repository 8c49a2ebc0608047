//! A driver domain's way out: its network device, as a port of its [bridge](super::hub).
//!
//! Where the device's back end is there is a bridge, too, for which this domain is what its guests are
//! behind. So frames leave and come with what is not in their bytes, as between two ports of one
//! bridge.

use super::hub::Port;
use crate::device::{Device, Domain, Serve, Served};
use crate::grant::Own;
use crate::waker::Waker;
use alloc::format;
use alloc::vec::Vec;
use pv_abi::errno::Errno;
use pv_abi::types::DomId;
use xenbus::access::Shared;
use xenbus::device::{Fault, Keys, Node};
use xenbus::front::FrontDriver;
use xenbus::net::bridge::Behind;
use xenbus::net::front::{Link, Plan};
use xenbus::net::{Copes, Frame};

/// As a guest's device, but for segments: the bridge passes them on as they are.
const PLAN: Plan = Plan { queues: 1, pages: 64, copes: Copes::ALL, split: true };

/// The driver.
pub struct Uplink {
    waker: Waker,
    /// A second way to where the first leads would have frames go round.
    is_first: bool,
    used: Option<Used>,
}

/// While the device has rings.
struct Used {
    link: Link<Own>,
    port: Port,
    /// A frame that found no room.
    held: Option<Frame>,
}

impl Uplink {
    /// For a device that has come.
    pub fn new(device: &Device) -> Uplink {
        Uplink { waker: device.bell.waker(), is_first: device.path.ends_with("/0"), used: None }
    }
}

impl FrontDriver<Domain> for Uplink {
    fn publish(
        &mut self,
        domain: &mut Domain,
        back: DomId,
        peer: &mut Node<'_>,
    ) -> Result<Keys, Fault> {
        let plugging = || Fault::while_doing("plugging a way out into the bridge");
        if !self.is_first {
            return Err(plugging()(Errno::EOPNOTSUPP));
        }
        let port = Port::plug(Behind::Anybody, Copes::ALL, self.waker);
        let port = port.map_err(|_| plugging()(Errno::EBUSY))?;
        let (link, keys) = Link::publish(domain, back, peer, &PLAN)?;
        self.used = Some(Used { link, port, held: None });
        Ok(keys)
    }

    fn connect(&mut self, domain: &mut Domain, peer: &mut Node<'_>) -> Result<(), Fault> {
        let copes = Link::<Own>::offered(peer)?;
        if let Some(used) = &mut self.used {
            used.link.connect(domain, copes);
        }
        Ok(())
    }

    fn suspend(&mut self) {
        if let Some(used) = &mut self.used {
            used.link.suspend();
        }
    }

    fn disconnect(&mut self, domain: &mut Domain) -> Vec<Shared<Own>> {
        self.used.take().map(|used| used.link.disconnect(domain)).unwrap_or_default()
    }
}

impl Serve for Uplink {
    fn serve(&mut self, domain: &mut Domain) -> Result<Served, Fault> {
        let Some(Used { link, port, held }) = &mut self.used else { return Ok(Served::Idle) };
        let broken = |broken| Fault { errno: Errno::EIO, what: format!("{broken}") };
        let more = link.poll(domain, |frame| port.input(frame)).map_err(broken)?;
        while let Some(frame) = held.take().or_else(|| port.take()) {
            // The link keeps nothing of what finds no room.
            let sent = link.send(domain, frame.clone()).map_err(broken)?;
            if sent.is_err() {
                *held = Some(frame);
                break;
            }
        }
        Ok(if more { Served::More } else { Served::Idle })
    }
}

//! The back end of a guest's network device: a port of the [bridge](super::hub).
//!
//! Address and port are the device's as long as it is in use: the toolstack's node `mac` says which
//! address the guest has, and the bridge lets it have no other; or its node `uplink`, that behind the
//! guest is a bridge with guests of its own.

use super::hub::Port;
use crate::device::{Device, Domain, Serve, Served};
use crate::grant::Granted;
use crate::time;
use crate::waker::Waker;
use alloc::string::String;
use pv_abi::errno::Errno;
use pv_abi::types::DomId;
use xenbus::back::{BackDriver, Ready};
use xenbus::device::{Fault, Keys, Node};
use xenbus::handshake::Restart;
use xenbus::net::back::{self, Link, Rate};
use xenbus::net::bridge::{Behind, Refused};
use xenbus::net::{Copes, parse_mac};

/// Queues that are offered: domain 0 has one vCPU, and a guest with several gains nothing by more.
const QUEUES: usize = 2;

/// The driver.
pub struct Vif {
    waker: Waker,
    behind: Option<Behind>,
    /// How fast the guest may send, if not as it likes.
    rate: Option<Rate>,
    /// While the guest is connected.
    used: Option<(Link<Granted>, Port)>,
}

impl Vif {
    /// For a device that has come.
    pub fn new(device: &Device) -> Vif {
        Vif { waker: device.bell.waker(), behind: None, rate: None, used: None }
    }
}

impl BackDriver<Domain> for Vif {
    const RESTART: Restart = Restart::Attach;

    fn prepare(&mut self, own: &mut Node<'_>) -> Result<Ready, Fault> {
        let mac = own.read("mac").map_err(Fault::while_doing("reading mac"))?;
        let mac = mac.and_then(|mac| parse_mac(&String::from_utf8(mac).ok()?));
        let mac = mac.ok_or(Errno::EINVAL).map_err(Fault::while_doing("reading mac"))?;
        let is_uplink = own.has("uplink").map_err(Fault::while_doing("reading uplink"))?;
        self.behind = Some(if is_uplink { Behind::Anybody } else { Behind::Device(mac) });
        self.rate = rate(own).map_err(Fault::while_doing("reading rate"))?;
        Ok(Ready::Yes(Link::<Granted>::offer(QUEUES)))
    }

    fn connect(
        &mut self,
        domain: &mut Domain,
        front: DomId,
        peer: &mut Node<'_>,
    ) -> Result<Keys, Fault> {
        let behind = self.behind.ok_or(Errno::EINVAL).map_err(Fault::while_doing("reading mac"))?;
        let port = Port::plug(behind, Copes::ALL, self.waker).map_err(|refused| {
            let (errno, what) = match refused {
                Refused::Address => (Errno::EADDRINUSE, "plugging in: another has this mac"),
                Refused::Group => (Errno::EINVAL, "plugging in: mac is no device's address"),
                Refused::Number => (Errno::EBUSY, "plugging in: no port is free"),
            };
            Fault { errno, what: what.into() }
        })?;
        let mut link = Link::connect(domain, front, peer, QUEUES)?;
        if let Some(rate) = self.rate {
            link.limit(rate, time::now());
        }
        self.used = Some((link, port));
        Ok(Keys::default())
    }

    fn disconnect(&mut self, domain: &mut Domain) {
        if let Some((link, _port)) = self.used.take() {
            link.disconnect(domain);
        }
    }
}

impl Serve for Vif {
    fn serve(&mut self, domain: &mut Domain) -> Result<Served, Fault> {
        let Some((link, port)) = &mut self.used else { return Ok(Served::Idle) };
        while let Some(frame) = port.take() {
            link.deliver(frame);
        }
        link.refill(time::now);
        let more = link.poll(domain, |frame| port.input(frame));
        match more {
            Ok(true) => Ok(Served::More),
            Ok(false) => Ok(link.poll_at().map_or(Served::Idle, Served::Until)),
            Err(broken) => Err(Fault { errno: Errno::EIO, what: alloc::format!("{broken}") }),
        }
    }
}

/// How fast the guest may send, as the toolstack says; not at all said: as it likes.
fn rate(own: &mut Node<'_>) -> Result<Option<Rate>, Errno> {
    let Some(said) = own.read(back::RATE)? else { return Ok(None) };
    let said = core::str::from_utf8(&said).map_err(|_| Errno::EINVAL)?;
    Rate::parse(said).map(Some).ok_or(Errno::EINVAL)
}

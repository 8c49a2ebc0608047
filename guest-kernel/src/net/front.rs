//! A guest's network device, as an interface `eth<id>`.
//!
//! The [`Nic`] is what a stack has, as long as the device is there; the link to the back end comes
//! and goes below it. Frames go into the link at once, in the sender's task; what is received is
//! fetched by the device's own task and waits here for the stack.

use super::{Busy, Interface, Mac, Offload, offload, registry};
use crate::device::{Device, Domain, Serve, Served};
use crate::grant::Own;
use crate::sync::Guarded;
use crate::waker::Waker;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use pv_abi::errno::Errno;
use pv_abi::types::DomId;
use xenbus::access::Shared;
use xenbus::device::{Fault, Keys, Node};
use xenbus::front::FrontDriver;
use xenbus::net::front::{Link, Plan};
use xenbus::net::parse_mac;

/// One vCPU serves one queue best; 256 KiB each way.
const PLAN: Plan = Plan { queues: 1, pages: 64, copes: offload::COPES, split: true };
/// Frames that wait for the stack at most; more are lost.
const WAITING: usize = 256;

struct State {
    link: Option<Link<Own>>,
    received: VecDeque<Vec<u8>>,
    waker: Option<Waker>,
}

/// The interface.
struct Nic {
    mac: Mac,
    domain: Domain,
    state: Guarded<State>,
}

impl Nic {
    fn put(&self, link: Option<Link<Own>>) {
        let waker = self.state.with(|state| {
            state.link = link;
            state.waker
        });
        waker.into_iter().for_each(Waker::wake);
    }

    fn take(&self) -> Option<Link<Own>> {
        self.state.with(|state| state.link.take())
    }

    /// Does something with the link, if there is one, and has the stack look.
    fn change(&self, change: impl FnOnce(&mut Link<Own>)) {
        let waker = self.state.with(|state| {
            if let Some(link) = &mut state.link {
                change(link);
            }
            state.waker
        });
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Interface for Nic {
    fn mac(&self) -> Mac {
        self.mac
    }

    fn offload(&self) -> Offload {
        Offload { transmit: true, receive: true }
    }

    fn is_up(&self) -> bool {
        self.state.with(|state| state.link.as_ref().is_some_and(Link::is_connected))
    }

    fn send(&self, frame: &[u8]) -> Result<(), Busy> {
        let Some(frame) = offload::outgoing(frame) else { return Ok(()) };
        let mut domain = self.domain;
        let sent = self.state.with(|state| match &mut state.link {
            Some(link) => link.send(&mut domain, frame),
            None => Ok(Ok(())),
        });
        // A link that is broken is found to be by the device's task; the frame is lost.
        let sent = sent.unwrap_or_else(|_| {
            domain.bell().ring();
            Ok(())
        });
        sent.map_err(|_| Busy)
    }

    fn receive(&self, into: &mut Vec<u8>) -> bool {
        let frame = self.state.with(|state| state.received.pop_front());
        frame.map(|frame| *into = frame).is_some()
    }

    fn set_waker(&self, waker: Waker) {
        self.state.with(|state| state.waker = Some(waker));
    }
}

/// The driver.
pub struct Eth {
    name: String,
    domain: Domain,
    nic: Option<Arc<Nic>>,
}

impl Eth {
    /// For a device that has come.
    pub fn new(device: &Device) -> Eth {
        let id = device.path.rsplit('/').next().unwrap_or_default();
        Eth { name: format!("eth{id}"), domain: Domain::new(device.bell), nic: None }
    }

    /// The interface of this address, which is made when the device is first used.
    fn nic(&mut self, mac: Mac) -> Result<Arc<Nic>, Fault> {
        if let Some(nic) = self.nic.as_ref().filter(|nic| nic.mac == mac) {
            return Ok(Arc::clone(nic));
        }
        let state = State { link: None, received: VecDeque::new(), waker: None };
        let nic = Arc::new(Nic { mac, domain: self.domain, state: Guarded::new(state) });
        registry::unregister(&self.name);
        if !registry::register(&self.name, Arc::clone(&nic) as Arc<dyn Interface>) {
            return Err(Fault::while_doing(format!("naming it {}", self.name))(Errno::EEXIST));
        }
        self.nic = Some(Arc::clone(&nic));
        Ok(nic)
    }
}

impl Drop for Eth {
    fn drop(&mut self) {
        if self.nic.is_some() {
            registry::unregister(&self.name);
        }
    }
}

impl FrontDriver<Domain> for Eth {
    fn publish(
        &mut self,
        domain: &mut Domain,
        back: DomId,
        peer: &mut Node<'_>,
    ) -> Result<Keys, Fault> {
        let mac = peer.read("mac").map_err(Fault::while_doing("reading mac"))?;
        let mac = mac.and_then(|mac| parse_mac(&String::from_utf8(mac).ok()?));
        let nic = self.nic(mac.ok_or(Errno::EINVAL).map_err(Fault::while_doing("reading mac"))?)?;
        let (link, keys) = Link::publish(domain, back, peer, &PLAN)?;
        nic.put(Some(link));
        Ok(keys)
    }

    fn connect(&mut self, domain: &mut Domain, peer: &mut Node<'_>) -> Result<(), Fault> {
        // XenStore may take its time: the link stays as it is meanwhile, which to the stack is up when
        // a back end takes over from another.
        let copes = Link::<Own>::offered(peer)?;
        if let Some(nic) = &self.nic {
            nic.change(|link| link.connect(domain, copes));
        }
        Ok(())
    }

    fn suspend(&mut self) {
        if let Some(nic) = &self.nic {
            nic.change(Link::suspend);
        }
    }

    fn disconnect(&mut self, domain: &mut Domain) -> Vec<Shared<Own>> {
        let Some(nic) = &self.nic else { return Vec::new() };
        let Some(link) = nic.take() else { return Vec::new() };
        nic.put(None);
        link.disconnect(domain)
    }
}

impl Serve for Eth {
    fn serve(&mut self, domain: &mut Domain) -> Result<Served, Fault> {
        let Some(nic) = &self.nic else { return Ok(Served::Idle) };
        let (more, waker) = nic.state.with(|state| {
            let State { link, received, waker } = state;
            let Some(link) = link else { return (Ok(false), None) };
            let more = link.poll(domain, |frame| {
                if received.len() < WAITING && frame.is_sound() {
                    received.push_back(frame.bytes);
                }
            });
            (more, *waker)
        });
        // Something came, or there is room.
        waker.into_iter().for_each(Waker::wake);
        match more {
            Ok(true) => Ok(Served::More),
            Ok(false) => Ok(Served::Idle),
            Err(broken) => Err(Fault { errno: Errno::EIO, what: format!("{broken}") }),
        }
    }
}

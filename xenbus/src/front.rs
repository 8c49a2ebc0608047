//! A front end's device: carries out the steps of [`handshake::front`](crate::handshake::front).
//!
//! [`Front`] does what all front ends have in common; what is a device's own is a [`FrontDriver`].
//! Whenever an event of its watches comes (their token is the device's path), [`Front::look`] is
//! called: it finds out how things stand and does what is to be done. An event too many costs a
//! look.
//!
//! **Another back end.** A driver domain that dies leaves its front ends without a peer; a toolstack
//! may then link them to one in another domain. So while the peer has no directory, a change of the
//! link has the device begin anew, with whoever it leads to.
//!
//! **Pages outlive their use.** When a front end stops using its rings the peer may still have them
//! mapped, and a hostile one for ever. Memory that another domain can write must not become
//! anything else, so pages are kept until their grants can be ended, which is tried at each look.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use crate::access::{Events, Grants, Shared, Store};
use crate::device::{self, Fault, Keys, Life, Node};
use crate::handshake::front::{Want, Work, next};
use crate::state::State;

/// The nodes that say who the peer is: its directory, its domain.
const LINK: (&str, &str) = ("backend", "backend-id");

/// A peer's node that is watched.
fn state_of(peer: &str) -> String {
    format!("{peer}/state")
}

/// What one kind of front end does. `D` is its domain.
pub trait FrontDriver<D: Events + Grants> {
    /// Makes rings and event channels for `back`, and says where they are. What the peer offers may
    /// be looked up.
    ///
    /// # Errors
    /// The device cannot be; it is closed.
    fn publish(&mut self, domain: &mut D, back: DomId, peer: &mut Node<'_>) -> Result<Keys, Fault>;

    /// The peer is connected: reads what it offers, and begins or goes on to use the device. Comes
    /// again whenever the peer says so again: it may offer something else, or be a new one that
    /// took the rings over (which finds an event at its port, and looks).
    ///
    /// # Errors
    /// The device cannot be used; it is closed.
    fn connect(&mut self, domain: &mut D, peer: &mut Node<'_>) -> Result<(), Fault>;

    /// Stops using the device until [`connect`](FrontDriver::connect): it is being changed.
    fn suspend(&mut self) {}

    /// Stops using the device, closes its event channels, and hands out what was shared. Where
    /// nothing is in use there is nothing to do.
    fn disconnect(&mut self, domain: &mut D) -> Vec<Shared<D::Own>>;
}

/// A front end.
#[derive(Debug)]
pub struct Front<D: Grants, R> {
    /// What is the device's own.
    pub driver: R,
    path: String,
    peer: String,
    back: DomId,
    own: State,
    want: Want,
    /// Pages whose grants could not be ended yet.
    retired: Vec<Shared<D::Own>>,
}

impl<D: Events + Grants, R: FrontDriver<D>> Front<D, R> {
    /// Takes up the device at `path` (`device/<type>/<id>`) and sets its watches, whose first event
    /// has it [looked](Front::look) at.
    ///
    /// # Errors
    /// The directory does not say who its back end is, or the store refuses.
    pub fn open(store: &mut dyn Store, path: &str, driver: R) -> Result<Self, Fault> {
        let (peer, back) = device::link(store, path, LINK)?;
        let taking_up = || Fault::while_doing(format!("taking up {path}"));
        // A predecessor, in the kernel that started this one, may have left another state.
        let begun = device::switch(store, path, &Keys::default(), State::Initialising);
        if begun.map_err(taking_up())? == Life::Gone {
            return Err(taking_up()(Errno::ENOENT));
        }
        for watched in Self::watched(path, &peer) {
            store.watch(&watched, path).map_err(taking_up())?;
        }
        let path = path.to_string();
        let (own, want, retired) = (State::Initialising, Want::Up, Vec::new());
        Ok(Front { driver, path, peer, back, own, want, retired })
    }

    fn watched(path: &str, peer: &str) -> [String; 2] {
        [format!("{path}/{}", LINK.0), state_of(peer)]
    }

    /// The device's path, which is the token of its watches, too.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// How far this half is.
    #[must_use]
    pub fn state(&self) -> State {
        self.own
    }

    /// Looks how things stand and takes all steps that are to be taken.
    ///
    /// # Errors
    /// The store's; the device is as it was, and the next look goes on.
    pub fn look(&mut self, store: &mut dyn Store, domain: &mut D) -> Result<Life, Errno> {
        self.end_retired(domain);
        let mut peer = Node::new(store, &self.peer).state()?;
        if peer == State::Unknown {
            if self.follow(store, domain)? == Life::Gone {
                return Ok(Life::Gone);
            }
            peer = Node::new(store, &self.peer).state()?;
        }
        if (self.own, peer, self.want) == (State::Connected, State::Connected, Want::Up)
            && let Err(fault) = self.driver.connect(domain, &mut Node::new(store, &self.peer))
        {
            return self.fail(store, domain, &fault);
        }
        while let Some(step) = next(self.own, peer, self.want) {
            let keys = match self.perform(store, domain, step.work) {
                Ok(keys) => keys,
                Err(fault) => return self.fail(store, domain, &fault),
            };
            if self.switch(store, domain, &keys, step.to)? == Life::Gone {
                return Ok(Life::Gone);
            }
        }
        Ok(Life::Present)
    }

    /// Begins anew with another peer, if the link leads to another one now.
    fn follow(&mut self, store: &mut dyn Store, domain: &mut D) -> Result<Life, Errno> {
        // A directory that is gone, or is being made, has no link: the steps find that out.
        let Ok((peer, back)) = device::link(store, &self.path, LINK) else {
            return Ok(Life::Present);
        };
        if (&peer, back) == (&self.peer, self.back) {
            return Ok(Life::Present);
        }
        store.watch(&state_of(&peer), &self.path)?;
        // It goes with the connection, if it does not now.
        let _ = store.unwatch(&state_of(&self.peer), &self.path);
        self.disconnect(domain);
        (self.peer, self.back) = (peer, back);
        (self.own, self.want) = (State::Initialising, Want::Up);
        self.switch(store, domain, &Keys::default(), State::Initialising)
    }

    /// Closes the device, with the peer's knowledge: done when the [state](Front::state) is
    /// `Closed`.
    ///
    /// # Errors
    /// As [`look`](Front::look).
    pub fn close(&mut self, store: &mut dyn Store, domain: &mut D) -> Result<Life, Errno> {
        self.want = Want::Down;
        self.look(store, domain)
    }

    /// Opens a closed device again, be it that it failed.
    ///
    /// # Errors
    /// As [`look`](Front::look); EBUSY: it is not closed.
    pub fn reopen(&mut self, store: &mut dyn Store, domain: &mut D) -> Result<Life, Errno> {
        if self.own != State::Closed {
            return Err(Errno::EBUSY);
        }
        self.want = Want::Up;
        match self.switch(store, domain, &Keys::default(), State::Initialising)? {
            Life::Present => self.look(store, domain),
            Life::Gone => Ok(Life::Gone),
        }
    }

    /// Lets go of everything at once, and of the watches: the directory has been removed, or there is
    /// no time to ask the peer. Returns pages that the peer has mapped still: they must never be
    /// used again.
    pub fn abandon(mut self, store: &mut dyn Store, domain: &mut D) -> Vec<Shared<D::Own>> {
        self.disconnect(domain);
        for watched in Self::watched(&self.path, &self.peer) {
            // The watch goes with the connection, if it does not now.
            let _ = store.unwatch(&watched, &self.path);
        }
        self.retired
    }

    fn perform(
        &mut self,
        store: &mut dyn Store,
        domain: &mut D,
        work: Option<Work>,
    ) -> Result<Keys, Fault> {
        let mut peer = Node::new(store, &self.peer);
        match work {
            Some(Work::Publish) => return self.driver.publish(domain, self.back, &mut peer),
            Some(Work::Connect | Work::Resume) => self.driver.connect(domain, &mut peer)?,
            Some(Work::Suspend) => self.driver.suspend(),
            Some(Work::Disconnect) => self.disconnect(domain),
            None => {}
        }
        Ok(Keys::default())
    }

    fn switch(
        &mut self,
        store: &mut dyn Store,
        domain: &mut D,
        keys: &Keys,
        to: State,
    ) -> Result<Life, Errno> {
        match device::switch(store, &self.path, keys, to) {
            Ok(Life::Present) => {
                self.own = to;
                Ok(Life::Present)
            }
            Ok(Life::Gone) => {
                self.disconnect(domain);
                (self.own, self.want) = (State::Closed, Want::Down);
                Ok(Life::Gone)
            }
            Err(errno) => {
                // Rings that the peer was not told of are made again by the next look.
                if to == State::Initialised {
                    self.disconnect(domain);
                }
                Err(errno)
            }
        }
    }

    /// Gives the device up, and says why in the store: its driver found it beyond use (a ring that
    /// the peer broke). It stays closed until it is [opened again](Front::reopen).
    ///
    /// # Errors
    /// As [`look`](Front::look).
    pub fn fail(
        &mut self,
        store: &mut dyn Store,
        domain: &mut D,
        fault: &Fault,
    ) -> Result<Life, Errno> {
        device::report(store, &self.path, fault);
        self.disconnect(domain);
        self.want = Want::Down;
        self.switch(store, domain, &Keys::default(), State::Closing)
    }

    fn disconnect(&mut self, domain: &mut D) {
        self.retired.extend(self.driver.disconnect(domain));
        self.end_retired(domain);
    }

    fn end_retired(&mut self, domain: &mut D) {
        let retired = core::mem::take(&mut self.retired);
        self.retired.extend(retired.into_iter().filter_map(|shared| domain.end(shared).err()));
    }
}

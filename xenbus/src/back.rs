//! A back end's device: carries out the steps of [`handshake::back`](crate::handshake::back).
//!
//! [`Back`] does what all back ends have in common; what is a device's own is a [`BackDriver`].
//! Whenever an event of one of its watches comes (their token is the device's path), [`Back::look`]
//! is called. It watches the front end's state, `online` (the toolstack's wish) and
//! `hotplug-status` (a script's word).

use alloc::format;
use alloc::string::{String, ToString};
use core::marker::PhantomData;

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use crate::access::{Events, Grants, Store};
use crate::device::{self, Fault, Keys, Life, Node};
use crate::handshake::Restart;
use crate::handshake::back::{Want, Work, next};
use crate::state::State;

/// Whether what stands behind a device is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// It is; these nodes say what is offered.
    Yes(Keys),
    /// Not yet: hot-plug scripts are at it. The next look asks again.
    Later,
}

/// What one kind of back end does. `D` is its domain.
pub trait BackDriver<D: Events + Grants> {
    /// What becomes of rings that it finds when it starts.
    const RESTART: Restart;

    /// Finds what stands behind the device, by its directory. Comes again when the device is used
    /// again.
    ///
    /// # Errors
    /// There is nothing; the device is closed.
    fn prepare(&mut self, own: &mut Node<'_>) -> Result<Ready, Fault>;

    /// Maps the rings of `front`, binds its event channels and begins to serve. Returns nodes that
    /// describe the device.
    ///
    /// # Errors
    /// What the peer wrote is of no use; the device is closed.
    fn connect(&mut self, domain: &mut D, front: DomId, peer: &mut Node<'_>)
    -> Result<Keys, Fault>;

    /// Changes the device, which the peer has stopped using. Returns nodes that describe it.
    ///
    /// # Errors
    /// It cannot be changed; the device is closed.
    fn reconfigure(&mut self, own: &mut Node<'_>) -> Result<Keys, Fault> {
        let _ = own;
        Ok(Keys::default())
    }

    /// Stops serving, unmaps and closes. Where nothing is in use there is nothing to do.
    fn disconnect(&mut self, domain: &mut D);
}

/// A back end.
#[derive(Debug)]
pub struct Back<D, R> {
    /// What is the device's own.
    pub driver: R,
    path: String,
    peer: String,
    front: DomId,
    own: State,
    want: Want,
    domain: PhantomData<fn(&mut D)>,
}

impl<D: Events + Grants, R: BackDriver<D>> Back<D, R> {
    /// Takes up the device at `path` (`backend/<type>/<domain>/<id>`), wherever a predecessor left
    /// it, and sets its watches, whose first event has it [looked](Back::look) at.
    ///
    /// # Errors
    /// The directory does not say who its front end is, or the store refuses.
    pub fn open(store: &mut dyn Store, path: &str, driver: R) -> Result<Self, Fault> {
        let (peer, front) = device::link(store, path, ("frontend", "frontend-id"))?;
        for watched in Self::watched(path, &peer) {
            let taking_up = Fault::while_doing(format!("taking up {path}"));
            store.watch(&watched, path).map_err(taking_up)?;
        }
        let path = path.to_string();
        let want = match R::RESTART {
            Restart::Attach => Want::Up,
            Restart::Anew => Want::Anew,
        };
        let own = State::Initialising;
        Ok(Back { driver, path, peer, front, own, want, domain: PhantomData })
    }

    fn watched(path: &str, peer: &str) -> [String; 3] {
        [format!("{peer}/state"), format!("{path}/online"), format!("{path}/hotplug-status")]
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

    /// The domain of the front end.
    #[must_use]
    pub fn front(&self) -> DomId {
        self.front
    }

    /// Looks how things stand and takes all steps that are to be taken.
    ///
    /// # Errors
    /// The store's; the device is as it was, and the next look goes on.
    pub fn look(&mut self, store: &mut dyn Store, domain: &mut D) -> Result<Life, Errno> {
        let peer = Node::new(store, &self.peer).state()?;
        self.heed_toolstack(store)?;
        while let Some(step) = next(self.own, peer, self.want) {
            let keys = match self.perform(store, domain, step.work) {
                Ok(Ready::Yes(keys)) => keys,
                Ok(Ready::Later) => break,
                Err(fault) => return self.fail(store, domain, &fault),
            };
            if self.switch(store, domain, &keys, step.to)? == Life::Gone {
                return Ok(Life::Gone);
            }
            if step.work == Some(Work::Prepare) {
                self.want = Want::Up;
            }
        }
        Ok(Life::Present)
    }

    /// Has the device changed while it is in use: the front end is asked to stop, the driver
    /// changes it, the front end goes on.
    ///
    /// # Errors
    /// As [`look`](Back::look); EBUSY: it is not in use.
    pub fn reconfigure(&mut self, store: &mut dyn Store, domain: &mut D) -> Result<Life, Errno> {
        if self.own != State::Connected {
            return Err(Errno::EBUSY);
        }
        match self.switch(store, domain, &Keys::default(), State::Reconfiguring)? {
            Life::Present => self.look(store, domain),
            Life::Gone => Ok(Life::Gone),
        }
    }

    /// Lets go of everything at once, and of the watches: the directory has been removed, or the
    /// front end does not answer.
    pub fn abandon(mut self, store: &mut dyn Store, domain: &mut D) {
        self.driver.disconnect(domain);
        for watched in Self::watched(&self.path, &self.peer) {
            // The watch goes with the connection, if it does not now.
            let _ = store.unwatch(&watched, &self.path);
        }
    }

    /// The toolstack switches a device off by `online`. Where the node is missing nobody does.
    fn heed_toolstack(&mut self, store: &mut dyn Store) -> Result<(), Errno> {
        let online = Node::new(store, &self.path).read("online")?;
        let off = online.is_some_and(|value| value.trim_ascii() == b"0");
        self.want = match (off, self.want) {
            (true, _) => Want::Down,
            (false, Want::Down) => Want::Up,
            (false, want) => want,
        };
        Ok(())
    }

    fn perform(
        &mut self,
        store: &mut dyn Store,
        domain: &mut D,
        work: Option<Work>,
    ) -> Result<Ready, Fault> {
        let keys = match work {
            Some(Work::Prepare) => {
                return self.driver.prepare(&mut Node::new(store, &self.path));
            }
            Some(Work::Connect) => {
                self.driver.connect(domain, self.front, &mut Node::new(store, &self.peer))?
            }
            Some(Work::Reconfigure) => {
                self.driver.reconfigure(&mut Node::new(store, &self.path))?
            }
            Some(Work::Disconnect) => {
                self.driver.disconnect(domain);
                Keys::default()
            }
            None => Keys::default(),
        };
        Ok(Ready::Yes(keys))
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
                self.driver.disconnect(domain);
                self.own = State::Closed;
                Ok(Life::Gone)
            }
            Err(errno) => {
                // What the front end was not told of is done again by the next look.
                if self.own == State::InitWait && to == State::Connected {
                    self.driver.disconnect(domain);
                }
                Err(errno)
            }
        }
    }

    /// Gives the device up, and says why in the store: its driver found it beyond use (a ring that
    /// the peer broke). A front end that begins again is heard again.
    ///
    /// # Errors
    /// As [`look`](Back::look).
    pub fn fail(
        &mut self,
        store: &mut dyn Store,
        domain: &mut D,
        fault: &Fault,
    ) -> Result<Life, Errno> {
        device::report(store, &self.path, fault);
        self.driver.disconnect(domain);
        self.switch(store, domain, &Keys::default(), State::Closing)
    }
}

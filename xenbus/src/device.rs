//! A device's two directories in the store: where they are, and what the halves read and write
//! there.
//!
//! ```text
//! /local/domain/1/device/vbd/51712/      backend = /local/domain/0/backend/vbd/1/51712, backend-id = 0,
//!                                        state, ring-ref, event-channel, ...
//! /local/domain/0/backend/vbd/1/51712/   frontend = /local/domain/1/device/vbd/51712, frontend-id = 1,
//!                                        online, state, feature-..., ...
//! ```
//!
//! A toolstack makes both, with the links between them; each half writes its own only, and the
//! permissions see to that. What stands in the peer's directory is the peer's word.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Display};
use core::str::FromStr;

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use crate::access::Store;
use crate::state::State;

/// A domain's own directory.
#[must_use]
pub fn home(domain: DomId) -> String {
    format!("/local/domain/{}", domain.raw())
}

/// A front end's directory, below its domain's own.
#[must_use]
pub fn front_path(kind: &str, id: u32) -> String {
    format!("device/{kind}/{id}")
}

/// A back end's directory, below its domain's own.
#[must_use]
pub fn back_path(kind: &str, front: DomId, id: u32) -> String {
    format!("backend/{kind}/{}/{id}", front.raw())
}

/// Why a half cannot do its work: an error and what was being done, for the node `error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The error.
    pub errno: Errno,
    /// What failed: "mapping ring-ref 8".
    pub what: String,
}

impl Fault {
    /// For `map_err`: says what failed.
    pub fn while_doing(what: impl Display) -> impl FnOnce(Errno) -> Fault {
        let what = what.to_string();
        move |errno| Fault { errno, what }
    }
}

impl Display for Fault {
    /// As Linux writes it: the number, then the text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.errno.raw(), self.what)
    }
}

/// Nodes that a half writes into its own directory, together with its next state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<(String, String)>);

impl Keys {
    /// Adds a node.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Display) -> Keys {
        self.0.push((key.to_string(), value.to_string()));
        self
    }
}

/// A directory of a device, to be read.
pub struct Node<'a> {
    store: &'a mut dyn Store,
    path: &'a str,
}

impl<'a> Node<'a> {
    /// The directory at `path`.
    pub fn new(store: &'a mut dyn Store, path: &'a str) -> Node<'a> {
        Node { store, path }
    }

    /// The value of a node in it, if there is one.
    ///
    /// # Errors
    /// The store's.
    pub fn read(&mut self, key: &str) -> Result<Option<Vec<u8>>, Errno> {
        self.store.read(&format!("{}/{key}", self.path))
    }

    /// A number in it, in decimal.
    ///
    /// # Errors
    /// The store's; ENOENT and EINVAL: there is none.
    pub fn number<T: FromStr>(&mut self, key: &str) -> Result<T, Fault> {
        let number = self.read(key).and_then(|value| {
            let text = String::from_utf8(value.ok_or(Errno::ENOENT)?).map_err(|_| Errno::EINVAL)?;
            text.trim().parse().map_err(|_| Errno::EINVAL)
        });
        number.map_err(|errno| Fault { errno, what: format!("reading {}/{key}", self.path) })
    }

    /// Whether a feature is offered: its key says 1.
    ///
    /// # Errors
    /// The store's.
    pub fn has(&mut self, feature: &str) -> Result<bool, Errno> {
        Ok(self.read(feature)?.is_some_and(|value| value.trim_ascii() == b"1"))
    }

    /// The state in it; unknown where there is none, or none that we may see: of a directory that
    /// was removed a peer only learns that it may not look at what is above.
    ///
    /// # Errors
    /// The store's.
    pub fn state(&mut self) -> Result<State, Errno> {
        match self.read("state") {
            Ok(Some(value)) => Ok(State::parse(&value)),
            Ok(None) | Err(Errno::EACCES) => Ok(State::Unknown),
            Err(errno) => Err(errno),
        }
    }
}

/// Whether a device still has its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Life {
    /// It has.
    Present,
    /// The toolstack took it away; so is the device.
    Gone,
}

/// Writes nodes and then the state into a half's own directory, all or nothing. A directory that
/// was removed is not made again.
pub(crate) fn switch(
    store: &mut dyn Store,
    path: &str,
    keys: &Keys,
    to: State,
) -> Result<Life, Errno> {
    let state = format!("{path}/state");
    let mut life = Life::Present;
    store.transact(&mut |nodes| {
        if nodes.read(&state)?.is_none() {
            life = Life::Gone;
            return Ok(());
        }
        for (key, value) in &keys.0 {
            nodes.write(&format!("{path}/{key}"), value.as_bytes())?;
        }
        nodes.write(&state, to.to_string().as_bytes())
    })?;
    Ok(life)
}

/// Writes why a half gives up where people look for it: `error/<path>/error`, in the domain's own
/// directory.
pub(crate) fn report(store: &mut dyn Store, path: &str, fault: &Fault) {
    // Nobody is there to be told that this failed; that the device closes is seen anyway.
    let _ = store.write(&format!("error/{path}/error"), fault.to_string().as_bytes());
}

/// Reads the link to the peer: its directory and its domain.
pub(crate) fn link(
    store: &mut dyn Store,
    path: &str,
    (link, id): (&str, &str),
) -> Result<(String, DomId), Fault> {
    let mut node = Node::new(store, path);
    let domain = DomId::new(node.number(id)?);
    let reading = || Fault::while_doing(format!("reading {path}/{link}"));
    let peer = node.read(link).map_err(reading())?;
    let peer = peer.and_then(|peer| String::from_utf8(peer).ok());
    Ok((peer.ok_or(Errno::EINVAL).map_err(reading())?, domain))
}

//! Reading and writing nodes, in a transaction or outside.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pv_abi::errno::Errno;

use super::{Error, acknowledge, strings};
use crate::perms::Permission;
use crate::wire::{MessageType, payload};

/// A change of one node.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// [`Store::write`].
    Write {
        /// The node.
        path: &'a str,
        /// Its new value.
        value: &'a [u8],
    },
    /// [`Store::set_perms`].
    SetPerms {
        /// The node.
        path: &'a str,
        /// Its new permissions.
        permissions: &'a [Permission],
    },
}

impl Change<'_> {
    fn request(&self) -> (MessageType, Vec<u8>) {
        match self {
            Self::Write { path, value } => {
                let mut payload = strings(&[path]);
                payload.extend_from_slice(value);
                (MessageType::Write, payload)
            }
            Self::SetPerms { path, permissions } => {
                let texts: Vec<String> = permissions.iter().map(ToString::to_string).collect();
                let mut words = Vec::from([*path]);
                words.extend(texts.iter().map(String::as_str));
                (MessageType::SetPerms, strings(&words))
            }
        }
    }
}

/// The requests for changes.
pub(super) fn requests(changes: &[Change<'_>]) -> Vec<(MessageType, Vec<u8>)> {
    changes.iter().map(Change::request).collect()
}

/// The nodes as a [`Client`](super::Client) or a [`Transaction`](super::Transaction) sees them.
///
/// A path that does not begin with `/` is taken from the caller's home, `/local/domain/<domid>`.
/// Every method can also fail as the connection does.
pub trait Store {
    /// Why bytes could not be carried.
    type Failure;

    /// Sends one request and returns its reply's payload.
    ///
    /// # Errors
    /// Those of the request and of the connection.
    fn request(
        &mut self,
        kind: MessageType,
        payload: &[u8],
    ) -> Result<Vec<u8>, Error<Self::Failure>>;

    /// Makes changes in this order, without waiting for each before the next: much faster than one by
    /// one.
    ///
    /// # Errors
    /// The first that one of them has; changes behind that one may have been made. In a transaction
    /// that is to be aborted then, it makes no difference.
    fn change_all(&mut self, changes: &[Change<'_>]) -> Result<(), Error<Self::Failure>>;

    /// A request of these strings whose reply has nothing to say.
    ///
    /// # Errors
    /// Those of the request.
    fn acknowledged(
        &mut self,
        kind: MessageType,
        words: &[&str],
    ) -> Result<(), Error<Self::Failure>> {
        let reply = self.request(kind, &strings(words))?;
        acknowledge(&reply)
    }

    /// A node's value; None: there is no such node.
    ///
    /// # Errors
    /// `EACCES`, `EINVAL` for an invalid path.
    fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, Error<Self::Failure>> {
        match self.request(MessageType::Read, &strings(&[path])) {
            Err(Error::Refused(Errno::ENOENT)) => Ok(None),
            reply => reply.map(Some),
        }
    }

    /// Writes a value. The node and its parents are made where missing.
    ///
    /// # Errors
    /// `EACCES`, `EINVAL`, `ENOSPC` for a quota.
    fn write(&mut self, path: &str, value: &[u8]) -> Result<(), Error<Self::Failure>> {
        self.change_all(&[Change::Write { path, value }])
    }

    /// Makes a node, and its parents, where missing.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn mkdir(&mut self, path: &str) -> Result<(), Error<Self::Failure>> {
        self.acknowledged(MessageType::Mkdir, &[path])
    }

    /// Removes a node and all below it. No such node is no error if its parent exists.
    ///
    /// # Errors
    /// `EACCES`, `EINVAL`, `ENOENT`: its parent does not exist either.
    fn rm(&mut self, path: &str) -> Result<(), Error<Self::Failure>> {
        self.acknowledged(MessageType::Rm, &[path])
    }

    /// The names of a node's children, however many; None: there is no such node.
    ///
    /// # Errors
    /// `EACCES`, `EINVAL`.
    fn directory(&mut self, path: &str) -> Result<Option<Vec<String>>, Error<Self::Failure>> {
        let list = match self.request(MessageType::Directory, &strings(&[path])) {
            Err(Error::Refused(Errno::E2BIG)) => long_directory(self, path),
            list => list,
        };
        match list {
            Err(Error::Refused(Errno::ENOENT)) => Ok(None),
            list => names(&list?).map(Some),
        }
    }

    /// A node's permissions; None: there is no such node.
    ///
    /// # Errors
    /// `EACCES`, `EINVAL`.
    fn get_perms(&mut self, path: &str) -> Result<Option<Vec<Permission>>, Error<Self::Failure>> {
        match self.request(MessageType::GetPerms, &strings(&[path])) {
            Err(Error::Refused(Errno::ENOENT)) => Ok(None),
            reply => {
                let list = Permission::parse_list(payload::strings(&reply?));
                list.map(Some).ok_or(Error::Malformed)
            }
        }
    }

    /// Sets a node's permissions. The first names the owner.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`; `EPERM`: only domain 0 gives a node to another; `ENOSPC`: too many.
    fn set_perms(
        &mut self,
        path: &str,
        permissions: &[Permission],
    ) -> Result<(), Error<Self::Failure>> {
        self.change_all(&[Change::SetPerms { path, permissions }])
    }
}

/// A list too long for one reply, part by part, from the start again when it changes meanwhile.
fn long_directory<S: Store + ?Sized>(
    store: &mut S,
    path: &str,
) -> Result<Vec<u8>, Error<S::Failure>> {
    let mut list = Vec::new();
    let mut first_generation = Vec::new();
    loop {
        let offset = list.len().to_string();
        let reply = store.request(MessageType::DirectoryPart, &strings(&[path, &offset]))?;
        let (generation, part) = payload::split(&reply).ok_or(Error::Malformed)?;
        if list.is_empty() {
            first_generation = generation.to_vec();
        } else if first_generation != generation {
            list.clear();
            continue;
        }
        // The last part ends in an empty name.
        match part {
            [] => return Err(Error::Malformed),
            [0] => return Ok(list),
            [names @ .., 0, 0] => {
                list.extend_from_slice(names);
                list.push(0);
                return Ok(list);
            }
            part => list.extend_from_slice(part),
        }
    }
}

fn names<E>(list: &[u8]) -> Result<Vec<String>, Error<E>> {
    payload::strings(list)
        .map(|name| {
            core::str::from_utf8(name).map(ToString::to_string).map_err(|_| Error::Malformed)
        })
        .collect()
}

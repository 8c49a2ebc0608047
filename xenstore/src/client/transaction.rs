//! A transaction of a client.

use alloc::vec::Vec;

use super::store::requests;
use super::{Change, Client, Error, Store, Transport, acknowledge};
use crate::wire::MessageType;

/// A transaction under way. Dropped without [`commit`](Self::commit), it is aborted.
pub struct Transaction<'a, T: Transport> {
    client: &'a mut Client<T>,
    id: u32,
    open: bool,
}

impl<'a, T: Transport> Transaction<'a, T> {
    pub(super) fn new(client: &'a mut Client<T>, id: u32) -> Self {
        Self { client, id, open: true }
    }

    /// Makes what was changed visible, all at once.
    ///
    /// # Errors
    /// `EAGAIN`: what was read has changed since; nothing was done. `ENOSPC`, `ENOMEM`: a quota.
    pub fn commit(mut self) -> Result<(), Error<T::Error>> {
        self.end(b"T\0")
    }

    /// Drops what was changed.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn abort(mut self) -> Result<(), Error<T::Error>> {
        self.end(b"F\0")
    }

    fn end(&mut self, how: &[u8]) -> Result<(), Error<T::Error>> {
        self.open = false;
        let reply = self.client.exchange(MessageType::TransactionEnd, self.id, how)?;
        acknowledge(&reply)
    }
}

impl<T: Transport> Store for Transaction<'_, T> {
    type Failure = T::Error;

    fn request(&mut self, kind: MessageType, payload: &[u8]) -> Result<Vec<u8>, Error<T::Error>> {
        self.client.exchange(kind, self.id, payload)
    }

    fn change_all(&mut self, changes: &[Change<'_>]) -> Result<(), Error<T::Error>> {
        self.client.exchange_all(self.id, &requests(changes))
    }
}

impl<T: Transport> Drop for Transaction<'_, T> {
    fn drop(&mut self) {
        if self.open {
            // Where the connection is gone the server drops it by itself.
            let _ = self.end(b"F\0");
        }
    }
}

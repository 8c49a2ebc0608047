//! XenStore by a client of the crate `xenstore`: what [`Store`] asks of it, one request a call.

use alloc::string::String;
use alloc::vec::Vec;

use pv_abi::errno::Errno;
use xenstore::client::{self, Client, Error, Transport};

use crate::access::{Nodes, Store};

/// How often a transaction is tried: others that write the same nodes all the time do not hold us
/// up for good.
const ATTEMPTS: usize = 16;

/// What the store says; EIO for a connection that is gone or of no use.
fn errno<E>(error: Error<E>) -> Errno {
    match error {
        Error::Refused(errno) => errno,
        Error::Transport(_) | Error::Closed | Error::Malformed => Errno::EIO,
    }
}

impl<S: client::Store> Nodes for S {
    fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, Errno> {
        client::Store::read(self, path).map_err(errno)
    }

    fn write(&mut self, path: &str, value: &[u8]) -> Result<(), Errno> {
        client::Store::write(self, path, value).map_err(errno)
    }

    fn directory(&mut self, path: &str) -> Result<Option<Vec<String>>, Errno> {
        client::Store::directory(self, path).map_err(errno)
    }
}

impl<T: Transport> Store for Client<T> {
    fn watch(&mut self, path: &str, token: &str) -> Result<(), Errno> {
        Client::watch(self, path, token).map_err(errno)
    }

    fn unwatch(&mut self, path: &str, token: &str) -> Result<(), Errno> {
        Client::unwatch(self, path, token).map_err(errno)
    }

    fn transact(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Nodes) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        for _ in 0..ATTEMPTS {
            let mut transaction = self.transaction().map_err(errno)?;
            // Dropped by an error, it is aborted.
            work(&mut transaction)?;
            match transaction.commit() {
                Err(Error::Refused(Errno::EAGAIN)) => {}
                done => return done.map_err(errno),
            }
        }
        Err(Errno::EAGAIN)
    }
}

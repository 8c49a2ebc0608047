//! A server replaced by what its dump gives, while its embedder goes on.

use core::mem;

use super::RestoreError;
use crate::server::Server;

impl Server {
    /// Replaces the server by one [restored](Self::restore) from its [dump](Self::dump)
    /// (`CONTROL live-update`). [Ids](crate::server::ConnectionId) of connections stay, so the embedder
    /// keeps every stream where it is; every connection is [touched](Self::take_touched).
    /// [Actions](Self::take_action) that wait are kept.
    ///
    /// # Errors
    /// The dump cannot be restored. The server is as it was.
    pub fn live_update(&mut self) -> Result<(), RestoreError> {
        let mut new = Self::restore(&self.dump())?;
        // What the old one asked for comes before what the new one does as it begins.
        let later = mem::replace(&mut new.actions, mem::take(&mut self.actions));
        new.actions.extend(later);
        *self = new;
        Ok(())
    }
}

//! Blocking requests.

/// The bytes of one connection to a server.
pub trait Transport {
    /// Why bytes could not be carried.
    type Error;

    /// Sends all bytes; waits as long as that takes.
    ///
    /// # Errors
    /// The connection is gone.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Waits for at least one byte, and returns how many came. 0: the server closed the connection.
    ///
    /// # Errors
    /// The connection is gone.
    fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error>;
}

//! Event channels.

/// A domain's ports.
pub struct Events {}

impl Events {
    /// No ports.
    pub const fn new() -> Events {
        Events {}
    }
}

impl Default for Events {
    fn default() -> Self {
        Events::new()
    }
}

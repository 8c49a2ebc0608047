//! What `setsockopt` can say of a socket.

/// The options of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `SO_REUSEADDR`: its port may be one that old connections still use, or others bound so.
    pub reuse_address: bool,
    /// `SO_BROADCAST`: it may send to all hosts of a network.
    pub broadcast: bool,
    /// `SO_KEEPALIVE`: a silent peer is asked whether it is still there.
    pub keep_alive: bool,
    /// `TCP_NODELAY`: small writes are sent at once, not together.
    pub no_delay: bool,
    /// `SO_LINGER` with no time: closing resets the connection.
    pub reset_on_close: bool,
    /// `IP_TTL`: routers that a packet may pass. None: the default, 64.
    pub hop_limit: Option<u8>,
    /// `SO_RCVTIMEO`: nanoseconds that receiving waits. None: for ever.
    pub receive_timeout_ns: Option<u64>,
    /// `SO_SNDTIMEO`: nanoseconds that sending and connecting wait. None: for ever.
    pub send_timeout_ns: Option<u64>,
}

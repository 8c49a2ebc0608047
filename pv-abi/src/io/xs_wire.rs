//! XenStore's wire protocol: messages, and the page they go through.

layouts! { in "io/xs_wire.h";
    /// Head of every message; `len` bytes follow.
    struct XsdSockmsg("struct xsd_sockmsg", 16) {
        /// One of `XS_*`.
        r#type: u32 => ["type"],
        /// Request id; the reply repeats it.
        req_id: u32,
        /// Transaction id; 0: none.
        tx_id: u32,
        /// Bytes that follow, up to [`XENSTORE_PAYLOAD_MAX`].
        len: u32,
    }

    /// The XenStore page of a domain: two rings of bytes. Indices run freely
    /// and wrap at 2^32; each side writes only its own.
    struct XenstoreDomainInterface("struct xenstore_domain_interface", 2076) {
        /// Requests.
        req: [u8; XENSTORE_RING_SIZE],
        /// Replies and watch events.
        rsp: [u8; XENSTORE_RING_SIZE],
        /// How far XenStore has read requests.
        req_cons: u32,
        /// How far the guest has written requests.
        req_prod: u32,
        /// How far the guest has read replies.
        rsp_cons: u32,
        /// How far XenStore has written replies.
        rsp_prod: u32,
        /// `XENSTORE_SERVER_FEATURE_*`.
        server_features: u32,
        /// [`XENSTORE_CONNECTED`] or [`XENSTORE_RECONNECT`].
        connection: u32,
        /// `XENSTORE_ERROR_*`.
        error: u32,
    }
}

/// Flag string of the obsolete create modes: none.
///
/// C: `XS_WRITE_NONE` in `xen/io/xs_wire.h`.
pub const XS_WRITE_NONE: &str = "NONE";
/// Flag string of the obsolete create modes: create.
///
/// C: `XS_WRITE_CREATE` in `xen/io/xs_wire.h`.
pub const XS_WRITE_CREATE: &str = "CREATE";
/// Flag string of the obsolete create modes: must not exist.
///
/// C: `XS_WRITE_CREATE_EXCL` in `xen/io/xs_wire.h`.
pub const XS_WRITE_CREATE_EXCL: &str = "CREATE|EXCL";

constants! { in "io/xs_wire.h";
    /// Control of the daemon.
    XS_CONTROL: u32 = 0;
    /// Names of a node's children.
    XS_DIRECTORY: u32 = 1;
    /// A node's value.
    XS_READ: u32 = 2;
    /// A node's permissions.
    XS_GET_PERMS: u32 = 3;
    /// Sets a watch.
    XS_WATCH: u32 = 4;
    /// Takes a watch away.
    XS_UNWATCH: u32 = 5;
    /// Starts a transaction.
    XS_TRANSACTION_START: u32 = 6;
    /// Ends a transaction.
    XS_TRANSACTION_END: u32 = 7;
    /// Connects a domain.
    XS_INTRODUCE: u32 = 8;
    /// Disconnects a domain.
    XS_RELEASE: u32 = 9;
    /// The path of a domain.
    XS_GET_DOMAIN_PATH: u32 = 10;
    /// Writes a node.
    XS_WRITE: u32 = 11;
    /// Makes a node.
    XS_MKDIR: u32 = 12;
    /// Removes a node and what is below.
    XS_RM: u32 = 13;
    /// Sets a node's permissions.
    XS_SET_PERMS: u32 = 14;
    /// A watch fired (daemon to client).
    XS_WATCH_EVENT: u32 = 15;
    /// A request failed (daemon to client).
    XS_ERROR: u32 = 16;
    /// Whether a domain is connected.
    XS_IS_DOMAIN_INTRODUCED: u32 = 17;
    /// A suspended domain goes on.
    XS_RESUME: u32 = 18;
    /// Gives a domain the rights of another.
    XS_SET_TARGET: u32 = 19;
    /// Takes all of a client's watches and transactions away. (20 is free.)
    XS_RESET_WATCHES: u32 = 21;
    /// A part of a long directory.
    XS_DIRECTORY_PART: u32 = 22;
    /// Number of message types.
    XS_TYPE_COUNT: u32 = 23;
    /// Never a message type.
    XS_INVALID: u32 = 0xffff;
    /// Part of a watch event: the path.
    XS_WATCH_PATH: u32 = 0;
    /// Part of a watch event: the token.
    XS_WATCH_TOKEN: u32 = 1;
    /// Bytes of each ring.
    XENSTORE_RING_SIZE: usize = 1024;
    /// Most bytes after a message's head.
    XENSTORE_PAYLOAD_MAX: usize = 4096;
    /// Most bytes of an absolute path.
    XENSTORE_ABS_PATH_MAX: usize = 3072;
    /// Most bytes of a relative path.
    XENSTORE_REL_PATH_MAX: usize = 2048;
    /// Bit of `server_features`: a ring can be connected again.
    XENSTORE_SERVER_FEATURE_RECONNECTION: u32 = 1;
    /// Bit of `server_features`: the page has the field `error`.
    XENSTORE_SERVER_FEATURE_ERROR: u32 = 2;
    /// The ring works.
    XENSTORE_CONNECTED: u32 = 0;
    /// The ring is being connected again.
    XENSTORE_RECONNECT: u32 = 1;
    /// No error.
    XENSTORE_ERROR_NONE: u32 = 0;
    /// Communication failed.
    XENSTORE_ERROR_COMM: u32 = 1;
    /// An index was invalid.
    XENSTORE_ERROR_RINGIDX: u32 = 2;
    /// The protocol was violated.
    XENSTORE_ERROR_PROTO: u32 = 3;
}

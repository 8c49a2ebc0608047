//! States of a paravirtual device, as each half writes them, in decimal, into its node `state`.

constants! { in "io/xenbus.h";
    /// There is no half, or none that says.
    XENBUS_STATE_UNKNOWN: u32 = 0 => "XenbusStateUnknown";
    /// The half begins.
    XENBUS_STATE_INITIALISING: u32 = 1 => "XenbusStateInitialising";
    /// It waits for the peer, or for hot-plug scripts.
    XENBUS_STATE_INIT_WAIT: u32 = 2 => "XenbusStateInitWait";
    /// It has published its rings and waits for the peer to connect.
    XENBUS_STATE_INITIALISED: u32 = 3 => "XenbusStateInitialised";
    /// The device works.
    XENBUS_STATE_CONNECTED: u32 = 4 => "XenbusStateConnected";
    /// The device is being closed, because of an error or because it is unplugged.
    XENBUS_STATE_CLOSING: u32 = 5 => "XenbusStateClosing";
    /// It is closed.
    XENBUS_STATE_CLOSED: u32 = 6 => "XenbusStateClosed";
    /// The device is being changed.
    XENBUS_STATE_RECONFIGURING: u32 = 7 => "XenbusStateReconfiguring";
    /// It has been changed.
    XENBUS_STATE_RECONFIGURED: u32 = 8 => "XenbusStateReconfigured";
}

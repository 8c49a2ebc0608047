//! A driver domain: one that serves its devices to other domains, as domain 0 does.
//!
//! The toolstack gives the home of such a domain the directory `libxl`. Nothing else is special about
//! it: what it serves it finds below its own `backend`, its guests grant it what it may reach of their
//! memory, and what stands behind its disks is what it has itself: memory, disks that it was given, and
//! files on them.

use crate::socket::plan::Plan;
use crate::store::local::Connection;
use crate::{block, net};
use xenstore::client::{Client, Store};

/// Whether this domain is one.
pub fn is_one() -> bool {
    has("libxl")
}

/// From now on it serves. It has its disks, and its root, by now: what cannot be found is an error at
/// once. Returns how it gets an address unless its command line says so.
pub fn start() -> Plan {
    net::serve_guests();
    block::back::start();
    if has("device/vif/0") {
        return Plan::Dhcp;
    }
    // Nobody on its own bridge gives it one.
    net::start_own();
    Plan::Off
}

/// Whether there is a node in this domain's home.
fn has(path: &str) -> bool {
    let mut store = Client::new(Connection::new());
    matches!(store.read(path), Ok(Some(_)))
}

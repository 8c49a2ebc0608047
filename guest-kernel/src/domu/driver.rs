//! A driver domain: one that serves its devices to other domains, as domain 0 does.
//!
//! The toolstack gives the home of such a domain the directory `libxl`. Nothing else is special about
//! it: what it serves it finds below its own `backend`, its guests grant it what it may reach of their
//! memory, and what stands behind its disks is what it has itself: memory, disks that it was given, and
//! files on them. Its bridge has a way out if it has a network device.

use crate::socket::plan::Plan;
use crate::store::local::Connection;
use crate::{block, net};
use alloc::string::String;
use alloc::vec::Vec;
use xenbus::net::parse_mac;
use xenstore::client::{Client, Store};

/// Whether this domain is one.
pub fn is_one() -> bool {
    read("libxl").is_some()
}

/// Starts its network, whose way out has the address of its first device. Returns as
/// [`net::start_guest`].
pub fn start_network() -> Plan {
    let mac = read("device/vif/0/mac").and_then(|mac| parse_mac(&String::from_utf8(mac).ok()?));
    net::start_driver_domain(mac)
}

/// From now on it serves. It has its disks, and its root, by now: what cannot be found is an error at
/// once.
pub fn serve() {
    net::serve_guests();
    block::back::start();
}

/// The value of a node in this domain's home.
fn read(path: &str) -> Option<Vec<u8>> {
    Client::new(Connection::new()).read(path).ok()?
}

//! What a domain does at its start for its network.

use super::back::Vif;
use super::front::Eth;
use super::own::OwnEnd;
use super::{Mac, card, registry};
use crate::device;
use alloc::sync::Arc;
use ring1::println;

/// Kind of the devices.
const VIF: &str = "vif";
/// Address of a bridge's own end where there is no card that has one: Xen's, with the first number.
const OWN: Mac = [0x00, 0x16, 0x3e, 0, 0, 0];

/// Domain 0's: the bridge with the machine's card, if there is one, and domain 0's own interface
/// `eth0`.
pub fn start_domain_0() {
    plug_own(card::start().unwrap_or(OWN));
}

/// A driver domain's that has no network device `eth0`: its own end of its bridge, by that name.
pub fn start_own() {
    plug_own(OWN);
}

fn plug_own(mac: Mac) {
    match OwnEnd::new(mac) {
        // Nobody else has had time to take the name.
        Ok(own) => _ = registry::register("eth0", Arc::new(own)),
        Err(refused) => println!("no network for this domain itself: {refused:?}"),
    }
}

/// Domain 0's and driver domains': from now on guests' devices are plugged into the bridge. Needs
/// XenStore.
pub fn serve_guests() {
    device::back(VIF, Vif::new);
}

/// A guest's: from now on its network devices are interfaces. Needs XenStore.
pub fn start_guest() {
    device::front(VIF, Eth::new);
}

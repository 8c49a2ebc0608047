//! What a domain does at its start for its network.

use super::back::Vif;
use super::front::Eth;
use super::own::OwnEnd;
use super::uplink::Uplink;
use super::{Mac, card, registry};
use crate::device;
use crate::socket::plan::Plan;
use alloc::sync::Arc;
use ring1::println;

/// Kind of the devices.
const VIF: &str = "vif";
/// Address of a bridge's own end where no way out has one: Xen's, with the first number.
const OWN: Mac = [0x00, 0x16, 0x3e, 0, 0, 0];

/// Domain 0's: the bridge with the machine's card, if there is one, and domain 0's own interface
/// `eth0`.
pub fn start_domain_0() {
    plug_own(card::start().unwrap_or(OWN));
}

/// A driver domain's: the bridge, its own interface `eth0`, and its network device, whose address that
/// has, as the way out. Needs XenStore. Returns as [`start_guest`].
pub fn start_driver_domain(mac: Option<Mac>) -> Plan {
    plug_own(mac.unwrap_or(OWN));
    device::front(VIF, Uplink::new);
    // On a bridge without a way out there is nobody who gives it one.
    if mac.is_some() { Plan::Dhcp } else { Plan::Off }
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

/// A guest's: from now on its network devices are interfaces. Needs XenStore. Returns how it gets an
/// address unless its command line says so.
pub fn start_guest() -> Plan {
    device::front(VIF, Eth::new);
    Plan::Dhcp
}

//! Carries out [`Order`]s of `netio`.

use super::traffic::{Order, frame};
use super::{Busy, Interface, hub};
use crate::task::scheduler::{self, NETWORK};
use crate::time;
use ring1::events::Masked;

/// Nanoseconds of a pause.
const PAUSE_NS: u64 = 1_000_000;

/// Sends what was ordered; how many frames found no room on the bridge meanwhile. None: there are no such
/// frames.
pub fn send(interface: &dyn Interface, order: &Order) -> Option<u64> {
    let bytes = frame(order.to, interface.mac(), order.length)?;
    let before = hub::counts().lost;
    for number in 1..=order.count {
        let _masked = Masked::new();
        while interface.send(&bytes) == Err(Busy) {
            // The stack hears when there is room, and whoever sleeps where it does.
            scheduler::sleep(NETWORK, 0);
        }
        if number.is_multiple_of(order.burst) {
            let end = time::now() + PAUSE_NS;
            while time::now() < end {
                scheduler::sleep(NETWORK, end);
            }
        }
    }
    Some(hub::counts().lost - before)
}

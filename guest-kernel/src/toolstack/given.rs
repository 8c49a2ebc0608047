//! The devices that this toolstack gave to domains.
//!
//! A device whose back end's domain has ended is lost: it waits for the next domain of that name.

use crate::device_nodes::Halves;
use crate::sync::Guarded;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use pv_abi::types::DomId;

struct Given {
    halves: Halves,
    /// The name of the domain that served it, and has ended.
    served_by: Option<String>,
}

/// By the domain that has them.
static GIVEN: Guarded<BTreeMap<u16, Vec<Given>>> = Guarded::new(BTreeMap::new());

/// A domain was given a device.
pub fn add(halves: Halves) {
    GIVEN.with(|given| {
        let devices = given.entry(halves.front.raw()).or_default();
        devices.push(Given { halves, served_by: None });
    });
}

/// A device was taken away.
pub fn remove(halves: &Halves) {
    GIVEN.with(|given| {
        let Some(devices) = given.get_mut(&halves.front.raw()) else { return };
        devices.retain(|device| device.halves != *halves);
        if devices.is_empty() {
            given.remove(&halves.front.raw());
        }
    });
}

/// A domain's devices.
pub fn of(domain: DomId) -> Vec<Halves> {
    GIVEN.with(|given| {
        let devices = given.get(&domain.raw()).map(Vec::as_slice).unwrap_or_default();
        devices.iter().map(|device| device.halves).collect()
    })
}

/// A domain has ended: what it served is lost.
pub fn lose(back: DomId, name: &str) {
    GIVEN.with(|given| {
        for device in given.values_mut().flatten().filter(|device| device.halves.back == back) {
            device.served_by.get_or_insert_with(|| name.to_string());
        }
    });
}

/// The devices that were lost with a domain of this name.
pub fn lost_with(name: &str) -> Vec<Halves> {
    GIVEN.with(|given| {
        let lost = given.values().flatten();
        let lost = lost.filter(|device| device.served_by.as_deref() == Some(name));
        lost.map(|device| device.halves).collect()
    })
}

//! Interfaces by name, and who is told when there is another.

use super::Interface;
use crate::sync::Guarded;
use crate::waker::Waker;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

struct Registry {
    interfaces: Vec<(String, Arc<dyn Interface>)>,
    listener: Option<Waker>,
}

static REGISTRY: Guarded<Registry> =
    Guarded::new(Registry { interfaces: Vec::new(), listener: None });

/// Names an interface. False: another has the name.
pub fn register(name: &str, interface: Arc<dyn Interface>) -> bool {
    let listener = REGISTRY.with(|registry| {
        if registry.interfaces.iter().any(|(taken, _)| taken == name) {
            return None;
        }
        registry.interfaces.push((name.to_string(), interface));
        Some(registry.listener)
    });
    if let Some(Some(waker)) = listener {
        waker.wake();
    }
    listener.is_some()
}

/// Takes a name back: the device is gone. Who has the interface finds that its link is down.
pub fn unregister(name: &str) {
    let listener = REGISTRY.with(|registry| {
        registry.interfaces.retain(|(taken, _)| taken != name);
        registry.listener
    });
    listener.into_iter().for_each(Waker::wake);
}

/// The interface of this name.
pub fn find(name: &str) -> Option<Arc<dyn Interface>> {
    REGISTRY.with(|registry| {
        let mut interfaces = registry.interfaces.iter();
        interfaces.find(|(taken, _)| taken == name).map(|(_, interface)| Arc::clone(interface))
    })
}

/// The names that are taken, oldest first.
pub fn names() -> Vec<String> {
    REGISTRY.with(|registry| registry.interfaces.iter().map(|(name, _)| name.clone()).collect())
}

/// Has `waker` be called whenever a name is taken or given back, instead of the one before.
pub fn set_listener(waker: Waker) {
    REGISTRY.with(|registry| registry.listener = Some(waker));
}

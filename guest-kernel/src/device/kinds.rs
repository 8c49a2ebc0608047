//! Which kinds of devices there are drivers for.

use super::half::{self, Serve};
use super::{Bell, Domain, manager};
use crate::sync::Guarded;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use xenbus::back::BackDriver;
use xenbus::front::FrontDriver;

/// Which half of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The half that uses it.
    Front,
    /// The half that has it.
    Back,
}

/// A device for which a driver is opened.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its directory, below this domain's own: `device/vbd/51712`, `backend/vbd/3/51712`.
    pub path: String,
    /// What wakes its task.
    pub bell: Bell,
}

/// How a device's task ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// The device is gone; one of the same path may have come.
    Gone,
    /// Nothing can be done with it.
    Failed,
    /// It is to begin again.
    Restarted,
}

/// A kind of device.
pub(super) struct Kind {
    pub(super) side: Side,
    pub(super) name: &'static str,
    /// All that the task of such a device does.
    pub(super) run: Box<dyn Fn(&Device) -> End + Send + Sync>,
}

static KINDS: Guarded<Vec<Arc<Kind>>> = Guarded::new(Vec::new());

/// From now on front ends of this kind get a driver, which `open` makes.
pub fn front<R>(name: &'static str, open: fn(&Device) -> R)
where
    R: FrontDriver<Domain> + Serve + 'static,
{
    let run = Box::new(move |device: &Device| half::run_front(device, open(device)));
    register(Kind { side: Side::Front, name, run });
}

/// From now on back ends of this kind get a driver, which `open` makes.
pub fn back<R>(name: &'static str, open: fn(&Device) -> R)
where
    R: BackDriver<Domain> + Serve + 'static,
{
    let run = Box::new(move |device: &Device| half::run_back(device, open(device)));
    register(Kind { side: Side::Back, name, run });
}

fn register(kind: Kind) {
    KINDS.with(|kinds| kinds.push(Arc::new(kind)));
    manager::start();
}

/// All kinds.
pub(super) fn all() -> Vec<Arc<Kind>> {
    KINDS.with(|kinds| kinds.clone())
}

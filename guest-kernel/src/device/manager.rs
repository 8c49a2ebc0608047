//! The manager: starts a task for each device that comes, and tells those to let go that went.
//!
//! It looks at XenStore's directories alone, never at a device: what devices and their peers do
//! costs it nothing but, now and then, a look for nothing.

use super::bell::BELLS;
use super::kinds::{self, Device, End, Kind, Side};
use super::{Bell, abandoned};
use crate::store::local::{Closed, Connection};
use crate::sync::Guarded;
use crate::task::{children, scheduler};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use pv_abi::errno::Errno;
use ring1::events::Masked;
use ring1::println;
use xenbus::bus::{self, Roster};
use xenstore::client::{Client, Error};

/// What is asked of a device's task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// The device is gone.
    LetGo,
    /// It is to end as if it had crashed, and to begin again.
    Restart,
}

/// A device's task.
struct Slot {
    path: String,
    kind: Arc<Kind>,
    order: Option<Order>,
    ended: Option<End>,
}

/// Devices that have a task, by the numbers of their bells.
static SLOTS: Guarded<BTreeMap<u32, Slot>> = Guarded::new(BTreeMap::new());
static STARTED: AtomicBool = AtomicBool::new(false);

/// Starts the manager, or has it look at a new kind.
pub(super) fn start() {
    if STARTED.swap(true, Ordering::Relaxed) {
        Bell::MANAGER.ring();
    } else if scheduler::start_kernel("devices", task, 0).is_none() {
        println!("no memory for the task that sees to devices");
    }
}

/// What a task is asked to do, once.
pub(super) fn order(bell: Bell) -> Option<Order> {
    SLOTS.with(|slots| slots.get_mut(&bell.number())?.order.take())
}

/// The directories of the devices that have a task, below this domain's own.
pub fn paths() -> Vec<String> {
    SLOTS.with(|slots| slots.values().map(|slot| slot.path.clone()).collect())
}

/// Ends a device's task as if it had crashed, and begins another.
///
/// ENOENT: no device of this path has a task.
pub fn restart(path: &str) -> Result<(), Errno> {
    tell(path, Order::Restart).ok_or(Errno::ENOENT)
}

/// Gives an order to the task of the device at `path`. None: there is none.
fn tell(path: &str, order: Order) -> Option<()> {
    let number = SLOTS.with(|slots| {
        let (number, slot) = slots.iter_mut().find(|(_, slot)| slot.path == path)?;
        // A device that is to let go is not to do anything else.
        if slot.order != Some(Order::LetGo) {
            slot.order = Some(order);
        }
        Some(*number)
    })?;
    Bell::new(number).ring();
    Some(())
}

extern "C" fn task(_: u32) -> ! {
    let channel = Bell::MANAGER.channel();
    let mut manager =
        Manager { store: Client::new(Connection::waking(channel)), rosters: BTreeMap::new() };
    if let Err(error) = manager.run() {
        println!("devices: XenStore is not heard any more: {error}");
    }
    children::end(0)
}

struct Manager {
    store: Client<Connection>,
    /// What is known of each kind, by its place in the list.
    rosters: BTreeMap<usize, Roster>,
}

impl Manager {
    fn run(&mut self) -> Result<(), Error<Closed>> {
        for directory in ["device", "backend"] {
            self.store.watch(directory, directory)?;
        }
        loop {
            let mut stale = self.bury();
            abandoned::retry();
            while self.has_events() {
                let event = self.store.next_event()?;
                stale |= self.rosters.values().all(|roster| roster.concerns(&event.path));
            }
            for (number, kind) in kinds::all().iter().enumerate() {
                if stale || !self.rosters.contains_key(&number) {
                    self.look(number, kind);
                }
            }
            let _masked = Masked::new();
            while !Bell::MANAGER.take() && !self.has_events() {
                scheduler::sleep(Bell::MANAGER.channel(), 0);
            }
        }
    }

    fn has_events(&self) -> bool {
        self.store.has_event() || self.store.transport().has_received()
    }

    /// Finds out which devices of a kind came and went.
    fn look(&mut self, number: usize, kind: &Arc<Kind>) {
        let found = match kind.side {
            Side::Front => bus::front_ends(&mut self.store, kind.name),
            Side::Back => bus::back_ends(&mut self.store, kind.name),
        };
        let now = match found {
            Ok(now) => now,
            Err(errno) => return println!("devices: {} in XenStore: {errno}", kind.name),
        };
        let roster = self.rosters.entry(number).or_default();
        let changes = roster.update(now);
        for path in &changes.vanished {
            // Its task may have seen that before us.
            let _ = tell(path, Order::LetGo);
        }
        for path in &changes.appeared {
            if !begin(path, kind) {
                roster.forget(path);
            }
        }
    }

    /// Forgets tasks that ended; whether that may have made way for devices.
    fn bury(&mut self) -> bool {
        let ended: Vec<Slot> = SLOTS.with(|slots| {
            slots.extract_if(.., |_, slot| slot.ended.is_some()).map(|(_, slot)| slot).collect()
        });
        if ended.is_empty() {
            return false;
        }
        children::bury();
        let again = ended.iter().filter(|slot| slot.ended != Some(End::Failed));
        for slot in again.clone() {
            self.rosters.values_mut().for_each(|roster| roster.forget(&slot.path));
        }
        again.count() > 0
    }
}

/// Starts a device's task. False: not now, since its predecessor has not ended yet, or for want of
/// memory.
fn begin(path: &str, kind: &Arc<Kind>) -> bool {
    let number = SLOTS.with(|slots| {
        if slots.values().any(|slot| slot.path == path) {
            return None;
        }
        // Number 0 is the manager's.
        let number = (1..BELLS).find(|number| !slots.contains_key(number))?;
        let slot = Slot { path: path.into(), kind: Arc::clone(kind), order: None, ended: None };
        slots.insert(number, slot);
        Some(number)
    });
    let Some(number) = number else { return false };
    if scheduler::start_kernel(path, device, number).is_none() {
        println!("no memory for {path}");
        SLOTS.with(|slots| slots.remove(&number));
        return false;
    }
    true
}

/// The task of the device with this number.
extern "C" fn device(number: u32) -> ! {
    let found = SLOTS
        .with(|slots| slots.get(&number).map(|slot| (slot.path.clone(), Arc::clone(&slot.kind))));
    if let Some((path, kind)) = found {
        let end = (kind.run)(&Device { path, bell: Bell::new(number) });
        SLOTS.with(|slots| {
            if let Some(slot) = slots.get_mut(&number) {
                slot.ended = Some(end);
            }
        });
    }
    Bell::MANAGER.ring();
    children::end(0)
}

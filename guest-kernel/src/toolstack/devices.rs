//! Devices of domains: given with the domain or while it runs, and taken away.
//!
//! A toolstack only says in XenStore what is to be ([`device_nodes`]); the back
//! end finds what stands behind the device and says in its state that it has, and both halves do the
//! rest. What this toolstack gave it remembers, so that what a guest makes of its own nodes does not
//! matter when they are taken away.
//!
//! **Going away** is libxl's: `online` becomes 0, which has the back end close, and where the guest
//! is not asked its directory goes first, which has the back end not wait for it. Only a back end
//! that is closed, or does not answer for too long, loses its directory. So when a domain is
//! destroyed nothing of its memory is mapped any more by then. A back end whose domain has ended
//! ([`driver_domains`]) is as good as closed.

use super::{domains, driver_domains, given, records, store, turn};
use crate::device_nodes::{self, Halves, Key};
use crate::store::local::Connection;
use crate::time;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use pv_abi::types::DomId;
use ring1::println;
use xenbus::state::State;
use xenstore::client::{Client, Store};
use xenstore::perms::{Access, Permission};
use xl::config::DomainConfig;
use xl::config::vif;
use xl::toolstack::{Detach, Device, DeviceClass, DeviceInfo, Error, Result};

/// How long a back end may look for what stands behind a device (`LIBXL_INIT_TIMEOUT`), nanoseconds.
const INIT_NS: u64 = 10_000_000_000;
/// How long a guest that is asked may use a device on (`LIBXL_DESTROY_TIMEOUT`), nanoseconds.
const ASKED_NS: u64 = 10_000_000_000;
/// How long a back end may take to close that need not ask, nanoseconds.
const TAKEN_NS: u64 = 2_000_000_000;

/// Chooses what a file leaves open and what is to stay over restarts: numbers and addresses of
/// interfaces.
pub fn complete(config: &mut DomainConfig) {
    let mut taken: Vec<u32> = config.vifs.iter().filter_map(|vif| vif.devid).collect();
    for vif in &mut config.vifs {
        vif.mac = vif.mac.or_else(fresh_mac);
        if vif.devid.is_none() {
            vif.devid = (0..).find(|id| !taken.contains(id));
            taken.extend(vif.devid);
        }
    }
}

/// An address of those that Xen has, as libxl makes them up.
fn fresh_mac() -> Option<[u8; 6]> {
    let [a, b, c, ..] = domains::fresh_uuid().0;
    Some([0x00, 0x16, 0x3e, a & 0x7f, b, c])
}

/// Gives a domain the devices of its file. The caller has the turn.
pub fn give_all(domain: DomId, config: &DomainConfig) -> Result<()> {
    let disks = config.disks.iter().cloned().map(Device::Disk);
    let vifs = config.vifs.iter().cloned().map(Device::Network);
    let given = disks.chain(vifs).map(|device| give(domain, &device));
    let given = given.collect::<Result<Vec<Halves>>>()?;
    given.iter().try_for_each(await_back_end)
}

/// Says in XenStore that a domain has a device. The caller has the turn.
fn give(domain: DomId, device: &Device) -> Result<Halves> {
    let (class, backend) = match device {
        Device::Disk(disk) => (DeviceClass::Disk, disk.backend.as_deref()),
        Device::Network(vif) => (DeviceClass::Network, vif.backend.as_deref()),
    };
    let taken: Vec<u32> = of(domain, class).iter().map(|halves| halves.id).collect();
    let id = device_nodes::number(device, &taken).map_err(Error::Other)?;
    let back = driver_domains::named(backend)?;
    let halves = Halves { front: domain, back, class, id };
    announce(device, &halves)?;
    Ok(halves)
}

/// Makes both directories of a device, the front end's anew where there is one. The caller has the
/// turn.
pub(super) fn announce(device: &Device, halves: &Halves) -> Result<()> {
    let user = driver_domains::user(halves.front)?;
    let nodes = device_nodes::nodes(device, halves, user).map_err(Error::Other)?;
    let pair = |owner, reader| {
        [Permission::new(Access::None, owner), Permission::new(Access::Read, reader)]
    };
    let mine = [Permission::new(Access::None, DomId::new(0))];
    let (front, back) = (pair(halves.front, halves.back), pair(halves.back, halves.front));
    let directories: [(String, &[Permission], &[Key]); 3] = [
        (halves.toolstack_path(), &mine, &nodes.toolstack),
        (halves.front_path(), &front, &nodes.front),
        (halves.back_path(), &back, &nodes.back),
    ];
    store::with(&halves.back_path(), |client| {
        client.transact(|store| {
            // What a front end has said to another back end is not for this one.
            if store.read(&halves.front_path())?.is_some() {
                store.rm(&halves.front_path())?;
            }
            for (path, perms, keys) in &directories {
                store.mkdir(path)?;
                // What is made below has its parent's permissions from its start.
                store.set_perms(path, perms)?;
                for (key, value) in *keys {
                    store.write(&format!("{path}/{key}"), value.as_bytes())?;
                }
            }
            Ok(())
        })
    })?;
    given::add(*halves);
    Ok(())
}

/// What was given to a domain, of one class.
fn of(domain: DomId, class: DeviceClass) -> Vec<Halves> {
    let mut found = given::of(domain);
    found.retain(|halves| halves.class == class);
    found.sort_unstable_by_key(|halves| halves.id);
    found
}

/// Waits until the back end has found what stands behind a device; says why if it has not.
fn await_back_end(halves: &Halves) -> Result<()> {
    let begun = |state| !matches!(state, State::Unknown | State::Initialising);
    match await_state(halves, INIT_NS, begun)? {
        State::Closing | State::Closed => Err(Error::Other(fault(halves))),
        state if begun(state) => Ok(()),
        _ => {
            let (back, class, id) = (halves.back.raw(), halves.class.name(), halves.id);
            let why = format!("domain {back} has not found what stands behind {class} {id}");
            Err(Error::Other(why))
        }
    }
}

/// What a back end says went wrong.
fn fault(halves: &Halves) -> String {
    let path = format!("{}/error", halves.error_path());
    let said = store::with(&path, |client| client.read(&path)).ok().flatten();
    let said = said.and_then(|text| String::from_utf8(text).ok());
    let (class, id) = (halves.class.name(), halves.id);
    match said {
        Some(why) => format!("the back end of {class} {id} has closed: {why}"),
        None => format!("the back end of {class} {id} has closed"),
    }
}

/// Waits until a back end's state is what is waited for, or until it has been so long; the state.
fn await_state(halves: &Halves, ns: u64, reached: impl Fn(State) -> bool) -> Result<State> {
    let path = format!("{}/state", halves.back_path());
    let deadline = time::now().saturating_add(ns);
    let failed = |error: xenstore::client::Error<_>| store::failed(&path, error);
    // The watch goes with the connection.
    let mut client = Client::new(Connection::new());
    client.watch(&path, "state").map_err(failed)?;
    loop {
        let value = client.read(&path).map_err(failed)?;
        let state = value.map_or(State::Unknown, |value| State::parse(&value));
        if reached(state) || time::now() >= deadline {
            return Ok(state);
        }
        while client.has_event() || client.transport().wait(deadline) {
            client.next_event().map_err(failed)?;
            if !client.has_event() {
                break;
            }
        }
    }
}

/// Gives a domain that runs a device. The caller has the turn.
pub fn attach(domain: DomId, mut device: Device) -> Result<()> {
    let Some(()) = records::with(domain, |_| ()) else {
        return Err(Error::Unsupported("devices for a domain that xl has not made"));
    };
    if let Device::Network(vif) = &mut device {
        vif.mac = vif.mac.or_else(fresh_mac);
    }
    let halves = give(domain, &device)?;
    if let Err(error) = await_back_end(&halves) {
        take(&halves);
        return Err(error);
    }
    // A restarted domain has it, too, under the same number.
    records::with(domain, |record| match device {
        Device::Disk(disk) => record.config.disks.push(disk),
        Device::Network(mut vif) => {
            vif.devid = Some(halves.id);
            record.config.vifs.push(vif);
        }
    });
    Ok(())
}

/// Takes a device of a domain's away. Has the turn itself, but not while it waits for a guest.
pub fn detach(domain: DomId, class: DeviceClass, id: u32, how: Detach) -> Result<()> {
    let find = || of(domain, class).into_iter().find(|halves| halves.id == id);
    if how != Detach::Take {
        let halves = find().ok_or_else(|| Error::Other("there is no such device".into()))?;
        close(&halves, Manner::Ask)?;
        let state = await_state(&halves, ASKED_NS, is_closed)?;
        if how == Detach::Ask && !is_closed(state) {
            return Err(Error::Other("the guest has not let go of it".into()));
        }
    }
    let _turn = turn::take();
    // It may have gone with its domain meanwhile.
    let Some(halves) = find() else { return Ok(()) };
    take(&halves);
    records::with(domain, |record| match class {
        DeviceClass::Disk => {
            let is_it = |vdev: &str| xl::config::vdev::number(vdev) == Some(id);
            record.config.disks.retain(|disk| !is_it(&disk.vdev));
        }
        DeviceClass::Network => record.config.vifs.retain(|vif| vif.devid != Some(id)),
    });
    Ok(())
}

fn is_closed(state: State) -> bool {
    matches!(state, State::Closed | State::Unknown)
}

/// How a back end is told to close.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It asks the front end.
    Ask,
    /// The front end is taken away before.
    Take,
}

/// Tells the back end of a device to close.
fn close(halves: &Halves, manner: Manner) -> Result<()> {
    let back = halves.back_path();
    let (state, online) = (format!("{back}/state"), format!("{back}/online"));
    store::with(&back, |client| {
        client.transact(|store| {
            // It may have gone already, with all above it.
            if manner == Manner::Take && store.read(&halves.front_path())?.is_some() {
                store.rm(&halves.front_path())?;
            }
            let Some(value) = store.read(&state)? else { return Ok(()) };
            store.write(&online, b"0")?;
            if State::parse(&value) != State::Closed {
                store.write(&state, State::Closing.number().to_string().as_bytes())?;
            }
            Ok(())
        })
    })
}

/// Takes a device away, whatever the guest is doing with it.
fn take(halves: &Halves) {
    let closed = close(halves, Manner::Take)
        .and_then(|()| await_state(halves, TAKEN_NS, is_closed))
        .is_ok_and(is_closed);
    if !closed {
        println!("{}: the back end does not close", halves.back_path());
    }
    forget(halves);
}

/// Takes away all that is said of a device, and directories that are empty then.
fn forget(halves: &Halves) {
    let done = store::with(&halves.back_path(), |client| {
        client.transact(|store| {
            for path in halves.directories() {
                // Where nothing went wrong there is none that says so, nor one above it.
                if store.read(&path)?.is_some() {
                    store.rm(&path)?;
                }
            }
            for path in halves.parents() {
                if store.directory(&path)?.is_some_and(|children| children.is_empty()) {
                    store.rm(&path)?;
                }
            }
            Ok(())
        })
    });
    if let Err(error) = done {
        println!("{}: {error}", halves.back_path());
    }
    given::remove(halves);
}

/// Takes all devices of a domain that ends. The caller has the turn.
pub fn take_all(domain: DomId) {
    let all = given::of(domain);
    // All are told before the first is waited for.
    for halves in &all {
        let _ = close(halves, Manner::Take);
    }
    all.iter().for_each(take);
}

/// A domain's devices of one class.
pub fn list(domain: DomId, class: DeviceClass) -> Result<Vec<DeviceInfo>> {
    of(domain, class).iter().map(describe).collect()
}

fn describe(halves: &Halves) -> Result<DeviceInfo> {
    let front = halves.front_path();
    let read = |path: String| {
        let value = store::with(&path, |client| client.read(&path))?;
        Ok(value.and_then(|value| String::from_utf8(value).ok()))
    };
    let number = |key: &str| {
        let value = read(format!("{front}/{key}"))?;
        Ok(value.and_then(|value| value.trim().parse().ok()))
    };
    let (rings, mac) = match halves.class {
        DeviceClass::Disk => ([number("ring-ref")?, None], None),
        DeviceClass::Network => {
            let mac = read(format!("{}/mac", halves.toolstack_path()))?;
            let mac = mac.and_then(|mac| vif::mac(&mac));
            ([number("tx-ring-ref")?, number("rx-ring-ref")?], mac)
        }
    };
    Ok(DeviceInfo {
        id: halves.id,
        back: halves.back,
        back_path: halves.back_path(),
        state: number("state")?,
        event_channel: number("event-channel")?,
        rings,
        mac,
    })
}

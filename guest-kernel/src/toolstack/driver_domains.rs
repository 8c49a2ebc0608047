//! Driver domains: those that serve devices to others, so that domain 0 need not (`driver_domain=1`,
//! and `backend=` in the lines of disks and interfaces).
//!
//! Such a domain finds the devices that it is to serve where domain 0 finds its own, below `backend`
//! in its home, and has no privilege: what it may map and copy of a guest's memory is what the guest
//! granted it. The toolstack says what is to be, and waits for its back ends' states as for domain 0's;
//! nothing here, nor in XenStore, needs it to be well.
//!
//! **Its network device**, if it has one, is its guests' way out: the other end lets frames of any address
//! in there, so that a driver domain is trusted with the network as with the data of those it serves.
//!
//! **Its end**, by a crash or by `xl destroy`: all that it had mapped and bound of others goes with it,
//! and then its home, which its front ends take for the word that it has nothing of theirs any more.
//! They keep what it had not answered.
//!
//! **Its successor** is the next domain of its name, as `on_crash="restart"` makes one at once. It gets
//! the devices that were lost with it: both directories are made anew, with links to each other, and
//! the front ends begin anew with the new back ends. A front end that does not heed a new link
//! (Linux's) gets its device back by `xl block-detach -f` and `xl block-attach`.

use super::records::{self, Record};
use super::{devices, given, store};
use crate::device_nodes::{Halves, User};
use crate::store_nodes;
use alloc::format;
use pv_abi::types::DomId;
use ring1::println;
use xenstore::client::Store;
use xl::config::vdev;
use xl::toolstack::{Device, DeviceClass, Error, Result};

/// The domain that a specification names as the one that serves a device.
pub fn named(name: Option<&str>) -> Result<DomId> {
    let Some(name) = name.filter(|name| !matches!(*name, "0" | "Domain-0")) else {
        return Ok(DomId::new(0));
    };
    let known = records::find(name).or_else(|| name.parse().ok().map(DomId::new));
    match known.and_then(|id| Some((id, records::with(id, is_one)?))) {
        Some((id, true)) => Ok(id),
        Some((_, false)) => {
            Err(Error::Other(format!("{name} is no driver domain: its file lacks driver_domain=1")))
        }
        None => Err(Error::Other(format!("there is no domain {name} to serve it"))),
    }
}

fn is_one(record: &mut Record) -> bool {
    record.config.driver_domain
}

/// What a domain is that has devices. It may be one that is being made.
pub fn user(domain: DomId) -> Result<User> {
    let path = format!("{}/libxl", store_nodes::home(domain));
    let known = store::with(&path, |client| client.read(&path))?;
    Ok(if known.is_some() { User::DriverDomain } else { User::Guest })
}

/// A domain is there: if it is a driver domain, it gets what was lost with the last one of its name.
/// The caller has the turn.
pub fn succeed(domain: DomId) {
    let name = records::with(domain, |record| {
        record.config.driver_domain.then(|| record.config.name.clone())
    });
    let Some(Some(name)) = name else { return };
    for lost in given::lost_with(&name) {
        if let Err(error) = link(&lost, domain) {
            println!("{} does not go over to {name}: {error}", lost.front_path());
        }
    }
}

/// Links a device to a back end in another domain.
fn link(lost: &Halves, back: DomId) -> Result<()> {
    let Some(device) = specified(lost) else { return Ok(()) };
    let old = lost.back_path();
    // Where the domain was kept for somebody to look at.
    store::with(&old, |client| match client.read(&old)? {
        Some(_) => client.rm(&old),
        None => Ok(()),
    })?;
    devices::announce(&device, &Halves { back, ..*lost })?;
    given::remove(lost);
    Ok(())
}

/// What a domain's file says of a device.
fn specified(halves: &Halves) -> Option<Device> {
    records::with(halves.front, |record| {
        let config = &record.config;
        match halves.class {
            DeviceClass::Disk => {
                let is_it = |vdev: &str| vdev::number(vdev) == Some(halves.id);
                let disk = config.disks.iter().find(|disk| is_it(&disk.vdev));
                disk.cloned().map(Device::Disk)
            }
            DeviceClass::Network => {
                let vif = config.vifs.iter().find(|vif| vif.devid == Some(halves.id));
                vif.cloned().map(Device::Network)
            }
        }
    })?
}

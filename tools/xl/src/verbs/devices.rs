//! `block-attach`, `block-list`, `block-detach` and the same for `network`: devices of a domain that
//! runs.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::arguments::Arguments;
use super::numbers::decimal;
use super::{Failure, Outcome, Session};
use crate::config::{disk, vdev, vif};
use crate::toolstack::{Detach, Device, DeviceClass, DeviceInfo, DomId, Error};

pub fn block_attach(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let domain = session.domain(arguments.operand(0))?;
    let disk = specified("disk", disk::parse, arguments)?;
    let attached = session.toolstack.attach(domain, Device::Disk(disk));
    attached.map_err(|error| Failure::because("libxl_device_disk_add failed", &error))
}

pub fn network_attach(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let domain = session.domain(arguments.operand(0))?;
    let vif = specified("vif", vif::parse, arguments)?;
    for (name, why) in vif.without_effect() {
        session.err(format_args!("command line: warning: vif: {name} has no effect: {why}\n"));
    }
    let attached = session.toolstack.attach(domain, Device::Network(vif));
    attached.map_err(|error| Failure::because("libxl_device_nic_add failed", &error))
}

/// The device that the words behind the domain specify together.
fn specified<T>(
    what: &str,
    parse: fn(&str) -> Result<T, String>,
    arguments: &Arguments<'_>,
) -> Result<T, Failure> {
    let words = arguments.operands.get(1..).unwrap_or_default();
    // A target is all that follows: nothing does.
    let (last, first): (Vec<&str>, Vec<&str>) =
        words.iter().partition(|word| word.contains("target="));
    let specification = [first, last].concat().join(",");
    parse(&specification).map_err(|why| {
        let message = format!("command line: {what}: {why}, in `{specification}'");
        Failure::new(message)
    })
}

pub fn block_list(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let (handle, state, port, ring) = ("handle", "state", "evt-ch", "ring-ref");
    session.out(format_args!(
        "{:<5} {:<3} {handle:<6} {state:<5} {port:<6} {ring:<8} {:<30}\n",
        "Vdev", "BE", "BE-path"
    ));
    for_each(session, arguments, DeviceClass::Disk, |session, domain, device| {
        let DeviceInfo { id, back, back_path, state, event_channel, rings: [ring, _], .. } = device;
        let (back, domain) = (back.raw(), domain.raw());
        let (state, port, ring) = (Known(*state), Known(*event_channel), Known(*ring));
        session.out(format_args!(
            "{id:<5} {back:<3} {domain:<6} {state:<5} {port:<6} {ring:<8} {back_path:<30}\n"
        ));
    })
}

pub fn network_list(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let (handle, state, port) = ("handle", "state", "evt-ch");
    session.out(format_args!(
        "{:<3} {:<2} {:<17} {handle:<6} {state:<5} {port:<6} {:>5}/{:<5} {:<30}\n",
        "Idx", "BE", "Mac Addr.", "tx-", "rx-ring-ref", "BE-path"
    ));
    for_each(session, arguments, DeviceClass::Network, |session, _, device| {
        let DeviceInfo { id, back, back_path, state, event_channel, rings: [tx, rx], mac } = device;
        let (back, mac) = (back.raw(), vif::display(mac.unwrap_or_default()));
        let (state, port) = (Known(*state), Known(*event_channel));
        let (tx, rx) = (Known(*tx), Known(*rx));
        session.out(format_args!(
            "{id:<3} {back:<2} {mac}{id:>6} {state:>5} {port:>6} {tx:>5}/{rx:<11} {back_path:<30}\n"
        ));
    })
}

/// Calls `show` with each device of the domains that were named; one that there is not is told of
/// and passed over, as xl does.
fn for_each(
    session: &mut Session<'_>,
    arguments: &Arguments<'_>,
    class: DeviceClass,
    show: impl Fn(&mut Session<'_>, DomId, &DeviceInfo),
) -> Outcome {
    for name in &arguments.operands {
        let domain = match session.domain(name) {
            Ok(domain) => domain,
            Err(failure) => {
                session.err(format_args!("{}", failure.message));
                continue;
            }
        };
        let devices = match session.toolstack.devices(domain, class) {
            // It has gone since it was named.
            Err(Error::NoSuchDomain) => continue,
            devices => devices.map_err(|error| {
                Failure::because(format_args!("cannot list devices of {name}"), &error)
            })?,
        };
        devices.iter().for_each(|device| show(session, domain, device));
    }
    Ok(())
}

pub fn block_detach(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let (name, vdev) = (arguments.operand(0), arguments.operand(1));
    let id = vdev::number(vdev);
    let found = find(session, name, DeviceClass::Disk, |device| Some(device.id) == id)?;
    let Some((domain, id)) = found else {
        return Err(Failure::new(format_args!("Error: Device {vdev} not connected.")));
    };
    let (how, what) = match arguments.has('f') {
        true => (Detach::Take, "destroy"),
        false => (Detach::Ask, "safe_remove"),
    };
    let detached = session.toolstack.detach(domain, DeviceClass::Disk, id, how);
    detached
        .map_err(|error| Failure::because(format_args!("libxl_device_disk_{what} failed"), &error))
}

pub fn network_detach(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let (name, which) = (arguments.operand(0), arguments.operand(1));
    let (id, mac) = (decimal::<u32>(which), vif::mac(which));
    let found = find(session, name, DeviceClass::Network, |device| {
        Some(device.id) == id || mac.is_some() && device.mac == mac
    })?;
    let Some((domain, id)) = found else {
        return Err(Failure::new(format_args!("Unknown device {which}.")));
    };
    let detached = session.toolstack.detach(domain, DeviceClass::Network, id, Detach::AskThenTake);
    detached.map_err(|error| Failure::because("libxl_device_nic_del failed", &error))
}

/// The device of a domain that `is_meant`, if there is one.
fn find(
    session: &mut Session<'_>,
    name: &str,
    class: DeviceClass,
    is_meant: impl Fn(&DeviceInfo) -> bool,
) -> Result<Option<(DomId, u32)>, Failure> {
    let domain = session.domain(name)?;
    let devices = session
        .toolstack
        .devices(domain, class)
        .map_err(|error| Failure::because(format_args!("cannot list devices of {name}"), &error))?;
    Ok(devices.iter().find(|device| is_meant(device)).map(|device| (domain, device.id)))
}

/// A number that the guest may not have said yet: xl prints -1 then.
struct Known(Option<u32>);

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(-1, i64::from).fmt(f)
    }
}
